import { ARGUMENTS, type ControlBlock, RESULTS, TABLE } from './control-block.js';
import { NORM_DOUBLES } from './lamb-norms.js';
import type { Fold } from './reduction-tree.js';

/** Commands of an averager's threads. */
export const AVERAGE = 1;
export const ADOPT = 2;
/** Makes the weights as they travel. */
export const ROUND_WEIGHTS = 3;

export interface AverageArguments {
  readonly step: number;
  readonly sampleCount: number;
  readonly learningRate: number;
  /** Infinity: no clipping. */
  readonly clipNorm: number;
  /** Nothing is updated. */
  readonly leaveOut: boolean;
  /** Byte address of the slot that holds the root once all folds are done. */
  readonly root: number;
  /** Between byte addresses of slots, children before parents; at most M - 1. */
  readonly folds: readonly Fold[];
}

const FOLD_DOUBLES = 4;

/** Results, besides the weights' hash at `RESULTS`. */
export const SQUARE_NORM = RESULTS + 1;

/**
 * The table holds M - 1 folds, four doubles each, then one partial square sum a range of parameters, then LAMB's norms.
 * @param normPieces pieces that leave a part of their parameter's norms; 0 for an optimizer without
 */
export const averagerTableLength = (microBatches: number, ranges: number, normPieces: number): number =>
  FOLD_DOUBLES * (microBatches - 1) + ranges + NORM_DOUBLES * normPieces;
export const squareSumsAt = (microBatches: number): number => TABLE + FOLD_DOUBLES * (microBatches - 1);
export const normsAt = (microBatches: number, ranges: number): number => squareSumsAt(microBatches) + ranges;

export function writeAverageArguments({ numbers }: ControlBlock, given: AverageArguments): void {
  const { step, sampleCount, learningRate, clipNorm, root, folds, leaveOut } = given;
  numbers.set([step, sampleCount, learningRate, clipNorm, root, folds.length, leaveOut ? 1 : 0], ARGUMENTS);
  numbers.set(
    folds.flatMap(({ into, right, begin, end }) => [into, right, begin, end]),
    TABLE,
  );
}

export function readAverageArguments({ numbers }: ControlBlock): AverageArguments {
  const foldAt = (row: number): Fold => {
    const at = TABLE + FOLD_DOUBLES * row;
    return { into: numbers[at]!, right: numbers[at + 1]!, begin: numbers[at + 2]!, end: numbers[at + 3]! };
  };
  return {
    step: numbers[ARGUMENTS]!,
    sampleCount: numbers[ARGUMENTS + 1]!,
    learningRate: numbers[ARGUMENTS + 2]!,
    clipNorm: numbers[ARGUMENTS + 3]!,
    root: numbers[ARGUMENTS + 4]!,
    leaveOut: numbers[ARGUMENTS + 6] === 1,
    folds: Array.from({ length: numbers[ARGUMENTS + 5]! }, (_, row) => foldAt(row)),
  };
}

export interface AdoptArguments {
  /** Byte address of the weights that were received, the optimizer's slots behind them. */
  readonly place: number;
  readonly weightsHash: bigint;
}

export function writeAdoptArguments({ numbers }: ControlBlock, { place, weightsHash }: AdoptArguments): void {
  numbers[ARGUMENTS] = place;
  new BigUint64Array(numbers.buffer)[ARGUMENTS + 1] = weightsHash;
}

export function readAdoptArguments({ numbers }: ControlBlock): AdoptArguments {
  return { place: numbers[ARGUMENTS]!, weightsHash: new BigUint64Array(numbers.buffer)[ARGUMENTS + 1]! };
}
