/** Workers that come and go, runs that wait, a queue that forgets: each must end in the weights of an undisturbed run. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadModel, readLedger } from '#storage';
import { type RunEvent, type RunId, runId } from '#training';
import { type FinishedEvent, startTestCluster, type TestCluster, type TestJob } from '../support/cluster.js';
import { digitsJob } from '../support/jobs.js';

const JOB = digitsJob();
/** Steps enough for a process to start meanwhile, however busy the machine: both slow down together. */
const LONG_JOB = digitsJob({ epochs: 60, microBatches: 4 }, '[{ dense: 128 }, relu]');
const DEADLINE_MS = 120_000;

let cluster: TestCluster;
let calm: FinishedEvent;
beforeAll(async () => {
  cluster = await startTestCluster({ workers: 2 });
  calm = await cluster.finish(JOB);
}, DEADLINE_MS);
afterAll(() => cluster[Symbol.asyncDispose](), DEADLINE_MS);

interface Watched {
  readonly finished: FinishedEvent;
  readonly events: readonly RunEvent[];
}

/** Trains and does something once, when that step is committed; resolves when both are done. */
async function trainWith(job: TestJob, step: number, act: () => Promise<unknown>): Promise<Watched> {
  const events: RunEvent[] = [];
  let acting: Promise<unknown> | undefined;
  const finished = await cluster.finish(job, (event) => {
    events.push(event);
    if (event.event === 'step_committed' && event.step === step) acting ??= act();
  });
  if (acting === undefined) throw new Error(`step ${step} was never committed`);
  await acting;
  return { finished, events };
}

function expectSameBits(finished: FinishedEvent, as: FinishedEvent): void {
  expect(finished.weightsSha256).toBe(as.weightsSha256);
  expect(finished.optimizerSha256).toBe(as.optimizerSha256);
  expect(finished.test).toEqual(as.test);
}

function namesOf(events: readonly RunEvent[]): readonly string[] {
  return events.map(({ event }) => event);
}

describe('a worker', () => {
  test(
    'that joins in mid-run takes part in it, and one that is asked to leave drains: nothing is lost or done twice',
    async () => {
      const calmLong = await cluster.finish(LONG_JOB);
      const { finished, events } = await trainWith(LONG_JOB, 3, async () => {
        const [leaving] = cluster.workers;
        const joined = await cluster.startWorker();
        if (leaving === undefined) throw new Error('no worker to ask to leave');
        expect(await cluster.drainWorker(leaving)).toBe(0);
        return joined;
      });
      expectSameBits(finished, calmLong);
      expect(finished).toMatchObject({ workersLost: 0, blocksReissued: 0 });
      const names = namesOf(events);
      expect(names).not.toContain('worker_lost');
      expect(names.filter((name) => name === 'worker_left')).toHaveLength(1);
      const newest = cluster.workers.at(-1)?.name;
      const joinedAt = events.findIndex((event) => event.event === 'worker_joined' && event.worker === newest);
      expect(joinedAt).toBeGreaterThan(names.indexOf('step_committed'));
      const records = await readLedger(join(finished.runPath, 'ledger.ndjson'));
      const computed = records.flatMap(({ blocks }) => blocks.filter(({ worker }) => worker === newest));
      expect(computed.length).toBeGreaterThan(0);
    },
    DEADLINE_MS,
  );

  test(
    'that comes when all others were killed goes on with the run',
    async () => {
      const { finished, events } = await trainWith(JOB, 2, async () => {
        await Promise.all(cluster.workers.slice().map((worker) => cluster.killWorker(worker)));
        await cluster.startWorker();
      });
      expectSameBits(finished, calm);
      expect(namesOf(events).filter((name) => name === 'worker_lost')).toHaveLength(2);
      expect(finished.workersLost).toBe(2);
      await cluster.startWorker();
    },
    DEADLINE_MS,
  );

  test(
    'with another kernel is refused with WORKER.KERNEL_MISMATCH and ends with 2; the run does not notice',
    async () => {
      let refused: { readonly code: number | null; readonly stderr: string } | undefined;
      const { finished, events } = await trainWith(JOB, 1, async () => {
        refused = await cluster.refusedWorker(['--kernel', 'js', '--name', 'odd']);
      });
      expect(refused?.stderr).toContain('WORKER.KERNEL_MISMATCH');
      expect(refused?.stderr).toMatch(/kernel js\S*, this coordinator with wasm-simd128\/1/);
      expect(refused?.code).toBe(2);
      expectSameBits(finished, calm);
      expect(events.filter((event) => 'worker' in event && event.worker === 'odd')).toEqual([]);
    },
    DEADLINE_MS,
  );
});

describe('of two runs', () => {
  test(
    'the second waits for the first, and both end in the same weights',
    async () => {
      let second: Promise<FinishedEvent> | undefined;
      const { finished: first } = await trainWith(JOB, 0, async () => {
        second = cluster.finish(JOB);
      });
      const finished = await second;
      if (finished === undefined) throw new Error('there was no second run');
      expectSameBits(first, calm);
      expectSameBits(finished, calm);
      const events = (await readFile(join(finished.runPath, 'events.ndjson'), 'utf8')).trimEnd().split('\n');
      const [queued, prepared, started] = events.map((line): RunEvent => JSON.parse(line));
      expect([queued?.event, prepared?.event, started?.event]).toEqual(['run_queued', 'data_prepared', 'run_started']);
      expect(Date.parse(queued?.time ?? '')).toBeLessThan(Date.parse(first.time));
      expect(Date.parse(started?.time ?? '')).toBeGreaterThanOrEqual(Date.parse(first.time));
    },
    DEADLINE_MS,
  );

  test(
    'the one that trains is stopped with its model, the one that waits before its first step',
    async () => {
      const [training, waiting] = [runId('trains'), runId('waits')];
      const { client } = cluster;
      const stopBoth = async (): Promise<RunEvent> => {
        const { text, files } = JOB;
        const uploads = Object.entries(files).map(([path, absolutePath]) => ({ path, absolutePath }));
        await client.submit({ jobText: text, jobFile: 'job.yaml', runId: waiting, files: uploads });
        expect(await client.list()).toEqual(
          expect.arrayContaining([
            expect.objectContaining({ run: training, state: 'training' }),
            expect.objectContaining({ run: waiting, state: 'queued' }),
          ]),
        );
        await client.stop(waiting, 'not wanted any more');
        await client.stop(training, 'long enough');
        return lastEvent(client.watch(waiting, 0, AbortSignal.timeout(DEADLINE_MS)));
      };
      let stopped: Promise<RunEvent> | undefined;
      const last = await cluster.run(
        digitsJob({ epochs: 100_000 }),
        (event) => {
          if (event.event === 'step_committed') stopped ??= stopBoth();
        },
        training,
      );
      expect(await stopped).toMatchObject({ event: 'run_failed', code: 'RUN.STOPPED' });
      if (last.event !== 'run_finished') throw new Error(`it ended with ${last.event}`);
      expect(last.stoppedBy).toBe('user');
      expect((await loadModel(last.modelPath)).weightsSha256).toBe(last.weightsSha256);

      const summary = await client.stop(training, 'once more');
      expect(summary).toMatchObject({ state: 'finished', step: last.steps });
      await expect(client.stop(runId('nobody'), 'why not')).rejects.toMatchObject({ code: 'RUN.UNKNOWN' });
    },
    DEADLINE_MS,
  );
});

test(
  'a queue that forgets everything, again and again in mid-run, costs time, not bits',
  async () => {
    const redis = new Redis(cluster.redis.url);
    const flushes: Promise<unknown>[] = [];
    try {
      const finished = await cluster.finish(JOB, (event) => {
        if (event.event === 'step_committed' && event.step % 7 === 2) flushes.push(redis.flushall());
      });
      await Promise.all(flushes);
      expect(flushes.length).toBeGreaterThan(2);
      expectSameBits(finished, calm);
    } finally {
      await redis.quit();
    }
  },
  DEADLINE_MS,
);

test(
  'a run whose queue is gone for good can still be stopped, with its model',
  async () => {
    await using lonely = await startTestCluster({ workers: 1 });
    const stopWithoutQueue = async (run: RunId): Promise<unknown> => {
      await lonely.redis[Symbol.asyncDispose]();
      return lonely.client.stop(run, 'no queue');
    };
    let stopped: Promise<unknown> | undefined;
    const last = await lonely.run(digitsJob({ epochs: 100_000 }), (event) => {
      if (event.event !== 'step_committed' || stopped !== undefined) return;
      stopped = stopWithoutQueue(runId(event.run));
    });
    await stopped;
    expect(last).toMatchObject({ event: 'run_finished', stoppedBy: 'user' });
  },
  DEADLINE_MS,
);

async function lastEvent(events: AsyncIterable<RunEvent>): Promise<RunEvent> {
  let last: RunEvent | undefined;
  for await (const event of events) last = event;
  if (last === undefined) throw new Error('a run without events');
  return last;
}
