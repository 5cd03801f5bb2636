/** How long a lease of whole steps is. */
import { windowRows } from '#kernel';
import type { RunShape } from './run-shape.js';

/** Steps of one lease at the most: bounds its receipt, some 150 bytes a step. */
export const MOST_LEASE_STEPS = 1024;

/**
 * Where the lease ends that begins at step `first`: never beyond the end of the epoch, which is measured, nor beyond
 * that of the run, nor beyond a step whose weights are to be saved.
 *
 * Where samples come in windows, it has at most an eighth of one: the rows of a lease are held until its end, and the next
 * window takes the place of the one before.
 */
export function leaseEnd(shape: RunShape, first: number, most: number): number {
  const next = (every: number): number => (Math.floor(first / every) + 1) * every;
  const held = shape.windows === undefined ? most : Math.floor(windowRows(shape.windows) / 8 / shape.batch);
  const length = Math.max(1, Math.min(most, held, MOST_LEASE_STEPS));
  return Math.min(first + length, next(shape.stepsPerEpoch), next(shape.saveEverySteps ?? shape.steps), shape.steps);
}
