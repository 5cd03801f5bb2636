/** Which workers get no work for a while, because what they were given came to nothing again and again. Pure. */
import type { WorkerId } from './identities.js';

export interface Conduct {
  /** Lives in a row that ended without a single result, or results in a row that were of no use. */
  readonly failures: number;
  /** How often it was shut out. */
  readonly times: number;
  /** On the coordinator's monotonic clock: until then it gets no work. */
  readonly untilMs: number;
  /** The same, where it was shut out for other bits. */
  readonly liedUntilMs?: number;
}

export type Conducts = ReadonlyMap<WorkerId, Conduct>;

/** `lost`: it had given no result since it joined. `failed`: its upload was not whole, or its kernel threw. `lied`: other bits. */
export type Misconduct = 'lost' | 'failed' | 'lied';

const UNKNOWN: Conduct = { failures: 0, times: 0, untilMs: 0 };
/** Failures in a row before it is shut out. */
const PATIENCE = 3;
const SHORTEST_MS = 1_000;
const LONGEST_MS = 60_000;

/** After one more failure. @returns for how long it is shut out from now on, where this was one too many */
export function misbehaved(
  conducts: Conducts,
  worker: WorkerId,
  what: Misconduct,
  nowMs: number,
): readonly [Conducts, number | undefined] {
  const before = conducts.get(worker) ?? UNKNOWN;
  // What it computed before it was shut out is judged block by block: wrong results in one breath are one offence.
  if (what === 'lied' && (before.liedUntilMs ?? 0) > nowMs) return [conducts, undefined];
  const failures = before.failures + 1;
  if (what !== 'lied' && failures < PATIENCE) {
    return [new Map([...conducts, [worker, { ...before, failures }]]), undefined];
  }
  const forMs =
    what === 'lied' ? LONGEST_MS * 2 ** before.times : Math.min(LONGEST_MS, SHORTEST_MS * 2 ** before.times);
  // The next failure after its return is one too many at once; a result clears it.
  const untilMs = nowMs + forMs;
  const liedUntilMs = what === 'lied' ? untilMs : before.liedUntilMs;
  const after = {
    ...{ failures: PATIENCE - 1, times: before.times + 1, untilMs },
    ...(liedUntilMs === undefined ? {} : { liedUntilMs }),
  };
  return [new Map([...conducts, [worker, after]]), forMs];
}

/** A result of it counted. What it lied about is not forgotten: `times` stays. */
export function behaved(conducts: Conducts, worker: WorkerId): Conducts {
  const before = conducts.get(worker);
  if (before === undefined || before.failures === 0) return conducts;
  return new Map([...conducts, [worker, { ...before, failures: 0 }]]);
}

export function isShutOut(conducts: Conducts, worker: WorkerId, nowMs: number): boolean {
  return (conducts.get(worker)?.untilMs ?? 0) > nowMs;
}
