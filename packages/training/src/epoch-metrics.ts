import type { LossSums } from '#kernel';
import type { Metrics } from './events.js';
import type { Task } from './job-spec.js';

export const NO_SUMS: LossSums = {
  sampleCount: 0,
  lossSum: 0,
  correctCount: 0,
  squaredErrorSum: 0,
  targetSum: 0,
  targetSquareSum: 0,
};

/**
 * Mean loss, and accuracy (classification) or r² (regression), from sums over samples.
 *
 * r² = 1 - Σ(prediction - target)² / Σ(target - mean target)², pooled over all outputs as they are trained on: of scaled
 * targets each weighs the same, of others the one with the largest numbers most. Left out where all targets are equal,
 * because then it has no value.
 * @param outputs numbers in one target
 */
export function metricsOf(sums: LossSums, task: Task, outputs: number): Metrics {
  const loss = sums.lossSum / sums.sampleCount;
  if (task === 'classification') return { loss, accuracy: sums.correctCount / sums.sampleCount };
  const spread = sums.targetSquareSum - (sums.targetSum * sums.targetSum) / (sums.sampleCount * outputs);
  return spread > 0 ? { loss, r2: 1 - sums.squaredErrorSum / spread } : { loss };
}
