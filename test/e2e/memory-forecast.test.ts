/**
 * What `validate` says each process will need, held against what the system counted. Linux.
 *
 * The model has 13 million parameters, so that most of each process is what follows from the job; the whole needs about
 * 1.5 GB. The 46 million of docs/benchmarks.md would need 3 to 4 GB and a minute: `bench/memory-forecast.ts` measures them.
 */
import { expect, test } from 'vitest';
import { memoryPeaks, type WideJob } from '../support/memory-peaks.js';

/** A checkpoint is due while training goes on: the coordinator's peak includes the copy it is written from. */
const WIDE: WideJob = {
  name: 'wide',
  inputs: 64,
  classes: 1000,
  hidden: [2048, 4096],
  settings: '  steps: 4\n  batch: 128\n  microBatches: 2\ncheckpoint: { everySteps: 2 }\n',
};

/** A tenth, which is what is promised. A gradient more or less would be 13 % of a worker. */
const MARGIN = 0.1;

/**
 * A peak is the worst moment of a garbage collector, which a machine that stalls can put off: what is said has to be
 * met in one of two runs. A forecast that is wrong is so in both.
 */
const OF_TWO_RUNS = { retry: 1, timeout: 60_000 };

test.each([1, 2])(
  'with %i workers the memory that validate predicts for each process is what it comes to need, within a tenth',
  OF_TWO_RUNS,
  async (workers) => {
    for (const { process, peakBytes, saidBytes } of await memoryPeaks(WIDE, workers, 1)) {
      const seen = `${process}: ${peakBytes} bytes, predicted ${saidBytes}`;
      expect(Math.abs(saidBytes / peakBytes - 1), seen).toBeLessThan(MARGIN);
    }
  },
);
