/** Which fault comes when, and whom it hits: a function of the seed alone. */
import { PHILOX_DOMAIN, philox4x32, philoxKey } from '#kernel';

export const FAULT_KINDS = [
  'worker-kill',
  'worker-pause',
  'coordinator-kill',
  'redis-flush',
  'redis-kill',
  'connection-cut',
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

interface FaultTime {
  /** Milliseconds after the first step. */
  readonly atMs: number;
}

export type PlannedFault = FaultTime &
  (
    | { readonly kind: 'worker-kill'; readonly worker: number }
    | { readonly kind: 'worker-pause'; readonly worker: number; readonly pauseMs: number }
    | { readonly kind: Exclude<FaultKind, 'worker-kill' | 'worker-pause'> }
  );

export interface FaultPlanOptions {
  readonly seed: number;
  /** From one fault to the next, on average. */
  readonly everyMs: number;
  readonly kinds: readonly FaultKind[];
  readonly workers: number;
}

/** A plan ends, so that a run whose steps take longer than the workers are left alone gets done at last. */
export const MOST_FAULTS = 500;
const LONGEST_PLAN_MS = 3_600_000;
/**
 * A coordinator's death costs the steps since the newest checkpoint. From one to the next it is left alone for twice as
 * long as the time before: however rarely a job saves, the run gets past a checkpoint.
 */
export const FIRST_COORDINATOR_REST_MS = 10_000;
/** Around the 2 s after which a silent worker counts as lost: some come back in time, some find their work given away. */
export const PAUSE_MS = { least: 500, most: 5_000 } as const;

/**
 * Gaps are uniform in 0.5..1.5 times `everyMs`. Kinds come in shuffled rounds, so that even a short run meets each;
 * the turn of a coordinator that is to be left alone passes without a fault.
 */
export function planFaults({ seed, everyMs, kinds, workers }: FaultPlanOptions): readonly PlannedFault[] {
  const draw = startDraws(seed);
  const faults: PlannedFault[] = [];
  let round: FaultKind[] = [];
  let coordinatorRestMs = FIRST_COORDINATOR_REST_MS;
  let coordinatorFreeAtMs = 0;
  for (let atMs = nextTime(0); atMs <= LONGEST_PLAN_MS && faults.length < MOST_FAULTS; atMs = nextTime(atMs)) {
    if (round.length === 0) round = shuffled(kinds, draw);
    const kind = round.pop();
    if (kind === undefined) return [];
    // Drawn for every fault: what comes later doesn't depend on which kinds need them.
    const [worker, pause] = [Math.floor(draw() * workers), draw()];
    if (kind === 'coordinator-kill') {
      if (atMs < coordinatorFreeAtMs) continue;
      coordinatorFreeAtMs = atMs + coordinatorRestMs;
      coordinatorRestMs *= 2;
    }
    if (kind === 'worker-kill') faults.push({ atMs, kind, worker });
    else if (kind === 'worker-pause') faults.push({ atMs, kind, worker, pauseMs: pauseOf(pause) });
    else faults.push({ atMs, kind });
  }
  return faults;

  function nextTime(atMs: number): number {
    return atMs + Math.round(everyMs * (0.5 + draw()));
  }
}

function pauseOf(share: number): number {
  return Math.round(PAUSE_MS.least + share * (PAUSE_MS.most - PAUSE_MS.least));
}

/** Uniform in [0, 1), one after the other. */
function startDraws(seed: number): () => number {
  const key = philoxKey(seed);
  let drawn = 0;
  return () => philox4x32([drawn++, 0, 0, PHILOX_DOMAIN.chaos], key)[0] / 2 ** 32;
}

/** Fisher and Yates. */
function shuffled<Item>(items: readonly Item[], draw: () => number): Item[] {
  const rest = [...items];
  const order: Item[] = [];
  while (rest.length > 0) order.push(...rest.splice(Math.floor(draw() * rest.length), 1));
  return order;
}
