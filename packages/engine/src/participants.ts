/**
 * How many threads a call wakes. Waking one and meeting it again costs some 50 µs (measured on Node 20, Linux), so a
 * thread is woken for no less than about 75-150 µs of the fast kernel's work. Who takes part never changes a bit.
 */

/** Samples × parameters: 3 million floating-point operations. */
const GRADIENT_WORK = 500_000;
/** Ranges of 16 Ki parameters: each is folded, scaled, squared and updated. */
const AVERAGE_WORK = 8;

/** @param pieces most threads that can work at the same time */
export function gradientParticipants(threads: number, pieces: number, samples: number, parameterCount: number): number {
  return atLeastOne(Math.min(threads, pieces, Math.ceil((samples * parameterCount) / GRADIENT_WORK)));
}

export function averageParticipants(threads: number, ranges: number): number {
  return atLeastOne(Math.min(threads, Math.ceil(ranges / AVERAGE_WORK)));
}

/** A block may hold no samples at all, and its gradient is zero all the same. */
const atLeastOne = (threads: number): number => Math.max(1, threads);
