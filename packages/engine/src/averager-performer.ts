import type { Kernel, UpdateAddresses } from '#kernel';
import { normsAt, readAverageArguments, SQUARE_NORM, squareSumsAt } from './averager-commands.js';
import { RESULTS } from './control-block.js';
import { NORM_DOUBLES, trustRatios } from './lamb-norms.js';
import { RANGE_FLOATS } from './memory-plan.js';
import type { Performer } from './thread-service.js';
import type { ThreadSetup } from './thread-setup.js';
import { piecesOf, type UpdatePiece } from './update-pieces.js';

type TakePiece = (pieces: number) => number | undefined;

/** What one kernel thread of the averager does: a share of the ranges in each phase. */
export function createAveragerPerformer(setup: ThreadSetup & { role: 'averager' }, kernel: Kernel): Performer {
  const { control, options, plan } = setup;
  const { optimizer, microBatches } = options;
  const { parameterCount: P } = plan;
  const rangePieces = piecesOf(options);
  const allPieces = rangePieces.flat();
  const ranges = rangePieces.length;
  const squareSums = squareSumsAt(microBatches);
  const norms = control.numbers.subarray(normsAt(microBatches, ranges));

  /** Phase 0: folds the blocks up the tree, takes the mean, and leaves each range's part of its square sum. */
  function takeMean(takePiece: TakePiece): void {
    const { folds, root, sampleCount } = readAverageArguments(control);
    const factor = Math.fround(1 / sampleCount);
    for (let range = takePiece(ranges); range !== undefined; range = takePiece(ranges)) {
      const offset = 4 * RANGE_FLOATS * range;
      const count = Math.min(RANGE_FLOATS, P - RANGE_FLOATS * range);
      for (const { into, right } of folds) kernel.fold(into + offset, right + offset, count);
      control.numbers[squareSums + range] = kernel.scaleSquareSum(root + offset, count, factor);
    }
  }

  /** ‖mean‖², partial sums added in order of ranges: the same double in every thread. */
  function squareNorm(): number {
    let sum = 0;
    for (let range = 0; range < ranges; range++) sum += control.numbers[squareSums + range]!;
    return sum;
  }

  /** The factor that clips the mean; nothing when the mean is not finite, and everything has to stay as it was. */
  function gradientFactor(): number | undefined {
    const { clipNorm } = readAverageArguments(control);
    const norm = Math.sqrt(squareNorm());
    if (!Number.isFinite(norm)) return undefined;
    return norm > clipNorm ? Math.fround(clipNorm / norm) : 1;
  }

  function forEachPiece(takePiece: TakePiece, work: (piece: UpdatePiece, at: UpdateAddresses) => void): void {
    const { root } = readAverageArguments(control);
    for (let range = takePiece(ranges); range !== undefined; range = takePiece(ranges)) {
      for (const piece of rangePieces[range]!) {
        const { begin, end } = piece;
        const state = Array.from(
          { length: plan.optimizerSlots },
          (_, slot) => plan.optimizerState + 4 * (P * slot + begin),
        );
        work(piece, { weights: plan.weights + 4 * begin, gradient: root + 4 * begin, state, count: end - begin });
      }
    }
  }

  /** Phase 1: clips and updates. Of LAMB only the first half: directions, and each piece's part of the norms. */
  function update(takePiece: TakePiece): void {
    const factor = gradientFactor();
    if (factor === undefined) return;
    const { step, learningRate } = readAverageArguments(control);
    forEachPiece(takePiece, ({ index, weightDecay }, at) => {
      const terms = { gradientFactor: factor, weightDecay };
      if (optimizer.kind !== 'lamb') {
        kernel.update(optimizer, at, step, learningRate, terms);
        return;
      }
      kernel.lambDirection(optimizer, at, step, terms);
      norms[NORM_DOUBLES * index] = kernel.squareSum(at.weights, at.count);
      norms[NORM_DOUBLES * index + 1] = kernel.squareSum(at.gradient, at.count);
    });
  }

  /** Phase 2, of LAMB: goes down the directions, each parameter by its trust ratio. */
  function descend(takePiece: TakePiece): void {
    if (gradientFactor() === undefined) return;
    const { learningRate } = readAverageArguments(control);
    const ratios = trustRatios(norms, allPieces);
    forEachPiece(takePiece, ({ parameter }, { weights, gradient, count }) => {
      kernel.descend(weights, gradient, count, learningRate * ratios[parameter]!);
    });
  }

  const phases = [takeMean, update, descend] as const;

  return {
    kernelId: kernel.id,
    perform(_command, phase, takePiece) {
      const perform = phases[phase];
      if (perform === undefined) throw new RangeError(`an average has ${phases.length} phases, asked for ${phase}`);
      perform(takePiece);
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
