/** Gradients and weights that are rounded to travel: still the same bits for everybody, and as good a model. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type FinishedEvent, startTestCluster, type TestCluster, type TestClusterOptions } from '../support/cluster.js';
import { digitsJob } from '../support/jobs.js';

const FORMATS = ['bfloat16', 'int8'] as const;
const DEADLINE_MS = 120_000;

const CLUSTERS = {
  one: { workers: 1 },
  twoOfTwoThreads: { workers: 2, threads: 2 },
  three: { workers: 3 },
  leasing: { workers: 2, grain: 'run' },
  plain: { workers: 2, grain: 'run', kernel: 'js' },
} as const satisfies Readonly<Record<string, TestClusterOptions>>;

const jobIn = (wire: string) => digitsJob({ epochs: 8, microBatches: 8, wire });

/** Ends with the same weights and optimizer state, hashed. */
const bitsOf = ({ weightsSha256, optimizerSha256 }: FinishedEvent) => ({ weightsSha256, optimizerSha256 });

const clusters = new Map<string, TestCluster>();
const calm = new Map<string, FinishedEvent>();

const clusterOf = (name: keyof typeof CLUSTERS): TestCluster => {
  const cluster = clusters.get(name);
  if (cluster === undefined) throw new Error(`cluster ${name} was not started`);
  return cluster;
};

const calmRun = (wire: string): FinishedEvent => {
  const finished = calm.get(wire);
  if (finished === undefined) throw new Error(`nothing was trained in ${wire}`);
  return finished;
};

/** Trains, and kills the first worker once a step of the middle is committed. */
async function trainWithKill(cluster: TestCluster, wire: string): Promise<FinishedEvent> {
  let replaced: Promise<unknown> | undefined;
  const finished = await cluster.finish(jobIn(wire), (event) => {
    const [victim] = cluster.workers;
    if (event.event !== 'step_committed' || event.step < 20 || victim === undefined) return;
    replaced ??= cluster.killWorker(victim).then(() => cluster.startWorker());
  });
  expect(replaced).toBeDefined();
  await replaced;
  return finished;
}

beforeAll(async () => {
  const start = async ([name, options]: readonly [string, TestClusterOptions]): Promise<unknown> =>
    clusters.set(name, await startTestCluster(options));
  await Promise.all(Object.entries(CLUSTERS).map(start));
  for (const wire of ['float32', ...FORMATS]) calm.set(wire, await clusterOf('one').finish(jobIn(wire)));
}, DEADLINE_MS);
afterAll(async () => {
  await Promise.all([...clusters.values()].map((cluster) => cluster[Symbol.asyncDispose]()));
}, DEADLINE_MS);

describe.each(FORMATS)('%s', (wire) => {
  test.each(['twoOfTwoThreads', 'three', 'leasing', 'plain'] as const)(
    'leaves the bits of one worker that was sent every step: %s',
    async (name) => {
      expect(bitsOf(await clusterOf(name).finish(jobIn(wire)))).toEqual(bitsOf(calmRun(wire)));
    },
    DEADLINE_MS,
  );

  test(
    'leaves the same bits when a worker is SIGKILLed in mid-run',
    async () => {
      const finished = await trainWithKill(clusterOf('three'), wire);
      expect(finished.workersLost).toBe(1);
      expect(bitsOf(finished)).toEqual(bitsOf(calmRun(wire)));
    },
    DEADLINE_MS,
  );

  test('is not float32, and its model is as good within half a point', () => {
    const [rounded, exact] = [calmRun(wire), calmRun('float32')];
    expect(rounded.weightsSha256).not.toBe(exact.weightsSha256);
    expect(exact.test?.accuracy).toBeGreaterThan(0.9);
    expect(rounded.test?.accuracy).toBeGreaterThanOrEqual((exact.test?.accuracy ?? 1) - 0.005);
  });
});
