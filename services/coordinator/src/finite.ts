/** What has diverged is neither saved nor told: NaN and the infinities are no results. */
import { setImmediate } from 'node:timers/promises';
import { type Metrics, RopeteamError, type SplitName, type Step } from '#training';

/** Floats looked at in one go: a few milliseconds. */
const PIECE_FLOATS = 1 << 20;

/** Whether no weight is NaN or an infinity. Lets the event loop breathe: for memory that nobody writes meanwhile. */
export async function areFiniteUnhurried(weights: Float32Array): Promise<boolean> {
  for (let begin = 0; begin < weights.length; begin += PIECE_FLOATS) {
    if (!weights.subarray(begin, begin + PIECE_FLOATS).every(Number.isFinite)) return false;
    if (begin + PIECE_FLOATS < weights.length) await setImmediate();
  }
  return true;
}

/** Whether every figure there is can be written as JSON. */
export function areFiniteMetrics(metrics: Metrics): boolean {
  return Object.values(metrics).every((figure) => typeof figure !== 'number' || Number.isFinite(figure));
}

/**
 * Refuses to call a model what has diverged. The gradient of a step is judged before its update, so only the update itself,
 * and what is measured after it, can still be out of range.
 * @throws RopeteamError RUN.NONFINITE
 */
export function checkFinite(
  version: Step,
  weights: Float32Array,
  metrics: Readonly<Partial<Record<SplitName, Metrics>>>,
): void {
  const index = weights.findIndex((weight) => !Number.isFinite(weight));
  const split = Object.entries(metrics).find(([, figures]) => !areFiniteMetrics(figures))?.[0];
  if (index < 0 && split === undefined) return;
  const what = index < 0 ? `the loss on the ${split} split` : `weight ${index} of ${weights.length}`;
  throw new RopeteamError(
    'RUN.NONFINITE',
    { step: version - 1 },
    `after step ${version - 1} ${what} is NaN or an infinity: the run has diverged`,
    { hint: 'lower the learning rate, or set train.clipNorm' },
  );
}
