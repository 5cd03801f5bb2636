/** Which kernel a run is computed with: the coordinator settles it, its workers follow, and it is written down. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { findKernel, type KernelChoice } from '#engine';
import { readLedger } from '#storage';
import { type FinishedEvent, startTestCluster, type TestClusterOptions } from '../support/cluster.js';
import { digitsJob } from '../support/jobs.js';

const JOB = digitsJob({ microBatches: 4 });
const DEADLINE_MS = 120_000;

const idOf = async (name: 'blas' | 'wasm-fma'): Promise<string | undefined> => {
  const finding = await findKernel(name, process.env.ROPETEAM_BLAS_LIBRARY || undefined);
  return finding.kind === 'found' ? finding.id : undefined;
};
const fused = await idOf('wasm-fma');
const fastest = (await idOf('blas')) ?? fused ?? 'wasm-simd128/1';

/** Trains, and makes sure that event and every line of the ledger name the same kernel. */
async function train(options: TestClusterOptions): Promise<FinishedEvent> {
  await using cluster = await startTestCluster(options);
  const finished = await cluster.finish(JOB);
  const records = await readLedger(join(finished.runPath, 'ledger.ndjson'));
  expect(new Set(records.map(({ kernel }) => kernel))).toEqual(new Set([finished.kernel]));
  return finished;
}

test.each<readonly [KernelChoice, string | undefined]>([
  ['js', 'js/1'],
  ['wasm', 'wasm-simd128/1'],
  ['wasm-fma', fused],
  ['auto', fastest],
])(
  'workers with --kernel auto compute with the coordinator’s %s, and one has the bits of three',
  async (kernel, id) => {
    const one = await train({ workers: 1, kernel, workerKernel: 'auto', threads: 2 });
    const three = await train({ workers: 3, kernel, workerKernel: 'auto' });
    expect([one.kernel, three.kernel]).toEqual([id, id]);
    expect(three.weightsSha256).toBe(one.weightsSha256);
    expect(one.kernelReason === undefined).toBe(kernel !== 'auto');
  },
  DEADLINE_MS,
);
