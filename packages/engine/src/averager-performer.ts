import type { Kernel } from '#kernel';
import { readAverageArguments, SQUARE_NORM, squareSumsAt } from './averager-commands.js';
import { RESULTS } from './control-block.js';
import { RANGE_FLOATS } from './memory-plan.js';
import type { Performer } from './thread-service.js';
import type { ThreadSetup } from './thread-setup.js';

type TakePiece = (pieces: number) => number | undefined;

/** What one kernel thread of the averager does: a share of the ranges in each phase. */
export function createAveragerPerformer(setup: ThreadSetup & { role: 'averager' }, kernel: Kernel): Performer {
  const { control, options, plan } = setup;
  const { parameterCount: P } = plan;
  const ranges = Math.ceil(P / RANGE_FLOATS);
  const squareSums = squareSumsAt(options.microBatches);

  function forEachRange(takePiece: TakePiece, work: (offset: number, count: number, range: number) => void): void {
    for (let range = takePiece(ranges); range !== undefined; range = takePiece(ranges)) {
      const from = range * RANGE_FLOATS;
      work(4 * from, Math.min(RANGE_FLOATS, P - from), range);
    }
  }

  /** Phase 0: folds the blocks up the tree, takes the mean, and leaves each range's part of its square sum. */
  function takeMean(takePiece: TakePiece): void {
    const { folds, root, sampleCount } = readAverageArguments(control);
    const factor = Math.fround(1 / sampleCount);
    forEachRange(takePiece, (offset, count, range) => {
      for (const { into, right } of folds) kernel.fold(into + offset, right + offset, count);
      kernel.scale(root + offset, count, factor);
      control.numbers[squareSums + range] = kernel.squareSum(root + offset, count);
    });
  }

  /** ‖mean‖², partial sums added in order of ranges: the same double in every thread. */
  function squareNorm(): number {
    let sum = 0;
    for (let range = 0; range < ranges; range++) sum += control.numbers[squareSums + range]!;
    return sum;
  }

  /** Phase 1: clips and updates, or leaves everything as it was when the mean is not finite. */
  function update(takePiece: TakePiece): void {
    const { root, step, learningRate, clipNorm } = readAverageArguments(control);
    const norm = Math.sqrt(squareNorm());
    if (!Number.isFinite(norm)) return;
    const clip = norm > clipNorm ? Math.fround(clipNorm / norm) : undefined;
    forEachRange(takePiece, (offset, count) => {
      const gradient = root + offset;
      if (clip !== undefined) kernel.scale(gradient, count, clip);
      const state = Array.from(
        { length: plan.optimizerSlots },
        (_, slot) => plan.optimizerState + 4 * P * slot + offset,
      );
      kernel.update(options.optimizer, { weights: plan.weights + offset, gradient, state, count }, step, learningRate);
    });
  }

  return {
    kernelId: kernel.id,
    perform(_command, phase, takePiece) {
      if (phase === 0) takeMean(takePiece);
      else update(takePiece);
    },
    finish() {
      control.numbers[SQUARE_NORM] = squareNorm();
      new BigUint64Array(control.numbers.buffer)[RESULTS] = kernel.hash(plan.weights, 4 * P);
    },
    receive(message) {
      throw new Error(`an averager's threads are sent nothing, received ${typeof message}`);
    },
  };
}
