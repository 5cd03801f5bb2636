/** One job, trained in peace and in trouble. */
import { formatError } from '#job';
import { RopeteamError, type RunEvent, type RunId } from '#training';
import type { ClusterParts } from '../cluster/cluster.js';
import type { FinalEvent } from '../commands/follow-run.js';
import type { JobInput } from '../commands/job-input.js';
import type { LocalOptions, Nemesis, trainLocally } from '../commands/local-run.js';
import type { Context } from '../context.js';
import { openReporter, type Reporter } from '../progress/reporter.js';
import type { PlannedFault } from './fault-plan.js';
import { type InflictedFault, startNemesis } from './nemesis.js';
import { openRelay } from './relay.js';
import { openTimeline } from './timeline.js';

export interface Experiment {
  readonly input: JobInput;
  readonly local: LocalOptions;
  readonly context: Context;
  readonly train: typeof trainLocally;
  /** The cluster that is about to be troubled is up. */
  readonly onCluster?: (parts: ClusterParts) => void;
}

export interface Told {
  readonly events: readonly RunEvent[];
  readonly last: FinalEvent;
}

export async function trainInPeace(run: RunId, { input, local, context, train }: Experiment): Promise<Told> {
  const events: RunEvent[] = [];
  const reporter = alsoHeard(openReporter(context.terminal, local), (event) => void events.push(event));
  const last = await train({ run, input, local, context, reporter });
  return { events, last };
}

/** A run that fails is an answer here: its events tell why. */
export async function trainInTrouble(
  run: RunId,
  plan: readonly PlannedFault[],
  { input, local, context, train, onCluster }: Experiment,
): Promise<{ readonly events: readonly RunEvent[]; readonly inflicted: readonly InflictedFault[] }> {
  const { terminal, interrupts } = context;
  const events: RunEvent[] = [];
  const inflicted: InflictedFault[] = [];
  const over = new AbortController();
  let begin: () => void = () => undefined;
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const timeline = openTimeline(terminal, { run, json: local.json });
  const reporter = alsoHeard(timeline, (event) => {
    events.push(event);
    if (event.event === 'step_committed') begin();
    if (event.event === 'run_finished' || event.event === 'run_failed') over.abort();
  });
  await using relay = await openRelay();
  const nemesis: Nemesis = {
    route: async (coordinator: string) => relay.to(coordinator),
    meet: (parts: ClusterParts) => {
      onCluster?.(parts);
      return startNemesis({
        ...{ plan, parts, relay, begun },
        signal: AbortSignal.any([over.signal, interrupts.orderly]),
        onFault: (fault) => {
          inflicted.push(fault);
          timeline.fault(fault);
        },
      });
    },
  };
  try {
    await train({ run, input, local, context, reporter, nemesis });
  } catch (error) {
    if (!(error instanceof RopeteamError)) throw error;
    terminal.say(formatError(error, { color: terminal.colourTalk }));
  }
  return { events, inflicted };
}

function alsoHeard(reporter: Reporter, hear: (event: RunEvent) => void): Reporter {
  return {
    event: (event) => {
      hear(event);
      reporter.event(event);
    },
    note: (text) => reporter.note(text),
    [Symbol.dispose]: () => reporter[Symbol.dispose](),
  };
}
