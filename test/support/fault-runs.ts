/** Training one job while something is done to it at a named step, and comparing what came of it. */
import { once } from 'node:events';
import { expect } from 'vitest';
import type { RunEvent } from '#training';
import type { FinishedEvent, TestCluster, TestJob, TestWorker } from './cluster.js';
import { digitsJob } from './jobs.js';

/** Long enough that what is done at its first steps is done in the middle of it. */
export const FAULT_JOB: TestJob = digitsJob({ epochs: 20, microBatches: 4 }, '[{ dense: 32 }, relu]');

export interface DisturbedRun {
  readonly finished: FinishedEvent;
  readonly events: readonly RunEvent[];
}

type EventOf<Name extends RunEvent['event']> = Extract<RunEvent, { readonly event: Name }>;

/** A run in the making whose events can be waited for. */
export interface Disturbance {
  readonly events: readonly RunEvent[];
  /** The first event of that name after so many events, past or to come. */
  next<Name extends RunEvent['event']>(name: Name, after?: number): Promise<EventOf<Name>>;
}

/** Trains a job to its end; `act` begins when step `step` was told. Every event is kept. */
export async function trainAndDisturb(
  cluster: TestCluster,
  step: number,
  act: (run: Disturbance) => Promise<unknown>,
  job: TestJob = FAULT_JOB,
): Promise<DisturbedRun> {
  const events: RunEvent[] = [];
  const heard = new EventTarget();
  const next = async <Name extends RunEvent['event']>(name: Name, after = 0): Promise<EventOf<Name>> => {
    for (let index = after; ; index++) {
      while (index >= events.length) {
        const last = events.at(-1);
        if (last?.event === 'run_finished' || last?.event === 'run_failed') {
          throw new Error(`the run ended before ${name}: ${JSON.stringify(last)}`);
        }
        await once(heard, 'event');
      }
      const event = events[index];
      if (event?.event === name) return event as EventOf<Name>; // narrowed by its name
    }
  };
  let acted: Promise<unknown> | undefined;
  const finishing = cluster.finish(job, (event) => {
    events.push(event);
    heard.dispatchEvent(new Event('event'));
    if (event.event === 'step_committed' && event.step >= step) acted ??= act({ events, next });
    acted?.catch(() => undefined); // thrown below
  });
  const finished = await finishing;
  if (acted === undefined) throw new Error(`the run ended before step ${step}`);
  await acted;
  return { finished, events };
}

/** The promise of the project: the same weights and optimizer state, to the last bit, and the same figures. */
export function expectSameBits(finished: FinishedEvent, calm: FinishedEvent): void {
  expect(finished.weightsSha256).toBe(calm.weightsSha256);
  expect(finished.optimizerSha256).toBe(calm.optimizerSha256);
  expect(finished.test).toEqual(calm.test);
}

export function eventsOf<Name extends RunEvent['event']>(
  { events }: Pick<DisturbedRun, 'events'>,
  name: Name,
): readonly EventOf<Name>[] {
  return events.filter((event): event is EventOf<Name> => event.event === name);
}

/** Resolves when a process is gone. */
export async function untilGone({ process: child }: TestWorker): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}
