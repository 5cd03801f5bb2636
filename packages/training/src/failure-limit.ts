/** Slows down whoever guesses secrets: after a few failures each further attempt must wait, and longer every time. */

/** Failures of one origin in a minute that cost nothing. */
const FREE_FAILURES = 5;
const MEMORY_MS = 60_000;
const FIRST_DELAY_MS = 1_000;
const LONGEST_DELAY_MS = 60_000;
/** Origins remembered at a time; the one that failed longest ago is forgotten first. */
const MOST_ORIGINS = 1_024;

export interface FailureLimit {
  /** Milliseconds until this origin may try again; 0: now. */
  wait(origin: string, nowMs: number): number;
  failed(origin: string, nowMs: number): void;
}

interface Failures {
  readonly count: number;
  readonly lastMs: number;
}

export function startFailureLimit(): FailureLimit {
  const origins = new Map<string, Failures>();
  const known = (origin: string, nowMs: number): Failures | undefined => {
    const failures = origins.get(origin);
    return failures === undefined || nowMs - failures.lastMs > Math.max(MEMORY_MS, delayOf(failures.count))
      ? undefined
      : failures;
  };
  return {
    wait: (origin, nowMs) => {
      const failures = known(origin, nowMs);
      return failures === undefined ? 0 : Math.max(0, failures.lastMs + delayOf(failures.count) - nowMs);
    },
    failed: (origin, nowMs) => {
      const count = (known(origin, nowMs)?.count ?? 0) + 1;
      origins.delete(origin); // a map keeps the order of insertion: this one is the newest now
      origins.set(origin, { count, lastMs: nowMs });
      const [oldest] = origins.keys();
      if (origins.size > MOST_ORIGINS && oldest !== undefined) origins.delete(oldest);
    },
  };
}

function delayOf(count: number): number {
  return count < FREE_FAILURES ? 0 : Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** (count - FREE_FAILURES));
}
