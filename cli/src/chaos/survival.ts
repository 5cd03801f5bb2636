/** What a run made of the faults, from the two lists of what happened. Pure. */
import type { RunEvent } from '#training';
import { FAULT_KINDS, type FaultKind } from './fault-plan.js';
import type { InflictedFault } from './nemesis.js';

type Finished = Extract<RunEvent, { event: 'run_finished' }>;

/** Of one kind. Times are the longest of its faults, in milliseconds; absent where nothing of the kind came. */
export interface FaultTally {
  readonly kind: FaultKind;
  readonly struck: number;
  /** After which the run made another step. */
  readonly survived: number;
  /** From a worker's silence or its broken connection until it was declared lost. */
  readonly noticedMs?: number;
  /** From the fault to the next step told of; steps are told of ten times a second. */
  readonly nextStepMs?: number;
}

/** One run: how long it trained, and what came out. */
export interface Outcome {
  readonly run: string;
  readonly seconds: number;
  readonly goodput: number;
  readonly weightsSha256: string;
  readonly optimizerSha256: string;
}

export interface Survival {
  readonly faults: readonly FaultTally[];
  readonly missed: number;
  readonly calm: Outcome;
  /** Absent: the run did not finish. */
  readonly disturbed?: Outcome;
  /** Both hashes are equal. */
  readonly sameBits: boolean;
}

/** @param disturbed all that was told of the run with faults */
export function tellSurvival(
  calm: readonly RunEvent[],
  disturbed: readonly RunEvent[],
  inflicted: readonly InflictedFault[],
): Survival {
  const calmOutcome = outcomeOf(calm);
  if (calmOutcome === undefined) throw new Error('the calm run has no end');
  const outcome = outcomeOf(disturbed);
  const sameBits =
    calmOutcome.weightsSha256 === outcome?.weightsSha256 && calmOutcome.optimizerSha256 === outcome.optimizerSha256;
  const struck = inflicted.filter(({ missed }) => !missed);
  return {
    faults: FAULT_KINDS.map((kind) =>
      tally(
        kind,
        struck.filter((fault) => fault.kind === kind),
        disturbed,
      ),
    ).filter((one) => one.struck > 0),
    missed: inflicted.length - struck.length,
    calm: calmOutcome,
    ...(outcome === undefined ? {} : { disturbed: outcome }),
    sameBits,
  };
}

function tally(kind: FaultKind, faults: readonly InflictedFault[], events: readonly RunEvent[]): FaultTally {
  const nextSteps = faults.flatMap(({ time }) => timesAfter(events, 'step_committed', time).slice(0, 1));
  const noticed = events.flatMap((event) =>
    event.event === 'worker_lost' && faults.some(({ pid }) => pid === event.pid) ? [event.detectedInMs] : [],
  );
  return {
    kind,
    struck: faults.length,
    survived: faults.filter(
      ({ time }) =>
        timesAfter(events, 'step_committed', time).length + timesAfter(events, 'run_finished', time).length > 0,
    ).length,
    ...(noticed.length === 0 ? {} : { noticedMs: Math.max(...noticed) }),
    ...(nextSteps.length === 0 ? {} : { nextStepMs: Math.max(...nextSteps) }),
  };
}

/** Milliseconds from `time` to each later event of that name. */
function timesAfter(events: readonly RunEvent[], name: RunEvent['event'], time: number): readonly number[] {
  return events
    .filter((event) => event.event === name)
    .map((event) => Date.parse(event.time) - time)
    .filter((afterMs) => afterMs >= 0);
}

/** Time counts from `run_started`, deaths and recoveries included. */
function outcomeOf(events: readonly RunEvent[]): Outcome | undefined {
  const started = events.find(({ event }) => event === 'run_started');
  const last = events.findLast((event): event is Finished => event.event === 'run_finished');
  if (started === undefined || last === undefined) return undefined;
  const { run, time, goodput, weightsSha256, optimizerSha256 } = last;
  const seconds = (Date.parse(time) - Date.parse(started.time)) / 1000;
  return { run, seconds, goodput, weightsSha256, optimizerSha256 };
}
