import type { Kernel, UpdateAddresses } from '#kernel';
import type { UpdateSettings } from './engine.js';
import type { GradientNodes } from './gradient-nodes.js';
import { NORM_DOUBLES, trustRatios } from './lamb-norms.js';
import { RANGE_FLOATS } from './memory-plan.js';
import { piecesOf, type UpdatePiece } from './update-pieces.js';

/** Where an update finds what it works on: byte addresses in the kernel's memory, doubles in the control block. */
export interface UpdateLayout {
  readonly parameterCount: number;
  /** [slots × P] */
  readonly optimizerState: number;
  readonly optimizerSlots: number;
  /** One double a range: its part of the mean gradient's square sum. */
  readonly squareSums: Float64Array;
  /** LAMB's norms, see `trustRatios`. */
  readonly norms: Float64Array;
  /** Whether the root of the tree lies in another place and format than the mean. */
  readonly nodes: GradientNodes;
  /** Rounds a range of new weights to where they are sent or computed on from; absent: they are as they are. */
  readonly roundWeights?: RangeWork;
}

export interface UpdateStep {
  /** Updates so far, from 0. */
  readonly step: number;
  readonly learningRate: number;
  /** Infinity: no clipping. */
  readonly clipNorm: number;
  /** Byte address of the mean gradient. */
  readonly gradient: number;
  readonly weights: number;
}

type RangeWork = (range: number) => void;

/**
 * The update of one step, range by range, whoever makes it: the averager, or a worker by itself in a lease. Ranges follow
 * from the model alone, so the bits do too.
 */
export interface StepUpdate {
  readonly ranges: number;
  /** Scales a range of the sum at `root` to the mean at `gradient`, and leaves its part of the square sum. */
  takeMean(root: number, gradient: number, sampleCount: number): RangeWork;
  /** ‖mean‖², partial sums added in order of ranges: the same double in every thread. */
  squareNorm(): number;
  /**
   * Clips and updates, once all ranges have their mean. Of LAMB only the first half: directions, and each piece's part
   * of the norms. Undefined when the mean is not finite: then everything has to stay as it was.
   */
  update(step: UpdateStep): RangeWork | undefined;
  /** LAMB's second half, once all ranges have been updated: down the directions, each parameter by its trust ratio. */
  readonly descend: ((step: UpdateStep) => RangeWork | undefined) | undefined;
}

export function createStepUpdate(kernel: Kernel, settings: UpdateSettings, layout: UpdateLayout): StepUpdate {
  const { optimizer } = settings;
  const { parameterCount: P, squareSums, norms } = layout;
  const rangePieces = piecesOf(settings);
  const allPieces = rangePieces.flat();
  const ranges = rangePieces.length;
  const stateOfPiece = allPieces.map(({ begin }) =>
    Array.from({ length: layout.optimizerSlots }, (_, slot) => layout.optimizerState + 4 * (P * slot + begin)),
  );

  function squareNorm(): number {
    let sum = 0;
    for (let range = 0; range < ranges; range++) sum += squareSums[range]!;
    return sum;
  }

  /** The factor that clips the mean; nothing when the mean is not finite. */
  function gradientFactor(clipNorm: number): number | undefined {
    const norm = Math.sqrt(squareNorm());
    if (!Number.isFinite(norm)) return undefined;
    return norm > clipNorm ? Math.fround(clipNorm / norm) : 1;
  }

  function forEachPiece(
    range: number,
    { weights, gradient }: UpdateStep,
    work: (piece: UpdatePiece, at: UpdateAddresses) => void,
  ): void {
    for (const piece of rangePieces[range]!) {
      const { begin, end } = piece;
      const state = stateOfPiece[piece.index]!; // one a piece
      work(piece, { weights: weights + 4 * begin, gradient: gradient + 4 * begin, state, count: end - begin });
    }
  }

  function descend(given: UpdateStep): RangeWork | undefined {
    if (gradientFactor(given.clipNorm) === undefined) return undefined;
    const ratios = trustRatios(norms, allPieces);
    return (range) => {
      forEachPiece(range, given, ({ parameter }, { weights, gradient, count }) => {
        kernel.descend(weights, gradient, count, given.learningRate * ratios[parameter]!);
      });
      layout.roundWeights?.(range);
    };
  }

  return {
    ranges,
    takeMean(root, gradient, sampleCount) {
      const factor = Math.fround(1 / sampleCount);
      const widen = layout.nodes.widen(root, gradient);
      return (range) => {
        widen(range);
        const count = Math.min(RANGE_FLOATS, P - RANGE_FLOATS * range);
        squareSums[range] = kernel.scaleSquareSum(gradient + 4 * RANGE_FLOATS * range, count, factor);
      };
    },
    squareNorm,
    update(given) {
      const factor = gradientFactor(given.clipNorm);
      if (factor === undefined) return undefined;
      const { step, learningRate } = given;
      return (range) => {
        forEachPiece(range, given, ({ index, weightDecay }, at) => {
          const terms = { gradientFactor: factor, weightDecay };
          if (optimizer.kind !== 'lamb') {
            kernel.update(optimizer, at, step, learningRate, terms);
            return;
          }
          kernel.lambDirection(optimizer, at, step, terms);
          norms[NORM_DOUBLES * index] = kernel.squareSum(at.weights, at.count);
          norms[NORM_DOUBLES * index + 1] = kernel.squareSum(at.gradient, at.count);
        });
        if (optimizer.kind !== 'lamb') layout.roundWeights?.(range);
      };
    },
    descend: optimizer.kind === 'lamb' ? descend : undefined,
  };
}

/** Doubles that `UpdateLayout` takes: square sums, then norms. */
export function updateTableLengths(settings: UpdateSettings): {
  readonly squareSums: number;
  readonly norms: number;
} {
  const pieces = piecesOf(settings);
  const norms = settings.optimizer.kind === 'lamb' ? NORM_DOUBLES * pieces.flat().length : 0;
  return { squareSums: pieces.length, norms };
}
