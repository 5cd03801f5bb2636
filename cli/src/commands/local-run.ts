/** One run on a cluster of its own: started for it, watched to its end, gone with it. */
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { KernelChoice } from '#engine';
import type { RunClient } from '#protocol';
import { RopeteamError, type RunId } from '#training';
import { type Cluster, type ClusterParts, type GrainChoice, openCluster } from '../cluster/cluster.js';
import type { Context } from '../context.js';
import { untilAborted } from '../interrupts.js';
import { openReporter, type Reporter } from '../progress/reporter.js';
import { type FinalEvent, followRun, LONG_PATIENCE_MS, openClient, shortPath } from './follow-run.js';
import { type JobInput, submissionOf } from './job-input.js';

export interface LocalOptions {
  readonly workers: number;
  readonly threads?: number;
  readonly kernel: KernelChoice;
  readonly grain: GrainChoice;
  readonly out: string;
  readonly redisUrl?: string;
  readonly dataMemory?: string;
  readonly dataCacheSize?: string;
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly everyStep: boolean;
}

export interface LocalRun {
  readonly run: RunId;
  /** Absent: the run is in its folder, and goes on. */
  readonly input?: JobInput;
  readonly local: LocalOptions;
  readonly context: Context;
  /** Who hears what happens; default: the terminal. */
  readonly reporter?: Reporter;
  readonly nemesis?: Nemesis;
}

/** Somebody who wants to see the cluster fail. */
export interface Nemesis {
  /** The address workers take for the coordinator's. */
  route(coordinator: string): Promise<string>;
  /** The cluster is up; disposed before it is stopped. */
  meet(parts: ClusterParts): AsyncDisposable;
}

/** After a broken event stream: time for the news that the coordinator itself is gone, the better explanation. */
const EXPLANATION_MS = 1_000;
/** A submission is sent so often while its coordinator dies under it. */
const MOST_SUBMISSIONS = 5;

/** Returns the run's last event. @throws RopeteamError, or Interrupted when the user did not wait for the run's end */
export async function trainLocally({ run, input, local, context, nemesis, ...shown }: LocalRun): Promise<FinalEvent> {
  const { interrupts, environment, terminal } = context;
  using reporter = shown.reporter ?? openReporter(terminal, local);
  await using cluster = await openCluster(
    {
      workers: local.workers,
      threads: local.threads,
      kernel: local.kernel,
      grain: local.grain,
      runsDirectory: resolve(context.directory, local.out),
      ...(input === undefined ? {} : { dataRoot: input.root }),
      dataMemory: local.dataMemory,
      dataCacheSize: local.dataCacheSize,
      redisUrl: local.redisUrl ?? environment.redisUrl,
      port: 0,
      httpPort: 0,
      only: run,
      environment,
      ...(nemesis === undefined ? {} : { routeOfWorkers: (address: string) => nemesis.route(address) }),
      onNotice: (text) => reporter.note(text),
      onLog: local.verbose ? (text) => terminal.say(text) : undefined,
    },
    interrupts.orderly,
  );
  await using _faults = nemesis?.meet(cluster.parts);
  using client = openClient(cluster.grpc, LONG_PATIENCE_MS);
  const begun = input === undefined ? client.resume(run).then(() => undefined) : submitOnce(client, input, run);
  await Promise.race([untilAborted(begun, interrupts.orderly), cluster.broken]);
  return await runToEnd(run, { cluster, client, reporter, everyStep: local.everyStep, context });
}

/** The command that takes a run of this machine up again; where it ended early, with what it was started with. */
export function resumeCommand(
  last: FinalEvent,
  run: RunId,
  { kernel, workers, out }: LocalOptions,
  { environment, directory }: Context,
): string {
  const path = shortPath(last.event === 'run_finished' ? last.runPath : join(resolve(directory, out), run), directory);
  const options = [
    ...(kernel === 'wasm' ? [] : ['--kernel', kernel]),
    ...(workers === 1 ? [] : ['--workers', String(workers)]),
  ];
  return [environment.commandName, 'resume', path, ...options].join(' ');
}

/** Submits until the coordinator has the run: one that dies after it wrote it down knows it when it comes back. */
export async function submitOnce(client: RunClient, input: JobInput, run: RunId): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      // Their folder was told to the coordinator, which reads them there.
      await client.submit({ ...submissionOf(input, run), files: [] });
      return;
    } catch (error) {
      const code = error instanceof RopeteamError ? error.code : undefined;
      if (code === 'RUN.EXISTS' && attempt > 1) return;
      if (code !== 'COORDINATOR.UNREACHABLE' || attempt >= MOST_SUBMISSIONS) throw error;
    }
  }
}

interface Running {
  readonly cluster: Cluster;
  readonly client: RunClient;
  readonly reporter: Reporter;
  readonly everyStep: boolean;
  readonly context: Context;
}

/**
 * Watches. The first interrupt asks the coordinator to stop the run, which still ends in a model and a `run_finished`; the
 * second kills the processes and throws.
 */
async function runToEnd(run: RunId, running: Running): Promise<FinalEvent> {
  const { cluster, client, reporter, everyStep } = running;
  const { orderly, immediate } = running.context.interrupts;
  const stop = (): void => {
    if (immediate.aborted) return;
    reporter.note('stopping: finishing the step and saving the model; press Ctrl-C again to leave at once');
    client
      .stop(run, 'interrupted by the user')
      .catch((error: unknown) => reporter.note(`the run could not be stopped: ${String(error)}`));
  };
  const kill = (): void => cluster.kill();
  orderly.addEventListener('abort', stop, { once: true });
  immediate.addEventListener('abort', kill, { once: true });
  const watching = new AbortController();
  try {
    return await Promise.race([
      followRun(client, run, { reporter, everyStep }, AbortSignal.any([immediate, watching.signal])),
      cluster.broken,
    ]);
  } catch (error) {
    immediate.throwIfAborted();
    await Promise.race([cluster.broken, delay(EXPLANATION_MS)]);
    throw error;
  } finally {
    watching.abort();
    orderly.removeEventListener('abort', stop);
    // `kill` stays: a second Ctrl-C while the parts are being stopped still ends them at once.
  }
}
