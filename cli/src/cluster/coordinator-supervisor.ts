/** Keeps the coordinator running: one that dies is started again on the same ports, and finds its runs in their folder. */
import { setTimeout as delay } from 'node:timers/promises';
import { RopeteamError } from '#training';
import { type ServiceProcess, unexpectedExit } from './service-process.js';

export interface CoordinatorSupervisorOptions {
  /** Starts a coordinator; `before` is the one whose addresses it must have, if there was one. */
  start(before: ServiceProcess | undefined, signal: AbortSignal): Promise<ServiceProcess>;
  /** A word for the user. */
  onNotice(text: string): void;
  /** Milliseconds now, and waiting: replaced in tests. */
  readonly clock?: {
    now(): number;
    wait(milliseconds: number, signal: AbortSignal): Promise<void>;
  };
}

export interface CoordinatorSupervisor {
  /** The first one: its addresses are those of all that follow. */
  readonly first: ServiceProcess;
  /** Rejects when it cannot be kept running. Never resolves. */
  readonly lost: Promise<never>;
  stop(graceMs: number): Promise<void>;
  kill(): void;
}

const FIRST_WAIT_MS = 100;
/** Deaths within `WINDOW_MS` after which it is not started again: the cause is not going away. */
const MOST_DEATHS = 5;
const WINDOW_MS = 60_000;

const systemClock = {
  now: () => performance.now(),
  wait: async (milliseconds: number, signal: AbortSignal) => void (await delay(milliseconds, undefined, { signal })),
};

/** Starts the coordinator and resolves when it is ready. @throws what its first start failed with */
export async function superviseCoordinator(
  options: CoordinatorSupervisorOptions,
  signal: AbortSignal,
): Promise<CoordinatorSupervisor> {
  const { now, wait } = options.clock ?? systemClock;
  const stopping = new AbortController();
  const first = await options.start(undefined, signal);
  let current = first;
  const deaths: number[] = [];

  /** Waits for one death and starts the next life. @throws when there shall be none */
  const surviveDeath = async (): Promise<void> => {
    const exit = await current.exited;
    if (stopping.signal.aborted) return;
    const reported = current.failure();
    // It says itself that it must not go on: another has its place.
    if (reported !== undefined) throw reported;
    const death = unexpectedExit(current.name, exit, 'while it was at work', current.lastLogLines());
    deaths.push(now());
    const recent = deaths.filter((at) => now() - at < WINDOW_MS).length;
    if (recent > MOST_DEATHS) throw crashLoop(recent, death);
    options.onNotice(`${death.message.split('\n', 1)[0]}; it is started again`);
    for (let waitMs = FIRST_WAIT_MS * 2 ** (recent - 1); ; waitMs *= 2) {
      await wait(waitMs, stopping.signal);
      try {
        current = await options.start(first, stopping.signal);
        return;
      } catch (error) {
        deaths.push(now());
        const again = deaths.filter((at) => now() - at < WINDOW_MS).length;
        if (stopping.signal.aborted || again > MOST_DEATHS) throw crashLoop(again, error);
      }
    }
  };
  const lost = (async (): Promise<never> => {
    while (!stopping.signal.aborted) {
      try {
        await surviveDeath();
      } catch (error) {
        // Stopping aborts a start or a wait in hand: that is no failure.
        if (!stopping.signal.aborted) throw error;
      }
    }
    return new Promise<never>(() => undefined);
  })();
  lost.catch(() => undefined); // awaited by the holder; a rejection before that must not end the process
  return {
    first,
    lost,
    stop: async (graceMs) => {
      stopping.abort(new Error('the coordinator is being stopped'));
      await current.stop(graceMs);
    },
    kill: () => {
      stopping.abort(new Error('the coordinator is being stopped'));
      current.kill();
    },
  };
}

function crashLoop(times: number, cause: unknown): RopeteamError {
  const last = cause instanceof Error ? cause.message : String(cause);
  return new RopeteamError(
    'COORD.CRASH_LOOP',
    { times },
    `the coordinator died ${times} times within a minute: ${last}`,
    {
      hint: 'the run is as its last checkpoint left it: repeat with --verbose, or `ropeteam resume` it later',
      cause,
    },
  );
}
