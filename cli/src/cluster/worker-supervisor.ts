/** Keeps one worker running: a process that ends by itself is started again, a little later each time. */
import { setTimeout as delay } from 'node:timers/promises';
import { RopeteamError } from '#training';
import { type ServiceProcess, unexpectedExit } from './service-process.js';

export interface SupervisorOptions {
  /** `w0`; the process started after a loss is another worker and is called `w0.2`. */
  readonly name: string;
  start(name: string, signal: AbortSignal): Promise<ServiceProcess>;
  /** A word for the user when a process was lost. */
  onLoss(text: string): void;
  /** Milliseconds now, and waiting: replaced in tests. */
  readonly clock?: SupervisorClock;
}

export interface SupervisorClock {
  now(): number;
  wait(milliseconds: number, signal: AbortSignal): Promise<void>;
}

export interface WorkerSupervisor {
  /** Resolves once the worker is ready for the first time; rejects when its first start fails. */
  readonly ready: Promise<void>;
  /** Rejects when the worker cannot be kept running; resolves after `stop`. */
  readonly ended: Promise<void>;
  /** The process there is now, or that was there last; undefined before the first is ready. */
  current(): ServiceProcess | undefined;
  /** SIGKILL, and another takes its place: a death that was asked for is no sign of a crash loop. False: it is gone already. */
  crash(): boolean;
  stop(graceMs: number): Promise<void>;
  kill(): void;
}

const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 10_000;
/** A worker that lived this long starts again with a clean record. */
const STEADY_MS = 30_000;
/** Losses in a row without a steady life in between: the cause is not going away. */
const MOST_LOSSES = 8;

const systemClock: SupervisorClock = {
  now: () => performance.now(),
  wait: async (milliseconds, signal) => void (await delay(milliseconds, undefined, { signal })),
};

/** Milliseconds to wait before the start after the `losses`-th loss in a row, counted from 1. */
export function restartWaitMs(losses: number): number {
  return Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (losses - 1));
}

export function superviseWorker(options: SupervisorOptions): WorkerSupervisor {
  const clock = options.clock ?? systemClock;
  const stopping = new AbortController();
  let current: ServiceProcess | undefined;
  let crashed: ServiceProcess | undefined;
  let announceReady: () => void = () => undefined;
  let announceFailure: (reason: unknown) => void = () => undefined;
  const ready = new Promise<void>((resolve, reject) => {
    announceReady = resolve;
    announceFailure = reject;
  });

  /** One process from its start to its end; what ended it, unless it was asked to stop. */
  const liveOnce = async (life: number): Promise<unknown> => {
    const name = life === 1 ? options.name : `${options.name}.${life}`;
    try {
      current = await options.start(name, stopping.signal);
    } catch (error) {
      // A first start that fails says that the set-up is wrong; a later one may be part of the trouble we wait out.
      if (life === 1) throw error;
      return error;
    }
    announceReady();
    const exit = await current.exited;
    return current.failure() ?? unexpectedExit(name, exit, 'while it was at work', current.lastLogLines());
  };
  const keepRunning = async (): Promise<void> => {
    let losses = 0;
    for (let life = 1; ; life++) {
      const bornAt = clock.now();
      const loss = await liveOnce(life);
      if (stopping.signal.aborted) return;
      const wasAskedFor = crashed !== undefined && crashed === current;
      crashed = undefined;
      losses = wasAskedFor || clock.now() - bornAt >= STEADY_MS ? 1 : losses + 1;
      if (losses > (isLimit(loss) ? 1 : MOST_LOSSES)) throw loss;
      const waitMs = restartWaitMs(losses);
      options.onLoss(`${firstLine(loss)}; another takes its place in ${waitMs / 1000} s`);
      await clock.wait(waitMs, stopping.signal);
    }
  };
  const ended = keepRunning().catch((error: unknown) => {
    announceFailure(error);
    // Stopping aborts a start or a wait in hand: that is no failure.
    if (!stopping.signal.aborted) throw error;
  });
  // Each is also awaited by whoever holds the supervisor; a rejection seen by nobody yet must not end the process.
  ready.catch(() => undefined);
  ended.catch(() => undefined);
  return {
    ready,
    ended,
    current: () => current,
    crash: () => {
      const isThere = current?.signal('SIGKILL') ?? false;
      if (isThere) crashed = current;
      return isThere;
    },
    stop: async (graceMs) => {
      stopping.abort(new Error('the worker is being stopped'));
      await current?.stop(graceMs);
      await ended.catch(() => undefined);
    },
    kill: () => {
      stopping.abort(new Error('the worker is being stopped'));
      current?.kill();
    },
  };
}

/** The next process has the same limits: it may have been bad luck once. */
function isLimit(error: unknown): boolean {
  return error instanceof RopeteamError && error.code === 'ENVIRONMENT.LIMIT';
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n', 1)[0] ?? '';
}
