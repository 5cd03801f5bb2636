/** Keeps a failing connection from flooding whoever listens. */

const INTERVAL_MS = 1000;

/** Passes on the first error of each second; the next one passed on says how many were kept back. */
export function limitErrors(onError: (error: Error) => void, now: () => number = Date.now): (error: unknown) => void {
  let lastMs = Number.NEGATIVE_INFINITY;
  let keptBack = 0;
  return (reason) => {
    const error = reason instanceof Error ? reason : new Error(String(reason));
    if (now() - lastMs < INTERVAL_MS) {
      keptBack++;
      return;
    }
    lastMs = now();
    const more = keptBack === 0 ? '' : ` (and ${keptBack} more errors before)`;
    keptBack = 0;
    onError(more === '' ? error : new Error(`${error.message}${more}`, { cause: error }));
  };
}
