import { integerPower } from './integer-power.js';
import type { OptimizerSpec, ScheduleSpec } from './model-spec.js';

/**
 * Learning rate of update number `step` (from 0) of `totalSteps`, in double precision.
 *
 * With w warm-up steps, step s < w has (s + 1) / (w + 1) of the full rate: a line that leaves zero one step before the
 * run, so that no step is spent at rate zero and step w has the full rate. After it, with t = step - w:
 *
 * - `step`: rate · factor^⌊t / every⌋; `exponential`: rate · factor^t
 * - `linear`, `cosine`: from the full rate at t = 0 to `to` of it at t = totalSteps - w, the first step not taken
 */
export function learningRateAt(
  schedule: ScheduleSpec,
  optimizer: OptimizerSpec,
  step: number,
  totalSteps: number,
): number {
  const full = optimizer.learningRate;
  const { warmup, after } = schedule;
  if (step < warmup) return (full * (step + 1)) / (warmup + 1);
  const since = step - warmup;
  const progress = Math.min(1, since / Math.max(1, totalSteps - warmup));
  switch (after.kind) {
    case 'constant':
      return full;
    case 'step':
      return full * integerPower(after.factor, Math.floor(since / after.every));
    case 'exponential':
      return full * integerPower(after.factor, since);
    case 'linear':
      return full * (1 + (after.to - 1) * progress);
    case 'cosine':
      return full * (after.to + (1 - after.to) * 0.5 * (1 + cosineOfHalfTurns(progress)));
    default:
      return after satisfies never;
  }
}

/** cos(π·x) for x in [0, 1] by its Taylor series: Math.cos may differ in the last bit from one engine to the next. */
export function cosineOfHalfTurns(x: number): number {
  if (x > 0.5) return -cosineOfHalfTurns(1 - x);
  const angle = Math.PI * x;
  const square = angle * angle;
  let sum = 0;
  // Horner from the term in angle²²: at angle = π/2 the first term left out is below 1e-19.
  for (let n = 22; n >= 2; n -= 2) sum = (-square / (n * (n - 1))) * (1 + sum);
  return 1 + sum;
}
