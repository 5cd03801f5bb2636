/** How long items take from being in a worker's hands to their result, and which workers are far slower than the rest. */
import type { WorkerId } from './identities.js';

export interface Pace {
  /** Of the newest results, milliseconds, oldest first. */
  readonly durations: readonly number[];
  /** Items that got a result, and copies given out because a holder took too long. */
  readonly results: number;
  readonly copies: number;
  /** Of each worker that was beaten by a copy: how often in a row. */
  readonly beaten: ReadonlyMap<WorkerId, number>;
}

export const UNKNOWN_PACE: Pace = { durations: [], results: 0, copies: 0, beaten: new Map() };

/** Results that the usual time is taken from, and how many it takes before anybody is called late. */
const REMEMBERED = 32;
const ENOUGH = 8;
/** An item is late after so many times what nine in ten take... */
const LATE_FACTOR = 2;
/** ... but never before: below this a pause of the operating system looks like a slow worker. Milliseconds. */
const SOONEST_MS = 250;
/** Copies at the most: a few, and one for so many results. */
const FREE_COPIES = 4;
const RESULTS_A_COPY = 20;
/** Beaten so often in a row, a worker is a straggler: what it takes is given to another at once. */
const STRAGGLER_AT = 3;

export function withDuration(pace: Pace, durationMs: number): Pace {
  return {
    ...pace,
    results: pace.results + 1,
    durations: [...pace.durations.slice(1 - REMEMBERED), Math.max(0, durationMs)],
  };
}

export function withCopy(pace: Pace): Pace {
  return { ...pace, copies: pace.copies + 1 };
}

/** A worker's own result came first, or a copy of another's did. */
export function withRace(pace: Pace, worker: WorkerId, outcome: 'won' | 'beaten'): Pace {
  if (outcome === 'won' && !pace.beaten.has(worker)) return pace;
  const beaten = new Map(pace.beaten);
  if (outcome === 'won') beaten.delete(worker);
  else beaten.set(worker, (beaten.get(worker) ?? 0) + 1);
  return { ...pace, beaten };
}

export function isStraggler(pace: Pace, worker: WorkerId): boolean {
  return (pace.beaten.get(worker) ?? 0) >= STRAGGLER_AT;
}

/** How long an item may take before a copy is worth it; undefined while that is not known, or enough copies are out. */
export function patienceMs({ durations, results, copies }: Pace): number | undefined {
  if (durations.length < ENOUGH || copies >= FREE_COPIES + results / RESULTS_A_COPY) return undefined;
  const sorted = [...durations].sort((left, right) => left - right);
  const slow = sorted[Math.floor(0.9 * (sorted.length - 1))] ?? 0;
  return Math.max(SOONEST_MS, LATE_FACTOR * slow);
}
