import type { LossSums } from './kernel.js';

/** Adds two sums, field by field: one node of the reduction tree over micro-batches, left the lower ones. */
export function addLossSums(left: LossSums, right: LossSums): LossSums {
  return {
    sampleCount: left.sampleCount + right.sampleCount,
    lossSum: left.lossSum + right.lossSum,
    correctCount: left.correctCount + right.correctCount,
    squaredErrorSum: left.squaredErrorSum + right.squaredErrorSum,
    targetSum: left.targetSum + right.targetSum,
    targetSquareSum: left.targetSquareSum + right.targetSquareSum,
  };
}
