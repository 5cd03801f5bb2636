const ROLLBACK_RATE = 0.5;

/**
 * The learning rate of a step after the run went back: half of what the schedule says, for each time it went back to this
 * step or one before it.
 * @param rollbacks the steps it went back to
 */
export function loweredRate(rate: number, rollbacks: readonly number[], step: number): number {
  return rollbacks.reduce((lowered, to) => (step >= to ? lowered * ROLLBACK_RATE : lowered), rate);
}
