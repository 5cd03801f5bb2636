/** Data sets that no worker holds: the same weights whatever each of them may hold, and whoever dies. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { arrayJob, writeArrays } from '../support/array-data.js';
import { type FinishedEvent, startTestCluster, type TestClusterOptions, type TestJob } from '../support/cluster.js';
import { expectSameBits, trainAndDisturb } from '../support/fault-runs.js';

/** 24 MB of rows in windows of 1.3 MB. */
const DATA = { rows: 150_000, features: 40, classes: 4 };
const TRAIN = { epochs: 2, batch: 1024, microBatches: 4, shuffle: '{ window: 8000 }', seed: 3 };
const DEADLINE_MS = 120_000;

let directory = '';
let job: TestJob;
let calm: FinishedEvent;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ropeteam-windows-'));
  job = arrayJob(await writeArrays(directory, DATA), TRAIN);
  calm = await trained({ workers: 1 });
}, DEADLINE_MS);
afterAll(() => rm(directory, { recursive: true, force: true }));

async function trained(options: TestClusterOptions): Promise<FinishedEvent> {
  await using cluster = await startTestCluster(options);
  return await cluster.finish(job);
}

test('it learns', () => {
  expect(calm.test?.accuracy).toBeGreaterThan(0.9);
});

test.each<TestClusterOptions>([
  { workers: 1, dataMemory: '0' },
  { workers: 2, threads: 2, dataMemory: '3MB' },
  { workers: 3, dataMemory: '10MB' },
  { workers: 1, grain: 'run', dataMemory: '3MB' },
])(
  'the same weights as of a worker that holds all rows: %j',
  async (options) => {
    expectSameBits(await trained(options), calm);
  },
  DEADLINE_MS,
);

test(
  'windows in the order of the file: the same weights as of all rows in that order, and others than when mixed',
  async () => {
    const data = await writeArrays(directory, DATA);
    const runs = ['false', '{ window: 8000, mix: false }', '{ window: 150000, mix: false }'].map(async (shuffle) => {
      await using cluster = await startTestCluster({ workers: 2, dataMemory: '3MB' });
      return await cluster.finish(arrayJob(data, { ...TRAIN, shuffle }));
    });
    const [inOrder, ...held] = await Promise.all(runs);
    if (inOrder === undefined) throw new Error('there is no run');
    for (const finished of held) expectSameBits(finished, inOrder);
    expect(inOrder.weightsSha256).not.toBe(calm.weightsSha256);
  },
  DEADLINE_MS,
);

test(
  'a worker is killed in the middle of a window, and another takes its place',
  async () => {
    await using cluster = await startTestCluster({ workers: 2, dataMemory: '3MB' });
    const { finished } = await trainAndDisturb(
      cluster,
      60,
      async () => {
        const victim = cluster.workers[0];
        if (victim === undefined) throw new Error('there is no worker');
        await cluster.killWorker(victim);
        await cluster.startWorker();
      },
      job,
    );
    expect(finished.workersLost).toBe(1);
    expectSameBits(finished, calm);
  },
  DEADLINE_MS,
);
