/** How long a lease of whole steps is. */
import type { RunShape } from './run-shape.js';

/** Steps of one lease at the most: bounds its receipt, some 150 bytes a step. */
export const MOST_LEASE_STEPS = 1024;

/**
 * Where the lease ends that begins at step `first`: never beyond the end of the epoch, which is measured, nor beyond
 * that of the run, nor beyond a step whose weights are to be saved.
 */
export function leaseEnd(shape: RunShape, first: number, most: number): number {
  const next = (every: number): number => (Math.floor(first / every) + 1) * every;
  const length = Math.max(1, Math.min(most, MOST_LEASE_STEPS));
  return Math.min(first + length, next(shape.stepsPerEpoch), next(shape.saveEverySteps ?? shape.steps), shape.steps);
}
