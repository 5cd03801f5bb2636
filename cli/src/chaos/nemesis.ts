/** Carries a plan of faults out on a cluster that was started for it, and leaves nothing stopped behind. */
import { setTimeout as delay } from 'node:timers/promises';
import type { ClusterParts } from '../cluster/cluster.js';
import type { FaultKind, PlannedFault } from './fault-plan.js';
import type { Relay } from './relay.js';

/** A planned fault when its time had come. */
export interface InflictedFault {
  readonly kind: FaultKind;
  /** Milliseconds since 1970, as events have them. */
  readonly time: number;
  /** What was done to whom, or why nothing was. */
  readonly text: string;
  /** Nobody was hit: it was being started again at that moment. */
  readonly missed: boolean;
  /** Of the process that was hit. */
  readonly pid?: number;
}

type Stroke = Pick<InflictedFault, 'text' | 'missed' | 'pid'>;

interface NemesisOptions {
  readonly plan: readonly PlannedFault[];
  readonly parts: ClusterParts;
  readonly relay: Relay;
  /** Resolves when the first step is made; time counts from then. */
  readonly begun: Promise<unknown>;
  /** No more faults. */
  readonly signal: AbortSignal;
  onFault(fault: InflictedFault): void;
}

export function startNemesis(options: NemesisOptions): AsyncDisposable {
  const { plan, begun, onFault } = options;
  const stopping = new AbortController();
  const signal = AbortSignal.any([options.signal, stopping.signal]);
  const paused = new Set<() => void>();
  const keepStriking = async (): Promise<void> => {
    await Promise.race([begun, aborted(signal)]);
    const startedAt = performance.now();
    for (const fault of plan) {
      await delay(Math.max(0, startedAt + fault.atMs - performance.now()), undefined, { signal });
      const time = Date.now();
      const stroke = await strike(fault, options, paused);
      onFault({ kind: fault.kind, time, ...stroke });
    }
  };
  const ended = keepStriking().catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
  ended.catch(() => undefined); // thrown at the end, by whoever disposes
  return {
    [Symbol.asyncDispose]: async () => {
      stopping.abort();
      // A process that is stopped could not end in order.
      for (const resume of [...paused]) resume();
      await ended;
    },
  };
}

async function strike(fault: PlannedFault, options: NemesisOptions, paused: Set<() => void>): Promise<Stroke> {
  const { parts, relay } = options;
  switch (fault.kind) {
    case 'worker-kill': {
      const worker = parts.workers[fault.worker];
      const victim = worker?.current();
      if (victim === undefined || worker?.crash() !== true)
        return missed(`worker ${fault.worker} is just being started`);
      return { text: `SIGKILL to ${victim.name} (pid ${victim.pid})`, missed: false, pid: victim.pid };
    }
    case 'worker-pause': {
      const victim = parts.workers[fault.worker]?.current();
      if (victim?.signal('SIGSTOP') !== true) return missed(`worker ${fault.worker} is just being started`);
      const resume = (): void => {
        clearTimeout(timer);
        paused.delete(resume);
        victim.signal('SIGCONT');
      };
      const timer = setTimeout(resume, fault.pauseMs);
      paused.add(resume);
      const seconds = (fault.pauseMs / 1000).toFixed(1);
      return { text: `SIGSTOP to ${victim.name} (pid ${victim.pid}) for ${seconds} s`, missed: false, pid: victim.pid };
    }
    case 'coordinator-kill': {
      const victim = parts.coordinator.current();
      if (!victim.signal('SIGKILL')) return missed('the coordinator is just being started');
      return { text: `SIGKILL to the coordinator (pid ${victim.pid})`, missed: false, pid: victim.pid };
    }
    case 'redis-flush':
      return await atRedis('FLUSHALL: Redis is empty', parts.redis?.empty);
    case 'redis-kill':
      return await atRedis('SIGKILL to Redis, an empty one takes its place', parts.redis?.restart);
    case 'connection-cut': {
      const count = relay.cut();
      return count === 0 ? missed('no worker is connected') : { text: `${count} connections cut`, missed: false };
    }
    default:
      return fault satisfies never;
  }
}

async function atRedis(text: string, act: (() => Promise<void>) | undefined): Promise<Stroke> {
  if (act === undefined) return missed('this Redis cannot be asked to');
  try {
    await act();
    return { text, missed: false };
  } catch (error) {
    return missed(error instanceof Error ? (error.message.split('\n', 1)[0] ?? '') : String(error));
  }
}

const missed = (text: string): Stroke => ({ text, missed: true });

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
