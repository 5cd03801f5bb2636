/** Gradients and weights that are rounded to travel: still the same bits for everybody, and as good a model. */
import { expect, test } from 'vitest';
import { startTestCluster, type TestClusterOptions } from '../support/cluster.js';
import { digitsJob } from '../support/jobs.js';

const CLUSTERS: readonly TestClusterOptions[] = [
  { workers: 1 },
  { workers: 2, threads: 2 },
  { workers: 3 },
  { workers: 1, grain: 'run' },
  { workers: 2, grain: 'run', kernel: 'js' },
];

test.each(['bfloat16', 'int8'])(
  'with %s on the wire the weights are the same for any workers, grain and portable kernel',
  async (wire) => {
    const hashes: Record<string, string> = {};
    for (const options of CLUSTERS) {
      await using cluster = await startTestCluster(options);
      const { weightsSha256, optimizerSha256 } = await cluster.finish(digitsJob({ microBatches: 8, wire }));
      hashes[JSON.stringify(options)] = `${weightsSha256} ${optimizerSha256}`;
    }
    expect(new Set(Object.values(hashes)).size, JSON.stringify(hashes, undefined, 2)).toBe(1);
  },
  120_000,
);
