/** Milliseconds between two of the same kind. */
const PAUSE_MS = 1_000;

/**
 * Tells at most one thing a second of what strangers can make happen as often as they like, and how many more there were
 * since the last time.
 */
export function seldom<Facts extends readonly unknown[]>(
  tell: (more: number, ...facts: Facts) => void,
  now: () => number = () => performance.now(),
): (...facts: Facts) => void {
  let lastMs = Number.NEGATIVE_INFINITY;
  let untold = 0;
  return (...facts) => {
    if (now() - lastMs < PAUSE_MS) {
      untold++;
      return;
    }
    lastMs = now();
    tell(untold, ...facts);
    untold = 0;
  };
}
