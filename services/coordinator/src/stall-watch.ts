/** Notices that this process itself stood still: stopped, swapped out, or kept busy by one long piece of work. */

/** Half the silence after which workers leave: below it nobody else notices either. */
const STALL_MS = 1_000;

/**
 * Returns what to call every `everyMs`: after a call that comes a second or more too late, `stalled` gets how late it is.
 * @param now milliseconds, never going back
 */
export function watchStalls(
  everyMs: number,
  stalled: (stalledMs: number) => void,
  now: () => number = () => performance.now(),
): () => void {
  let lastAt = now();
  return () => {
    const lateMs = now() - lastAt - everyMs;
    lastAt = now();
    if (lateMs >= STALL_MS) stalled(lateMs);
  };
}
