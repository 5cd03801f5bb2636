import { expect, test } from 'vitest';
import type { RunEvent, RunSummary } from '#training';
import type { PageFrame } from '../page/messages.js';
import { type FeedSource, RunFeeds } from './run-feed.js';

const time = '2026-01-01T00:00:00.000Z';
const phases = { broadcastMs: 1, computeMs: 2, uploadMs: 0, waitMs: 0, averageMs: 1, commitMs: 0 };
const queued: RunEvent = { event: 'run_queued', job: 'j', time, run: 'r' };
const step = (number: number): RunEvent => ({
  ...{ event: 'step_committed', time, run: 'r', step: number, epoch: 0, loss: 1, learningRate: 0.1, gradientNorm: 1 },
  ...{ samples: 8, durationMs: 4, workers: 1, phases },
});
const lost: RunEvent = {
  ...{ event: 'worker_lost', time, run: 'r', worker: 'w', pid: 1, reason: 'gone', blocksReissued: 0, detectedInMs: 0 },
};
const failed: RunEvent = { event: 'run_failed', time, run: 'r', code: 'RUN.FAILED', message: 'm', facts: {} };

/** A run whose events end, and how often they were read. */
function source(events: readonly RunEvent[], state: RunSummary['state'] = 'failed'): FeedSource & { reads: number } {
  return {
    reads: 0,
    async *watch() {
      this.reads++;
      yield* events;
    },
    live: () => undefined,
    summary: () => ({ run: 'r', job: 'j', state, step: 0, steps: 3, submittedAt: time, runPath: '' }),
  };
}

async function read(feeds: RunFeeds, from: number, open: () => FeedSource) {
  const frames: (PageFrame & { readonly id: number | undefined })[] = [];
  for await (const { id, data } of feeds.follow('r', from, new AbortController().signal, open)) {
    frames.push({ ...(JSON.parse(data) as PageFrame), id });
  }
  return frames;
}

const all = [queued, step(0), step(1), lost, step(2), failed];
const eventsIn = (frames: readonly PageFrame[]) => frames.flatMap(({ events }) => events);
const rowsIn = (frames: readonly PageFrame[]) => frames.flatMap(({ steps }) => steps?.rows ?? []).map(([at]) => at);

test('a page gets every event but steps, with the steps that were committed by then, and those as a curve', async () => {
  const run = source(all);
  const frames = await read(new RunFeeds(), 0, () => run);
  expect(eventsIn(frames).map(({ step: by, event }) => [by, event.event])).toEqual([
    [0, 'run_queued'],
    [2, 'worker_lost'],
    [3, 'run_failed'],
  ]);
  expect(rowsIn(frames)).toEqual([0, 1, 2]);
  expect(frames.at(-1)?.id).toBe(5);
});

test('one that comes back goes on behind the last number it has seen', async () => {
  const run = source(all);
  const frames = await read(new RunFeeds(), 4, () => run);
  expect(eventsIn(frames).map(({ event }) => event.event)).toContain('run_failed');
  expect(eventsIn(frames).map(({ event }) => event.event)).not.toContain('worker_lost');
  expect(rowsIn(frames)).toEqual([2]);
});

test('fifty pages are fed by one reader of the events', async () => {
  const run = source(all);
  const feeds = new RunFeeds();
  const read50 = await Promise.all(Array.from({ length: 50 }, () => read(feeds, 0, () => run)));
  expect(run.reads).toBe(1);
  for (const frames of read50) expect(eventsIn(frames)).toHaveLength(3);
});

test('a run that had failed and is in training again is read anew', async () => {
  const feeds = new RunFeeds();
  await read(feeds, 0, () => source(all));
  const again = source([...all, step(3), failed], 'training');
  expect(rowsIn(await read(feeds, 0, () => again))).toEqual([0, 1, 2, 3]);
});

test('events that cannot be read end the page’s stream with the reason', async () => {
  const broken: FeedSource = {
    ...source([]),
    // biome-ignore lint/correctness/useYield: it fails before the first
    async *watch() {
      throw new Error('no such file');
    },
  };
  await expect(read(new RunFeeds(), 0, () => broken)).rejects.toThrow('no such file');
});
