/** Redis, a coordinator and workers on this machine: started in that order, stopped in the other. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KernelChoice } from '#engine';
import { type OwnRedis, type RedisHandle, resolveRedis } from '#queues';
import { checkRunsFolder } from '#storage';
import { type GRAIN_CHOICES, RopeteamError, type RunId } from '#training';
import type { Environment } from '../environment.js';
import { untilAborted } from '../interrupts.js';
import { type CoordinatorSupervisor, superviseCoordinator } from './coordinator-supervisor.js';
import { readableLogLine } from './log-line.js';
import { type ServiceProcess, startService } from './service-process.js';
import { superviseWorker, type WorkerSupervisor } from './worker-supervisor.js';

export type GrainChoice = (typeof GRAIN_CHOICES)[number];

export interface ClusterOptions {
  readonly workers: number;
  /** Kernel threads of one worker; undefined: the cores shared out over the workers, at least one each. */
  readonly threads: number | undefined;
  readonly kernel: KernelChoice;
  readonly grain: GrainChoice;
  readonly runsDirectory: string;
  /** Folder of the job: its files are read there instead of being copied. Undefined: they are uploaded. */
  readonly dataRoot?: string;
  /** `--data-cache-size` and `--data-memory`, where the user says. */
  readonly dataCacheSize?: string | undefined;
  readonly dataMemory?: string | undefined;
  readonly redisUrl: string | undefined;
  /** 0: any free port. */
  readonly port: number;
  readonly httpPort: number;
  /** The one run this cluster is for: others in the folder are left alone. Undefined: all of them are its own. */
  readonly only: RunId | undefined;
  readonly environment: Environment;
  /** The address workers are given for the coordinator's; default: its own. */
  readonly routeOfWorkers?: (coordinator: string) => Promise<string>;
  /** A word for the user. */
  onNotice(text: string): void;
  /** Every log line of every service, named; undefined: they are only kept for error messages. */
  readonly onLog: ((text: string) => void) | undefined;
}

export interface Cluster extends AsyncDisposable {
  /** `host:port` of the coordinator's gRPC server. */
  readonly grpc: string;
  /** Address of its status page and metrics. */
  readonly http: string;
  readonly redis: Pick<RedisHandle, 'engine' | 'version' | 'source' | 'displayUrl'>;
  readonly parts: ClusterParts;
  /** Rejects with what the user should know when a part is gone for good. Never resolves. */
  readonly broken: Promise<never>;
  /** Ends every process at once. `asyncDispose` is still needed. */
  kill(): void;
}

/** What can be made to fail, one by one. All of it was started by this cluster. */
export interface ClusterParts {
  readonly coordinator: Pick<CoordinatorSupervisor, 'current'>;
  readonly workers: readonly Pick<WorkerSupervisor, 'current' | 'crash'>[];
  /** Undefined: the Redis is the user's. */
  readonly redis: OwnRedis | undefined;
}

/** A worker finishes the block in hand, the coordinator its step, checkpoint and journal. */
const WORKER_GRACE_MS = 5_000;
const COORDINATOR_GRACE_MS = 10_000;
/** Averaging is bound by memory: more threads than this only wait for each other. */
const MOST_COORDINATOR_THREADS = 4;

/** Kernel threads of one worker when the user leaves the choice to us. */
export function threadsPerWorker(workers: number, cores: number): number {
  return Math.max(1, Math.floor(cores / workers));
}

/** Kernel threads of the coordinator: as many as a worker has, when the user says. */
export function coordinatorThreads(wanted: number | undefined, cores: number): number {
  return wanted ?? Math.min(MOST_COORDINATOR_THREADS, cores);
}

/**
 * Starts the whole cluster and resolves when every worker is ready. On a throw or an abort everything that was started is
 * stopped before this returns.
 */
export async function openCluster(options: ClusterOptions, signal: AbortSignal): Promise<Cluster> {
  const closers: (() => Promise<unknown>)[] = [];
  const supervisors: WorkerSupervisor[] = [];
  await checkRunsFolder(options.runsDirectory);
  try {
    const scratch = await mkdtemp(join(tmpdir(), 'ropeteam-'));
    closers.push(() => rm(scratch, { recursive: true, force: true }));
    const redis = await openRedis(options, scratch, signal);
    closers.push(async () => await redis[Symbol.asyncDispose]());
    const queue = { url: redis.url, namespace: ownNamespace() };
    const coordinator = await superviseCoordinator(
      {
        start: (before, startSignal) => startCoordinator(options, queue, before, startSignal),
        onNotice: options.onNotice,
      },
      signal,
    );
    closers.push(() => coordinator.stop(COORDINATOR_GRACE_MS));
    const grpc = announced(coordinator.first, 'grpc');
    const http = announced(coordinator.first, 'http');
    const route = (await options.routeOfWorkers?.(grpc)) ?? grpc;
    closers.push(() => Promise.all(supervisors.map((worker) => worker.stop(WORKER_GRACE_MS))));
    for (let index = 0; index < options.workers; index++) {
      supervisors.push(superviseWorker(supervision(options, `w${index}`, route, queue)));
    }
    const broken = Promise.race([coordinator.lost, ...supervisors.map((worker) => worker.ended.then(never))]);
    broken.catch(() => undefined); // awaited by the holder; a rejection before that must not end the process
    const ready = Promise.all(supervisors.map((worker) => worker.ready));
    await untilAborted(Promise.race([ready, broken]), signal);
    return {
      grpc,
      http,
      redis,
      parts: { coordinator, workers: supervisors, redis: redis.own },
      broken,
      kill: () => {
        for (const worker of supervisors) worker.kill();
        coordinator.kill();
      },
      [Symbol.asyncDispose]: () => closeInReverse(closers),
    };
  } catch (error) {
    await closeInReverse(closers);
    throw error;
  }
}

/** Several clusters may share one Redis of the user's: each keeps to its own names in it. */
function ownNamespace(): string {
  return `ropeteam-${randomBytes(4).toString('hex')}`;
}

function openRedis(options: ClusterOptions, scratch: string, signal: AbortSignal): Promise<RedisHandle> {
  const { redisUrl: url, environment, onNotice } = options;
  const { allowFetch, cacheDirectory } = environment;
  return resolveRedis({
    ...(url === undefined ? {} : { url }),
    allowFetch,
    cacheDirectory,
    dataDirectory: scratch,
    onNotice,
    signal,
  });
}

interface QueuePlace {
  readonly url: string;
  readonly namespace: string;
}

function startCoordinator(
  options: ClusterOptions,
  queue: QueuePlace,
  before: ServiceProcess | undefined,
  signal: AbortSignal,
): Promise<ServiceProcess> {
  // Workers and watchers come back to the address they know.
  const port = before === undefined ? options.port : portOf(announced(before, 'grpc'));
  const httpPort = before === undefined ? options.httpPort : portOf(announced(before, 'http'));
  const threads = coordinatorThreads(options.threads, availableParallelism());
  const args = [
    ...['--host', '127.0.0.1', '--port', String(port), '--http-port', String(httpPort)],
    ...['--runs', options.runsDirectory, '--threads', String(threads), '--kernel', options.kernel],
    ...['--grain', options.grain],
    ...(options.only === undefined ? [] : ['--only', options.only]),
    ...(options.dataRoot === undefined ? [] : ['--data-root', options.dataRoot]),
    ...(options.dataCacheSize === undefined ? [] : ['--data-cache-size', options.dataCacheSize]),
    ...['--name', 'coordinator', '--namespace', queue.namespace],
  ];
  return startService(
    { kind: 'coordinator', name: 'coordinator', args, ...forService(options, 'coordinator', queue.url) },
    signal,
  );
}

function supervision(options: ClusterOptions, name: string, grpc: string, queue: QueuePlace) {
  const threads = options.threads ?? threadsPerWorker(options.workers, availableParallelism());
  return {
    name,
    onLoss: options.onNotice,
    start: (worker: string, signal: AbortSignal) => {
      const args = [
        ...['--coordinator', grpc, '--threads', String(threads), '--kernel', options.kernel],
        ...['--name', worker, '--namespace', queue.namespace],
        ...(options.dataMemory === undefined ? [] : ['--data-memory', options.dataMemory]),
      ];
      return startService({ kind: 'worker', name: worker, args, ...forService(options, worker, queue.url) }, signal);
    },
  };
}

/** A cluster of one machine talks over loopback: what the user has set is for a coordinator elsewhere. */
const FOR_OTHER_MACHINES = { ROPETEAM_TLS: '', ROPETEAM_HTTP_TOKENS: '', ROPETEAM_JOIN_TOKENS: '' };

/** The URL may hold a password: it goes by the environment, which other users cannot read, not by the arguments. */
function forService({ environment, onLog }: ClusterOptions, name: string, redisUrl: string) {
  return {
    environment: { ...environment.forServices, ROPETEAM_REDIS_URL: redisUrl, ...FOR_OTHER_MACHINES },
    ...(onLog === undefined ? {} : { onLog: (line: string) => onLog(`${name}: ${readableLogLine(line)}`) }),
  };
}

function announced(coordinator: ServiceProcess, what: 'grpc' | 'http'): string {
  const address = coordinator.ready[what];
  if (address !== undefined) return address;
  const message = `the coordinator did not say its ${what} address`;
  const hint = 'command and services must be of one version: npm run build';
  throw new RopeteamError('ENVIRONMENT.PROCESS', { process: coordinator.name }, message, { hint });
}

function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(':') + 1));
}

function never(): Promise<never> {
  return new Promise<never>(() => undefined);
}

/** Closes what was opened last first. One that fails does not keep the others open; its error is thrown at the end. */
async function closeInReverse(closers: (() => Promise<unknown>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (let close = closers.pop(); close !== undefined; close = closers.pop()) {
    try {
      await close();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}
