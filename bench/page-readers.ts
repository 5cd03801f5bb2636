/**
 * What do open pages cost the process that serves them? It does nothing else here: it serves a made-up run with a step each
 * 4 ms, three workers and a full timeline, with the coordinator's own routes. Turns with no page, one page and 50 pages
 * alternate; readers are in another process. `bench/observers.ts` has the same in a real cluster.
 *
 *     node dist/bench/page-readers.js [--repeats 5] [--seconds 6] [--json]
 */
import { fork } from 'node:child_process';
import { once, setMaxListeners } from 'node:events';
import { get } from 'node:http';
import { setTimeout as later } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import type { RunEvent } from '#training';
import type { LiveRun, WorkBar } from '../services/coordinator/page/messages.js';
import { eventsOf, servePage, startedBody, stepBody } from '../test/support/page-server.js';
import { median } from './kernel/take-turns.js';

const STEP_MS = 4;
const BARS = 72;
/** As the page does it. */
const STATUS_MS = 5_000;
const READERS = [0, 1, 50] as const;

/** In the process that is measured. */
async function serve(): Promise<void> {
  const steps = 1_000_000;
  const bars = Array.from(
    { length: BARS },
    (_, index): WorkBar => ({
      ...{ worker: `w${index % 3}`, kind: 'gradient', step: 1_000 + index, what: `step ${1_000 + index}, block 0-2` },
      ...{
        earlier: 0,
        outcome: 'counted',
        takenMs: -index * 4.3,
        computeFromMs: -index * 4.1,
        uploadFromMs: -index * 2.2,
      },
      endMs: -index * 2.1,
    }),
  );
  const live = (): LiveRun => ({
    ...{ at: Date.now(), version: 1_000, phase: 'training', judging: false, sinceCommitMs: 1, usualMs: 4, goodput: 1 },
    needed: [{ what: 'block 0-2', worker: 'w0', heldMs: 2, failures: 0 }],
    coverage: {
      ...{ epoch: 0, epochs: 10, firstStep: 0, steps: 2_000, committedSteps: 1_000, announcedSteps: 1_004 },
      ...{ samples: 60_000, committedSamples: 30_000, disturbed: [] },
    },
    counts: { accepted: 1, duplicate: 0, conflicting: 0, stale: 0, reissued: 0 },
    workers: ['w0', 'w1', 'w2'].map((worker) => ({
      ...{ worker, pid: 1, host: 'h', threads: 1, state: 'ready', holds: [], failures: 0, counted: 1, lastSeenMs: 1 },
    })),
    bars,
  });
  async function* events(signal: AbortSignal): AsyncGenerator<RunEvent> {
    yield* eventsOf('run', [startedBody(steps)]);
    for (let step = 0; !signal.aborted; step++) {
      yield* eventsOf('run', [stepBody(step)]);
      await later(STEP_MS);
    }
  }
  const summary = {
    ...{ run: 'run', job: 'j', step: 0, steps, submittedAt: '', runPath: '' },
    state: 'training',
  } as const;
  const server = await servePage([{ summary, events, live }]);
  process.on('message', () => process.send?.(process.cpuUsage()));
  process.send?.(server.url);
}

/** Reads and throws away, until the signal. */
function read(url: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = get(url, { signal, agent: false }, (response) => {
      response.on('error', () => undefined); // the signal's; `close` comes behind it
      response.on('close', resolve).resume();
    });
    request.on('error', (error) => (signal.aborted ? resolve() : reject(error)));
  });
}

async function page(url: string, signal: AbortSignal): Promise<void> {
  const stream = read(`${url}/runs/run/page`, signal);
  while (!signal.aborted) {
    await read(`${url}/api/status`, signal);
    await later(STATUS_MS, undefined, { signal }).catch((error: Error) => {
      if (error.name !== 'AbortError') throw error;
    });
  }
  await stream;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      repeats: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '6' },
      json: { type: 'boolean', default: false },
    },
  });
  const child = fork(fileURLToPath(import.meta.url), [], { env: { ...process.env, ROPETEAM_BENCH_SERVES: '1' } });
  try {
    const [url] = (await once(child, 'message')) as [string];
    const processorMs = async (): Promise<number> => {
      child.send('?');
      const [{ user, system }] = (await once(child, 'message')) as [NodeJS.CpuUsage];
      return (user + system) / 1000;
    };
    const turns = new Map<number, number[]>(READERS.map((count) => [count, []]));
    for (let repeat = -1; repeat < Number(values.repeats); repeat++) {
      for (const [count, done] of turns) {
        const gone = new AbortController();
        setMaxListeners(0, gone.signal);
        const pages = Promise.all(Array.from({ length: count }, () => page(url, gone.signal)));
        await later(500); // the curve so far is sent once
        const [before, at] = [await processorMs(), performance.now()];
        await later(1000 * Number(values.seconds));
        const share = ((await processorMs()) - before) / ((performance.now() - at) / 1000);
        gone.abort();
        await pages;
        if (repeat >= 0) done.push(share); // the first round warms up
      }
    }
    const rows = [...turns].map(([pages, done]) => ({ pages, msASecond: median(done) }));
    if (values.json) process.stdout.write(`${JSON.stringify({ node: process.version, turns: [...turns], rows })}\n`);
    else {
      const table = new Table({ head: ['pages', 'processor, ms a second'], style: { head: [], border: [] } });
      for (const { pages, msASecond } of rows) table.push([pages, msASecond.toFixed(1)]);
      process.stdout.write(`${table.toString()}\nmedians of ${values.repeats} turns; Node ${process.version}\n`);
    }
  } finally {
    child.kill();
  }
}

await (process.env.ROPETEAM_BENCH_SERVES === '1' ? serve() : main());
