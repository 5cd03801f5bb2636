import { hostname } from 'node:os';
import { setImmediate as turnEnd } from 'node:timers/promises';
import type { KernelName } from '#engine';
import { connectCoordinator } from '#protocol';
import { openWorkSource } from '#queues';
import { knownError, type Logger, startSpan, type WorkerMetrics } from '#telemetry';
import {
  type CoordinatorMessage,
  type Fence,
  failpoint,
  PROTOCOL_VERSION,
  type RunId,
  type TakenItem,
  versionOf,
} from '#training';
import type { WorkerConfiguration } from './configuration.js';
import { RunSlot } from './run-slot.js';

export interface WorkerContext {
  readonly configuration: WorkerConfiguration;
  /** What it offers to compute with, by id. */
  readonly kernels: ReadonlyMap<string, KernelName>;
  readonly log: Logger;
  readonly metrics: WorkerMetrics;
  /** `host:port` at which others find these metrics. */
  readonly metricsAddress: string;
  /** The highest fence seen of each run, over all sessions: an older coordinator is not worked for any more. */
  readonly fences: Map<RunId, Fence>;
}

export interface SessionSignals {
  /** End now. */
  readonly stop: AbortSignal;
  /** Finish the item in hand, then end. */
  readonly drain: AbortSignal;
  /** The coordinator has welcomed this worker. */
  readonly onReady: () => void;
}

/**
 * One session with a coordinator, from the hello to the closed stream: takes items of the runs it is told of.
 *
 * @returns why it ended
 * @throws RopeteamError when there is no session; what a run could not be opened with, where that is a limit of the system
 */
export async function serveSession(
  { configuration, kernels, log, metrics, metricsAddress, fences }: WorkerContext,
  { stop, drain, onReady }: SessionSignals,
): Promise<string> {
  const closing = new AbortController();
  const over = AbortSignal.any([stop, closing.signal]);
  const releases = new Map<string, AbortController>();
  const early: CoordinatorMessage[] = [];
  let deliver = (message: CoordinatorMessage): void => void early.push(message);

  failpoint('worker-before-hello');
  const joining = startSpan('join', { worker: configuration.name, coordinator: configuration.coordinator });
  const connecting = connectCoordinator({
    address: configuration.coordinator,
    tls: configuration.tls,
    joinToken: configuration.joinToken,
    hello: {
      worker: configuration.name,
      pid: process.pid,
      protocolVersion: PROTOCOL_VERSION,
      host: hostname(),
      threads: configuration.threads,
      kernelIds: [...kernels.keys()],
      metricsAddress,
    },
    handler: { message: (message) => deliver(message), closed: (reason) => closing.abort(reason) },
    signal: over,
    trace: joining.context,
  });
  connecting.then(() => joining.end(), joining.end);
  await using session = await connecting;
  await using source = await openWorkSource({
    redisUrl: configuration.redisUrl,
    namespace: configuration.namespace,
    name: configuration.name,
    onError: (error) => log.warn('queue_trouble', { message: error.message }),
  });
  let started = false;
  let broken: unknown;
  await using slot = new RunSlot({
    configuration,
    kernels,
    fences,
    session,
    log,
    metrics,
    signal: over,
    onJoined: () => {
      if (!started && !drain.aborted) source.start(work);
      started = true;
    },
    onBroken: (error) => {
      log.error('run_broken', { error });
      broken = error;
      closing.abort(messageOf(error));
    },
  });

  async function work(taken: TakenItem): Promise<unknown> {
    const { itemId, token } = taken;
    failpoint('worker-taken-untold');
    const holds = slot.take(taken.item);
    session.send({ kind: 'job-taken', itemId, token, ...(holds === undefined ? {} : { holds }) });
    failpoint('worker-job-taken');
    const release = new AbortController();
    // By hand: `AbortSignal.any` costs 40 µs, several times a step.
    const letGo = (): void => release.abort();
    for (const signal of [taken.signal, over]) signal.addEventListener('abort', letGo, { once: true });
    if (taken.signal.aborted || over.aborted) letGo();
    releases.set(itemId, release);
    try {
      const run = await slot.runOf(taken.item, release.signal);
      if (run === undefined) return 'dropped';
      const outcome = await compute(run, taken, release.signal);
      failpoint('worker-after-upload');
      await turnEnd(); // what was computed goes out before the queue is told
      return outcome;
    } finally {
      releases.delete(itemId);
      over.removeEventListener('abort', letGo);
    }
  }

  async function compute(run: Awaited<ReturnType<RunSlot['runOf']>> & object, taken: TakenItem, released: AbortSignal) {
    try {
      return await run.compute(taken, released);
    } catch (error) {
      // Without its session, or after its run, a computation fails because it is not wanted any more.
      if (over.aborted || !slot.holds(run)) return 'dropped';
      metrics.itemFailed();
      const { item } = taken;
      log.error('item_failed', { run: item.run, step: versionOf(item), item: taken.itemId, error });
      session.send({ kind: 'job-failed', itemId: taken.itemId, code: codeOf(error), message: messageOf(error) });
      // Its first steps may be in the weights already: what is here is of no version, so this worker begins anew.
      if (taken.item.kind === 'lease') closing.abort('a lease failed half way');
      return 'failed';
    }
  }

  deliver = (message) => {
    if (message.kind === 'release-item') releases.get(message.itemId)?.abort();
    else slot.receive(message);
  };
  for (const message of early) deliver(message);
  onReady();
  await aborted(AbortSignal.any([over, drain]));
  if (!over.aborted) {
    session.send({ kind: 'draining', reason: 'asked to stop' });
    await source.drain();
    log.info('worker_drained');
    return 'drained';
  }
  // It would break in the next session too.
  if (knownError(broken)?.code === 'ENVIRONMENT.LIMIT') throw broken;
  return String(over.reason);
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'WORKER.KERNEL';
}
