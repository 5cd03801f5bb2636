/** Leases of whole steps: workers that die over them, a queue that forgets, a stop, a loss that is not finite. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readLedger } from '#storage';
import { type RunEvent, type RunId, runId } from '#training';
import { type FinishedEvent, startTestCluster, type TestCluster, type TestJob } from '../support/cluster.js';
import { digitsJob } from '../support/jobs.js';

/** 719 steps an epoch: leases of hundreds of steps, and a kill is in the middle of one. */
const JOB = digitsJob({ epochs: 6, batch: 2 });
const ENDLESS = digitsJob({ epochs: 100_000, batch: 16 });
const DEADLINE_MS = 120_000;

const DIVERGING: TestJob = {
  text: `apiVersion: ropeteam/v1
name: diverging
data: { source: line.csv, target: y }
model: { layers: [] }
train: { epochs: 50, batch: 10, optimizer: { sgd: { learningRate: 1000000 } } }`,
  files: { 'line.csv': fileURLToPath(new URL('../../../examples/linear-regression/line.csv', import.meta.url)) },
};

let stepwise: TestCluster;
let leasing: TestCluster;
let calm: FinishedEvent;
beforeAll(async () => {
  stepwise = await startTestCluster({ workers: 1 });
  leasing = await startTestCluster({ workers: 3, grain: 'run' });
  calm = await stepwise.finish(JOB);
}, DEADLINE_MS);
afterAll(async () => {
  await stepwise[Symbol.asyncDispose]();
  await leasing[Symbol.asyncDispose]();
}, DEADLINE_MS);

function expectSameBits(finished: FinishedEvent, as: FinishedEvent): void {
  expect(finished.steps).toBe(as.steps);
  expect(finished.weightsSha256).toBe(as.weightsSha256);
  expect(finished.optimizerSha256).toBe(as.optimizerSha256);
  expect(finished.test).toEqual(as.test);
  expect(finished.train).toEqual(as.train);
}

/** Trains on the leasing cluster and does something once, after that step. */
async function trainWith(job: TestJob, step: number, act: () => Promise<unknown>): Promise<FinishedEvent> {
  let acting: Promise<unknown> | undefined;
  const finished = await leasing.finish(job, (event) => {
    if (event.event === 'step_committed' && event.step >= step) acting ??= act();
  });
  await acting;
  return finished;
}

async function ledgerOf(cluster: TestCluster, run: string) {
  return readLedger(join(cluster.runsDirectory, run, 'ledger.ndjson'));
}

test(
  'leases leave the ledger of a run step by step: gradients, weights, norms, losses, and one block a step',
  async () => {
    const finished = await leasing.finish(JOB);
    expectSameBits(finished, calm);
    const ledgers = await Promise.all([ledgerOf(stepwise, calm.run), ledgerOf(leasing, finished.run)]);
    const [expected, actual] = ledgers.map((records) =>
      records.map(
        ({ step, epoch, firstPosition, endPosition, samples, loss, learningRate, gradientNorm, weights, blocks }) => ({
          ...{ step, epoch, firstPosition, endPosition, samples, loss, learningRate, gradientNorm, weights },
          blocks: blocks.length === 1 ? blocks.map(({ begin, end, gradient }) => ({ begin, end, gradient })) : [],
        }),
      ),
    );
    expect(actual?.length).toBe(calm.steps);
    // Step by step this one worker had whole steps too, so that the gradients' hashes are of the same thing.
    expect(actual).toEqual(expected);
    const events = (await readFile(join(leasing.runsDirectory, finished.run, 'events.ndjson'), 'utf8')).split('\n');
    const committed = events.filter((line) => line.includes('"event":"step_committed"'));
    expect(committed).toHaveLength(calm.steps);
  },
  DEADLINE_MS,
);

describe('with grain run', () => {
  test.for([0, 1, 2, 3, 4, 5])(
    'a worker that is SIGKILLed in the middle of a lease leaves no trace in the weights (%i)',
    { timeout: DEADLINE_MS },
    async (seed) => {
      const step = (seed * 617) % (calm.steps - 100);
      const finished = await trainWith(JOB, step, async () => {
        const victim = leasing.workers[seed % leasing.workers.length];
        if (victim === undefined) throw new Error('there is no worker left to kill');
        await leasing.killWorker(victim);
        await leasing.startWorker();
      });
      expect(finished.workersLost).toBe(1);
      expectSameBits(finished, calm);
    },
  );

  test(
    'with all but one worker gone the last one goes on, and one that joins takes leases too',
    async () => {
      const finished = await trainWith(JOB, 300, async () => {
        const [first, second] = leasing.workers;
        if (first === undefined || second === undefined) throw new Error('there are too few workers');
        await Promise.all([leasing.killWorker(first), leasing.killWorker(second)]);
        await Promise.all([leasing.startWorker(), leasing.startWorker()]);
      });
      expectSameBits(finished, calm);
    },
    DEADLINE_MS,
  );

  test(
    'a queue that is emptied in the middle of a lease costs time and nothing else',
    async () => {
      const redis = new Redis(leasing.redis.url);
      const finished = await trainWith(JOB, 1000, () => redis.flushall());
      redis.disconnect();
      expectSameBits(finished, calm);
    },
    DEADLINE_MS,
  );

  test(
    'a stop in the middle of a lease ends the run without waiting for more, with a model at a committed step',
    async () => {
      let stoppedAt = 0;
      let run: RunId | undefined;
      const last = await leasing.run(ENDLESS, (event: RunEvent) => {
        if (event.event !== 'step_committed' || event.step < 500 || stoppedAt > 0) return;
        stoppedAt = performance.now();
        run = runId(event.run);
        leasing.client.stop(run, 'the test asks').catch((error: unknown) => console.error(error));
      });
      const tookMs = performance.now() - stoppedAt;
      if (last.event !== 'run_finished') throw new Error(`the run ended with ${JSON.stringify(last)}`);
      expect(last.stoppedBy).toBe('user');
      // A second and less on a machine that is not busy with other tests; leases are not waited for at all.
      expect(tookMs).toBeLessThan(5_000);
      const ledger = await ledgerOf(leasing, last.run);
      expect(ledger.length).toBe(last.steps);
      const again = await stepwise.finish(digitsJob({ steps: Math.min(last.steps, 600), batch: 16 }));
      const records = await ledgerOf(stepwise, again.run);
      expect(ledger.slice(0, records.length).map(({ weights }) => weights)).toEqual(
        records.map(({ weights }) => weights),
      );
    },
    DEADLINE_MS,
  );

  test(
    'a loss that is not finite ends the run at its step, with nothing after it, as step by step',
    async () => {
      const ends = await Promise.all([stepwise, leasing].map((cluster) => cluster.run(DIVERGING)));
      const [expected, actual] = ends.map((end) =>
        end.event === 'run_failed' ? { code: end.code, message: end.message, facts: end.facts } : end,
      );
      expect(expected).toMatchObject({ code: 'RUN.NONFINITE' });
      expect(actual).toEqual(expected);
      const [left, right] = await Promise.all([
        ledgerOf(stepwise, ends[0]?.run ?? ''),
        ledgerOf(leasing, ends[1]?.run ?? ''),
      ]);
      expect(right.length).toBeGreaterThan(1);
      expect(right.map(({ weights }) => weights)).toEqual(left.map(({ weights }) => weights));
    },
    DEADLINE_MS,
  );
});
