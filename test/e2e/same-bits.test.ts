/** The promise: same job, data and seed give the same weights, whoever computed them. */
import { expect, test } from 'vitest';
import { startTestCluster, type TestClusterOptions } from '../support/cluster.js';
import { digitsJob } from '../support/jobs.js';
import { otherNodes } from '../support/other-nodes.js';

const JOB = digitsJob({ microBatches: 8 });

const CLUSTERS: readonly TestClusterOptions[] = [
  { workers: 1 },
  { workers: 1, threads: 2 },
  { workers: 2 },
  { workers: 2, threads: 2 },
  { workers: 3 },
  { workers: 4 },
  { workers: 8 },
  { workers: 2, kernel: 'js' },
  { workers: 1, grain: 'run' },
  { workers: 1, grain: 'run', threads: 2 },
  { workers: 3, grain: 'run' },
  { workers: 2, grain: 'run', kernel: 'js' },
  { workers: 1, grain: 'auto' },
  { workers: 3, grain: 'auto' },
];

test('the same weights for any number of workers and threads, either kernel and every Node.js', async () => {
  const nodes = await otherNodes();
  const clusters = [...CLUSTERS, ...nodes.map((node) => ({ workers: 2, node }))];
  const hashes: Record<string, string> = {};
  for (const options of clusters) {
    await using cluster = await startTestCluster(options);
    const finished = await cluster.finish(JOB);
    hashes[JSON.stringify(options)] = `${finished.weightsSha256} ${finished.optimizerSha256}`;
    expect(finished.workersLost).toBe(0);
  }
  expect(new Set(Object.values(hashes)).size, JSON.stringify(hashes, undefined, 2)).toBe(1);
}, 300_000);
