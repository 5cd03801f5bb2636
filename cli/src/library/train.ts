/** `train(job)`: one run on this machine, from another program. */
import { resolve } from 'node:path';
import type { KernelChoice } from '#engine';
import { fromEnvelope, RopeteamError, type RunEvent, runId } from '#training';
import { openCluster } from '../cluster/cluster.js';
import { type FinalEvent, openClient, SHORT_PATIENCE_MS } from '../commands/follow-run.js';
import { loadJob, newRunId } from '../commands/job-input.js';
import { submitOnce } from '../commands/local-run.js';
import { readEnvironment } from '../environment.js';
import { untilAborted } from '../interrupts.js';
import { createEventHistory } from './event-history.js';

export interface TrainSettings {
  /** Worker processes; 1 unless given. The weights do not depend on it. */
  readonly workers?: number;
  /** Kernel threads of a worker; the cores shared out unless given. */
  readonly threads?: number;
  readonly kernel?: KernelChoice;
  /** Folder of the runs, `runs` unless given. */
  readonly out?: string;
  /** Name of the run; made of the job's name unless given. */
  readonly run?: string;
  /** Changes to the job, as of `--set`: `train.epochs=3`. */
  readonly set?: readonly string[];
  readonly seed?: number;
  /** A safetensors file to start from. */
  readonly initFrom?: string;
  /** The Redis to use; found or started unless given. */
  readonly redisUrl?: string;
  /** Ends the run after its step; the model up to there is kept, and `stoppedBy` is `user`. */
  readonly signal?: AbortSignal;
}

/** How a run ended: the fields of `run_finished`, `modelPath` for `loadModel` among them. */
export type TrainedRun = Extract<RunEvent, { event: 'run_finished' }>;

/** A run in progress. Iterating gives its events from the first on, of steps at most ten a second. */
export interface Training extends AsyncIterable<RunEvent> {
  /** Rejects with a `RopeteamError`, or with the signal's reason when it was aborted before the run began. */
  readonly result: Promise<TrainedRun>;
}

/**
 * Starts a run: a Redis unless there is one, a coordinator and workers as processes of their own, all gone when `result`
 * settles.
 * @param job path of a job file; its data are beside it
 */
export function train(job: string, settings: TrainSettings = {}): Training {
  const history = createEventHistory<RunEvent>();
  const result = runJob(job, settings, (event) => history.add(event));
  result.then(
    () => history.end(),
    (error: unknown) => history.end(error), // an iteration and `result` both tell; either may be all that is looked at
  );
  return { result, [Symbol.asyncIterator]: () => history[Symbol.asyncIterator]() };
}

async function runJob(path: string, settings: TrainSettings, onEvent: (event: RunEvent) => void): Promise<TrainedRun> {
  const { workers = 1, threads, kernel = 'wasm', out = 'runs', run, set = [], seed, initFrom, redisUrl } = settings;
  const signal = settings.signal ?? new AbortController().signal;
  signal.throwIfAborted();
  const directory = process.cwd();
  const environment = readEnvironment(process.env);
  const input = await loadJob(resolve(directory, path), directory, {
    set,
    ...(seed === undefined ? {} : { seed }),
    ...(initFrom === undefined ? {} : { initFrom }),
  });
  const id = run === undefined ? newRunId(input) : runId(run);
  await using cluster = await openCluster(
    {
      workers,
      threads,
      kernel,
      grain: 'auto',
      runsDirectory: resolve(directory, out),
      dataRoot: input.root,
      redisUrl: redisUrl ?? environment.redisUrl,
      port: 0,
      httpPort: 0,
      only: id,
      environment,
      onNotice: () => undefined,
      onLog: undefined,
    },
    signal,
  );
  using client = openClient(cluster.grpc, SHORT_PATIENCE_MS);
  await Promise.race([untilAborted(submitOnce(client, input, id), signal), cluster.broken]);
  const watching = new AbortController();
  const unstoppable = new Promise<never>((_resolve, reject) => {
    const stop = (): void => void client.stop(id, 'aborted by the program').catch(reject);
    signal.addEventListener('abort', stop, { once: true, signal: watching.signal });
    if (signal.aborted) stop();
  });
  const follow = async (): Promise<FinalEvent> => {
    for await (const event of client.watch(id, 0, watching.signal, 'sampled')) {
      onEvent(event);
      if (event.event === 'run_finished' || event.event === 'run_failed') return event;
    }
    throw new RopeteamError(
      'COORDINATOR.UNREACHABLE',
      { address: cluster.grpc },
      'the events ended before the run did',
    );
  };
  try {
    const last = await Promise.race([follow(), cluster.broken, unstoppable]);
    if (last.event === 'run_failed') throw fromEnvelope(last);
    return last;
  } finally {
    watching.abort();
  }
}
