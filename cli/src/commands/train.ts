/** `ropeteam train JOB`: one run on this machine, from a job file to a trained model, leaving nothing else behind. */
import { resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { KernelChoice } from '#engine';
import type { RunClient } from '#protocol';
import { type RunId, runId } from '#training';
import { type Cluster, type GrainChoice, openCluster } from '../cluster/cluster.js';
import type { Context } from '../context.js';
import { untilAborted } from '../interrupts.js';
import { openReporter, type Reporter } from '../progress/reporter.js';
import { type FinalEvent, followRun, openClient, reportEnd, SHORT_PATIENCE_MS } from './follow-run.js';
import { type JobInput, type JobOverrides, loadJob, submissionOf } from './job-input.js';

export interface TrainOptions extends JobOverrides {
  readonly workers: number;
  readonly threads?: number;
  readonly kernel: KernelChoice;
  readonly grain: GrainChoice;
  readonly out: string;
  readonly runId?: RunId;
  readonly redisUrl?: string;
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly everyStep: boolean;
}

/** After a broken event stream: time for the news that the coordinator itself is gone, the better explanation. */
const EXPLANATION_MS = 1_000;

/** Returns the exit code. @throws RopeteamError, or Interrupted when the user did not wait for the run's end */
export async function train(path: string, options: TrainOptions, context: Context): Promise<number> {
  const { interrupts, environment, terminal } = context;
  const input = await loadJob(path, context.directory, options);
  using reporter = openReporter(terminal, options);
  await using cluster = await openCluster(
    {
      workers: options.workers,
      threads: options.threads,
      kernel: options.kernel,
      grain: options.grain,
      runsDirectory: resolve(context.directory, options.out),
      redisUrl: options.redisUrl ?? environment.redisUrl,
      port: 0,
      httpPort: 0,
      environment,
      onNotice: (text) => reporter.note(text),
      onLog: options.verbose ? (text) => terminal.say(text) : undefined,
    },
    interrupts.orderly,
  );
  using client = openClient(cluster.grpc, SHORT_PATIENCE_MS);
  const last = await runToEnd(input, options.runId, {
    cluster,
    client,
    reporter,
    everyStep: options.everyStep,
    context,
  });
  reporter[Symbol.dispose](); // the display ends above the summary
  const next = nextCommand(path, options, last, environment.commandName);
  const exitCode = reportEnd(last, { json: options.json, next }, context);
  return interrupts.first()?.exitCode ?? exitCode;
}

/** What to try now: the promise itself where the run was whole, the whole run where it was not. */
function nextCommand(path: string, options: TrainOptions, last: FinalEvent, commandName: string): string {
  const changes = [
    ...(options.seed === undefined ? [] : ['--seed', String(options.seed)]),
    ...options.set.flatMap((change) => ['--set', change]),
    // Another kernel has other bits.
    ...(options.kernel === 'wasm' ? [] : ['--kernel', options.kernel]),
    ...(options.saveEvery === undefined ? [] : ['--save-every', String(options.saveEvery)]),
    ...(options.initFrom === undefined ? [] : ['--init-from', options.initFrom]),
  ];
  const again = [commandName, 'train', ...[path, ...changes].map(forShell)].join(' ');
  if (last.event === 'run_finished' && last.stoppedBy === 'user') return `${again}   trains to the end`;
  return `${again} --workers ${options.workers * 2}   gives the same sha256`;
}

/** A word as a shell takes it for one word. */
function forShell(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

interface Running {
  readonly cluster: Cluster;
  readonly client: RunClient;
  readonly reporter: Reporter;
  readonly everyStep: boolean;
  readonly context: Context;
}

/**
 * Submits and watches. The first interrupt asks the coordinator to stop the run, which still ends in a model and a
 * `run_finished`; the second kills the processes and throws.
 */
async function runToEnd(input: JobInput, named: RunId | undefined, running: Running): Promise<FinalEvent> {
  const { cluster, client, reporter, everyStep } = running;
  const { orderly, immediate } = running.context.interrupts;
  const submitted = client.submit(submissionOf(input, named));
  const queued = await Promise.race([untilAborted(submitted, orderly), cluster.broken]);
  const run = runId(queued.run);
  const stop = (): void => {
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
