import { addLossSums, type LossSums } from '#kernel';

/** Doubles one `LossSums` takes in a table. */
export const LOSS_SUMS_LENGTH = 6;

/** Chunks evaluated by one command: the table of their sums must have a size that does not follow from the data. */
export const EVALUATION_WAVE = 1024;

/** Doubles of the table that gradients and evaluations leave their sums in. */
export const sumsTableLength = (microBatches: number): number =>
  LOSS_SUMS_LENGTH * Math.max(microBatches, EVALUATION_WAVE);

/** What no samples leave behind. */
export const NO_LOSS: LossSums = {
  sampleCount: 0,
  lossSum: 0,
  correctCount: 0,
  squaredErrorSum: 0,
  targetSum: 0,
  targetSquareSum: 0,
};

/** Writes row `row` of a table of sums that starts at `numbers[start]`. */
export function writeLossSums(numbers: Float64Array, start: number, row: number, sums: LossSums): void {
  const at = start + row * LOSS_SUMS_LENGTH;
  numbers[at] = sums.sampleCount;
  numbers[at + 1] = sums.lossSum;
  numbers[at + 2] = sums.correctCount;
  numbers[at + 3] = sums.squaredErrorSum;
  numbers[at + 4] = sums.targetSum;
  numbers[at + 5] = sums.targetSquareSum;
}

export function readLossSums(numbers: Float64Array, start: number, row: number): LossSums {
  const at = start + row * LOSS_SUMS_LENGTH;
  return {
    sampleCount: numbers[at]!,
    lossSum: numbers[at + 1]!,
    correctCount: numbers[at + 2]!,
    squaredErrorSum: numbers[at + 3]!,
    targetSum: numbers[at + 4]!,
    targetSquareSum: numbers[at + 5]!,
  };
}

/** Folds rows `[0, count)` of a table, `count` a power of two, up the tree: the sums of a block from its micro-batches'. */
export function foldLossSumsTable(numbers: Float64Array, start: number, count: number, first = 0): LossSums {
  if (count === 1) return readLossSums(numbers, start, first);
  const half = count / 2;
  return addLossSums(
    foldLossSumsTable(numbers, start, half, first),
    foldLossSumsTable(numbers, start, half, first + half),
  );
}
