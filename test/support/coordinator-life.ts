/** A coordinator that dies and comes back: its lives one after the other on the same ports, its workers and one run. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connectClient, type RunClient } from '#protocol';
import { type RedisHandle, resolveRedis } from '#queues';
import { RopeteamError, type RunEvent, type RunId } from '#training';
import type { FinishedEvent, TestJob } from './cluster.js';

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
}

export interface Life {
  readonly process: ChildProcess;
  readonly grpc: string;
  readonly http: string;
  readonly ended: Promise<Exit>;
}

export interface LifeOptions {
  /** See `armFailpoints`. */
  readonly failpoints?: string;
  readonly only?: RunId;
  /** Options of its Node.js. */
  readonly nodeOptions?: string;
  /** More of its command line. */
  readonly args?: readonly string[];
  /** More of its environment. */
  readonly variables?: Readonly<Record<string, string>>;
  /** Default: those of the life before. */
  readonly ports?: 'same' | 'others';
}

export interface Lives extends AsyncDisposable {
  readonly runsDirectory: string;
  readonly redis: RedisHandle;
  /** Of the newest life, across its deaths. */
  readonly client: RunClient;
  /** Starts a coordinator; rejects with how it ended when that comes before it is ready. */
  live(options?: LifeOptions): Promise<Life>;
  /** Starts a worker, of the newest life's address unless another is named. */
  work(failpoints?: string, address?: string): Promise<ChildProcess>;
  /** Submits a job under a name, again and again until it is taken or known. */
  submit(job: TestJob, run: RunId): Promise<void>;
  /** Every event of a run from its first, however many coordinators it takes. */
  follow(run: RunId, onEvent?: (event: RunEvent) => void): Promise<readonly RunEvent[]>;
}

/** A coordinator that ended before it was ready. */
export class EndedEarly extends Error {
  readonly exit: Exit;

  constructor(exit: Exit) {
    super(`the coordinator ended before it was ready: ${JSON.stringify(exit)}`);
    this.exit = exit;
  }
}

const SERVICES = fileURLToPath(new URL('../../services/', import.meta.url));
/** Longer than any coordinator is away in a test. */
const PATIENCE_MS = 20_000;

/** @param onDisk the runs folder; default: one in a temporary folder */
export async function openLives(grain: 'step' | 'run' = 'step', onDisk?: string): Promise<Lives> {
  const directory = await mkdtemp(join(tmpdir(), 'ropeteam-lives-'));
  const redis = await resolveRedis({
    allowFetch: true,
    cacheDirectory: join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'ropeteam'),
    dataDirectory: directory,
    onNotice: () => undefined,
  });
  const runsDirectory = onDisk ?? join(directory, 'runs');
  const processes: ChildProcess[] = [];
  const clients: RunClient[] = [];
  let newest: Life | undefined;
  let born = 0;

  const start = (
    service: string,
    args: readonly string[],
    failpoints: string | undefined,
    nodeOptions?: string,
    variables: Readonly<Record<string, string>> = {},
  ): ChildProcess => {
    const child = spawn(process.execPath, [join(SERVICES, service, 'src/main.js'), ...args, '--log-level', 'error'], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      env: {
        ...process.env,
        ...variables,
        ROPETEAM_REDIS_URL: redis.url,
        ...(failpoints === undefined ? {} : { ROPETEAM_FAILPOINTS: failpoints }),
        ...(nodeOptions === undefined ? {} : { NODE_OPTIONS: nodeOptions }),
      },
    });
    processes.push(child);
    return child;
  };
  const live = async (options: LifeOptions = {}): Promise<Life> => {
    const { failpoints, only, nodeOptions, ports = 'same' } = options;
    const portOf = (address: string | undefined): string =>
      ports === 'same' && address !== undefined ? (/:(\d+)\/?$/.exec(address)?.[1] ?? '0') : '0';
    const args = ['--port', portOf(newest?.grpc), '--http-port', portOf(newest?.http), '--runs', runsDirectory];
    args.push('--grain', grain, ...(only === undefined ? [] : ['--only', only]), ...(options.args ?? []));
    const child = start('coordinator', args, failpoints, nodeOptions, options.variables);
    let stderr = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    const ended = once(child, 'close').then(
      ([code, signal]): Exit => ({ code: code as number | null, signal: signal as NodeJS.Signals | null, stderr }),
    );
    const ready = new Promise<{ grpc: string; http: string }>((resolve) => {
      child.on('message', (message) => {
        const word = message as { event: string; grpc: string; http: string }; // both ends are of one build
        if (word.event === 'ready') resolve(word);
      });
    });
    const { grpc, http } = await Promise.race([ready, ended.then((exit) => Promise.reject(new EndedEarly(exit)))]);
    newest = { process: child, grpc, http, ended };
    clients.push(connectClient(grpc, { connectDeadlineMs: PATIENCE_MS }));
    return newest;
  };
  const client = (): RunClient => {
    const current = clients.at(-1);
    if (current === undefined) throw new Error('no coordinator was started yet');
    return current;
  };
  return {
    runsDirectory,
    redis,
    get client() {
      return client();
    },
    live,
    work: async (failpoints, address = newest?.grpc) => {
      if (address === undefined) throw new Error('no coordinator was started yet');
      const child = start('worker', ['--coordinator', address, '--name', `w${born++}`], failpoints);
      child.stderr?.resume();
      await Promise.race([once(child, 'message'), once(child, 'exit')]);
      return child;
    },
    submit: async ({ text, files, initFrom }, run) => {
      const submission = {
        ...{ jobText: text, jobFile: 'job.yaml', runId: run },
        files: Object.entries(files).map(([path, absolutePath]) => ({ path, absolutePath })),
        ...(initFrom === undefined ? {} : { initFrom }),
      };
      for (let attempt = 1; ; attempt++) {
        try {
          await client().submit(submission);
          return;
        } catch (error) {
          if (!(error instanceof RopeteamError)) throw error;
          // It was written down by a coordinator that died before it could say so.
          if (attempt > 1 && error.code === 'RUN.EXISTS') return;
          if (error.code !== 'COORDINATOR.UNREACHABLE' || attempt > 5) throw error;
        }
      }
    },
    follow: async (run, onEvent) => {
      const events: RunEvent[] = [];
      const patience = AbortSignal.timeout(60_000);
      for await (const event of client().watch(run, 0, patience, 'every')) {
        events.push(event);
        onEvent?.(event);
      }
      if (patience.aborted) throw new Error(`run ${run} did not end; its last event: ${JSON.stringify(events.at(-1))}`);
      return events;
    },
    [Symbol.asyncDispose]: async () => {
      for (const each of clients) each.close();
      await Promise.all(
        processes.map(async (child) => {
          if (child.exitCode !== null || child.signalCode !== null) return;
          const gone = once(child, 'exit');
          child.kill('SIGKILL'); // also ends one that is stopped
          await gone;
        }),
      );
      await redis[Symbol.asyncDispose]();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** The end of a run that must have finished. */
export function finished(events: readonly RunEvent[]): FinishedEvent {
  const last = events.at(-1);
  if (last?.event === 'run_finished') return last;
  throw new Error(`the run ended with ${JSON.stringify(last)}`);
}

/** What the promise is about: the same bits, whatever happened on the way. */
export type RunHashes = Pick<FinishedEvent, 'weightsSha256' | 'optimizerSha256'>;

export function hashesOf({ weightsSha256, optimizerSha256 }: RunHashes): RunHashes {
  return { weightsSha256, optimizerSha256 };
}

/** What a run ends with when nothing happens: one coordinator, one worker. */
export async function calmRun(job: TestJob, run: RunId): Promise<RunHashes> {
  await using lives = await openLives();
  await lives.live();
  await lives.work();
  await lives.submit(job, run);
  return hashesOf(finished(await lives.follow(run)));
}
