/** A real cluster for tests: Redis, coordinator and workers as processes on free ports, in a folder of their own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { KernelChoice } from '#engine';
import { connectClient, type LocalSubmission, type RunClient, readTlsIdentity } from '#protocol';
import { type RedisHandle, resolveRedis } from '#queues';
import { type GRAIN_CHOICES, type RunEvent, type RunId, runId } from '#training';

export interface TestClusterOptions {
  readonly workers: number;
  readonly threads?: number;
  readonly kernel?: KernelChoice;
  /** Default: the coordinator's. */
  readonly workerKernel?: KernelChoice;
  /** Default: `step`, so that a test says so where it is about leases. */
  readonly grain?: (typeof GRAIN_CHOICES)[number];
  /** The Node.js to run the services on; default: this one. */
  readonly node?: string;
  /** `--data-memory` of the workers that do not say otherwise. */
  readonly dataMemory?: string;
  /** A Redis of the test's own; it is not ended with the cluster. */
  readonly redisUrl?: string;
  /** Folder of `ropeteam certs init`: everybody signs in. */
  readonly certificates?: string;
  /** More of the coordinator's command line. */
  readonly coordinatorArgs?: readonly string[];
  /** Added to the environment of all services. */
  readonly variables?: Readonly<Record<string, string>>;
  /** Gets what the services log instead of the test's own output. */
  readonly onLog?: (text: string) => void;
}

/** What sets one worker apart from the others. */
export interface WorkerOptions {
  readonly name?: string;
  /** Instead of the coordinator's own address. */
  readonly coordinator?: string;
  readonly redisUrl?: string;
  /** `--data-memory`; default: the cluster's, or the worker's own. */
  readonly dataMemory?: string;
  /** Folder of a certificate of its own. */
  readonly tls?: string;
  /** See `armFailpoints`. */
  readonly failpoints?: string;
  /** Options of its Node.js. */
  readonly nodeOptions?: readonly string[];
}

export interface TestWorker {
  readonly name: string;
  readonly process: ChildProcess;
}

export type FinishedEvent = RunEvent & { readonly event: 'run_finished' };

export interface TestJob {
  readonly text: string;
  /** Files by the path the job names them with. */
  readonly files: Readonly<Record<string, string>>;
  /** A safetensors file to start from. */
  readonly initFrom?: NonNullable<LocalSubmission['initFrom']>;
}

export interface TestCluster extends AsyncDisposable {
  readonly client: RunClient;
  readonly redis: RedisHandle;
  readonly grpc: string;
  readonly http: string;
  readonly coordinator: ChildProcess;
  /** The living workers. */
  readonly workers: readonly TestWorker[];
  readonly runsDirectory: string;
  startWorker(options?: WorkerOptions): Promise<TestWorker>;
  /** SIGTERM, and resolves with the exit code when it is gone. */
  drainWorker(worker: TestWorker): Promise<number | null>;
  /** Runs a worker that is expected to be refused, to its end. */
  refusedWorker(args: readonly string[]): Promise<{ readonly code: number | null; readonly stderr: string }>;
  /** SIGKILL, and resolves when it is gone. */
  killWorker(worker: TestWorker): Promise<void>;
  /** Submits a job; `onEvent` sees every event. Resolves with the last one. */
  run(job: TestJob, onEvent?: (event: RunEvent) => void, named?: RunId): Promise<RunEvent>;
  /** Like `run`, but anything else than `run_finished` is an error. */
  finish(job: TestJob, onEvent?: (event: RunEvent) => void): Promise<FinishedEvent>;
}

const SERVICES = fileURLToPath(new URL('../../services/', import.meta.url));

export async function startTestCluster(options: TestClusterOptions): Promise<TestCluster> {
  const { threads = 1, kernel = 'wasm', workerKernel = kernel, grain = 'step', node = process.execPath } = options;
  const directory = await mkdtemp(join(tmpdir(), 'ropeteam-test-'));
  const redis = await resolveRedis({
    allowFetch: true,
    // Where the tests' first step put it, if this machine has none: nothing is fetched twice, nothing is left behind.
    cacheDirectory: join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'ropeteam'),
    dataDirectory: directory,
    onNotice: () => undefined,
    ...(options.redisUrl === undefined ? {} : { url: options.redisUrl }),
  });
  const runsDirectory = join(directory, 'runs');
  const start = async (
    service: string,
    args: readonly string[],
    { redisUrl = redis.url, failpoints, nodeOptions = [] }: WorkerOptions = {},
  ): Promise<[ChildProcess, Record<string, string>]> => {
    const main = join(SERVICES, service, 'src/main.js');
    const child = spawn(node, [...nodeOptions, main, ...args, '--log-level', 'warn'], {
      stdio: ['ignore', 'ignore', options.onLog === undefined ? 'inherit' : 'pipe', 'ipc'],
      env: {
        ...process.env,
        ...options.variables,
        ROPETEAM_REDIS_URL: redisUrl,
        ...(failpoints === undefined ? {} : { ROPETEAM_FAILPOINTS: failpoints }),
      },
    });
    child.stderr?.on('data', (chunk: Buffer) => options.onLog?.(chunk.toString()));
    const [message] = await Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(([code]) =>
        Promise.reject(new Error(`${service} ended with ${code} before it was ready`)),
      ),
    ]);
    return [child, message as Record<string, string>];
  };
  const coordinatorArgs = ['--port', '0', '--http-port', '0', '--runs', runsDirectory, '--kernel', kernel];
  coordinatorArgs.push('--grain', grain, ...(options.coordinatorArgs ?? []));
  const { certificates } = options;
  const signedIn = (role: string) => (certificates === undefined ? [] : ['--tls', join(certificates, role)]);
  coordinatorArgs.push(...signedIn('coordinator'));
  const [coordinator, { grpc = '', http = '' }] = await start('coordinator', coordinatorArgs);
  const tls = certificates === undefined ? undefined : readTlsIdentity(join(certificates, 'submitter'));
  const client = connectClient(grpc, { tls });
  const workers: TestWorker[] = [];
  let born = 0;

  const startWorker = async (own: WorkerOptions = {}): Promise<TestWorker> => {
    const { name = `w${born++}`, coordinator: address = grpc, dataMemory = options.dataMemory } = own;
    const args = [
      '--name',
      name,
      '--threads',
      String(threads),
      '--kernel',
      workerKernel,
      ...(own.tls === undefined ? signedIn('worker') : ['--tls', own.tls]),
    ];
    if (dataMemory !== undefined) args.push('--data-memory', dataMemory);
    const [child] = await start('worker', ['--coordinator', address, ...args], own);
    const worker = { name, process: child };
    workers.push(worker);
    return worker;
  };
  const run = async (
    { text, files, initFrom }: TestJob,
    onEvent?: (event: RunEvent) => void,
    named?: RunId,
  ): Promise<RunEvent> => {
    const uploads = Object.entries(files).map(([path, absolutePath]) => ({ path, absolutePath }));
    const submitted = await client.submit({
      jobText: text,
      jobFile: 'job.yaml',
      files: uploads,
      ...(initFrom === undefined ? {} : { initFrom }),
      ...(named === undefined ? {} : { runId: named }),
    });
    const id: RunId = runId(submitted.run);
    let last: RunEvent | undefined;
    const patience = AbortSignal.timeout(RUN_DEADLINE_MS);
    for await (const event of client.watch(id, 0, patience, onEvent === undefined ? 'sampled' : 'every')) {
      last = event;
      onEvent?.(event);
    }
    if (patience.aborted) {
      // The runs behind it, of other tests, shall not wait for it too.
      const { state } = await client.stop(id, 'the test gave up');
      throw new Error(`run ${id} (${state}) did not end in time; its last event was ${JSON.stringify(last)}`);
    }
    if (last === undefined) throw new Error(`run ${id} had no events`);
    return last;
  };
  await Promise.all(Array.from({ length: options.workers }, () => startWorker()));
  const gone = (worker: TestWorker, signal: NodeJS.Signals): Promise<void> => {
    const index = workers.indexOf(worker);
    if (index >= 0) workers.splice(index, 1);
    return ended(worker.process, signal);
  };
  return {
    ...{ client, redis, grpc, http, coordinator, workers, runsDirectory, startWorker, run },
    drainWorker: async (worker) => {
      await gone(worker, 'SIGTERM');
      return worker.process.exitCode;
    },
    refusedWorker: async (args) => {
      const child = spawn(node, [join(SERVICES, 'worker/src/main.js'), '--coordinator', grpc, ...args], {
        stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
        env: { ...process.env, ROPETEAM_REDIS_URL: redis.url },
      });
      let stderr = '';
      child.stderr?.on('data', (chunk: Buffer) => {
        stderr += chunk.toString();
      });
      const [code] = await once(child, 'close');
      return { code: typeof code === 'number' ? code : null, stderr };
    },
    killWorker: (worker) => gone(worker, 'SIGKILL'),
    finish: async (job, onEvent) => {
      const last = await run(job, onEvent);
      if (last.event !== 'run_finished') throw new Error(`the run ended with ${JSON.stringify(last)}`);
      return last;
    },
    [Symbol.asyncDispose]: async () => {
      client.close();
      const services = await Promise.allSettled([
        ...workers.map((worker) => ended(worker.process, 'SIGTERM')),
        ended(coordinator, 'SIGTERM'),
      ]);
      await redis[Symbol.asyncDispose]();
      await rm(directory, { recursive: true, force: true });
      for (const end of services) if (end.status === 'rejected') throw end.reason;
    },
  };
}

/** Runs of tests take seconds, some ten times that on a machine that is busy. */
const RUN_DEADLINE_MS = 90_000;
/** A process that does not heed a signal in this time is killed, and the test told. */
const END_DEADLINE_MS = 20_000;

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), END_DEADLINE_MS);
  await exit;
  clearTimeout(timer);
  if (signal !== 'SIGKILL' && child.signalCode === 'SIGKILL') {
    throw new Error(`${child.spawnargs[1]} did not end within ${END_DEADLINE_MS / 1000} s of ${signal}`);
  }
}
