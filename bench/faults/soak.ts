/** A long run under every fault, and what its coordinator holds meanwhile: memory, descriptors, keys in Redis. Linux. */
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import type { FaultKind } from '../../cli/src/chaos/fault-plan.js';
import type { ClusterParts } from '../../cli/src/cluster/cluster.js';
import { median } from '../kernel/take-turns.js';
import { type Laboratory, sameBits, type Troubled } from './trouble.js';

/** More steps than any soak makes. */
const ENDLESS_STEPS = 50_000_000;
const LOOK_MS = 1_000;
/**
 * A coordinator that is killed takes what it may have leaked with it, so this soak leaves it alive; `ropeteam chaos` kills it.
 */
const FAULTS: readonly FaultKind[] = ['worker-kill', 'worker-pause', 'redis-flush', 'redis-kill', 'connection-cut'];

/** At one moment. */
interface Look {
  readonly seconds: number;
  readonly residentBytes: number;
  readonly descriptors: number;
  /** Absent: Redis did not answer. */
  readonly keys?: number;
  readonly redisBytes?: number;
}

/** A span of looks. The least resident memory of a span is what is left after its garbage collections. */
export interface Span {
  readonly seconds: number;
  readonly residentBytes: number;
  readonly descriptors: number;
  readonly mostKeys: number;
  readonly mostRedisBytes: number;
}

export interface Soak {
  readonly troubled: Troubled;
  readonly sameBits: boolean;
  readonly spans: readonly Span[];
  /** The last third's memory over the middle third's, as medians of spans: 0.05 is five per cent more. */
  readonly memoryGrowth: number;
}

export interface SoakOptions {
  readonly minutes: number;
  readonly seed: number;
  readonly everyMs: number;
  readonly workers: number;
  readonly spanSeconds: number;
}

export async function soak(laboratory: Laboratory, options: SoakOptions): Promise<Soak> {
  const { minutes, seed, everyMs, workers, spanSeconds } = options;
  const looks: Look[] = [];
  const over = new AbortController();
  let looking: Promise<void> = Promise.resolve();
  const end = setTimeoutOnce(() => laboratory.interrupts.raise('SIGINT', 'orderly'));
  const plan = { seed, everyMs, kinds: FAULTS };
  const troubled = await laboratory.troubled(ENDLESS_STEPS, { workers, grain: 'step' }, plan, (parts) => {
    end.after(minutes * 60_000);
    looking = lookUntil(parts, looks, over.signal);
  });
  over.abort();
  await looking;
  // The same steps in the fastest way there is: how they were shared out must not be seen in the bits.
  const calm = await laboratory.calm(troubled.finished.steps, { workers: 1, grain: 'run' });
  const spans = spansOf(looks, spanSeconds);
  return { troubled, sameBits: sameBits(troubled, calm), spans, memoryGrowth: growthOf(spans) };
}

function setTimeoutOnce(task: () => void): { after(ms: number): void } {
  return { after: (ms) => void setTimeout(task, ms).unref() };
}

async function lookUntil({ coordinator }: ClusterParts, looks: Look[], signal: AbortSignal): Promise<void> {
  const startedAt = performance.now();
  const first = coordinator.current().pid;
  const redis = new Redis(await redisUrlOf(first), { maxRetriesPerRequest: 0, retryStrategy: () => 500 });
  redis.on('error', () => undefined); // it is killed now and then: that is the experiment
  try {
    while (!signal.aborted) {
      const { pid } = coordinator.current();
      const found = await Promise.all([
        readFile(`/proc/${pid}/status`, 'utf8'),
        readdir(`/proc/${pid}/fd`),
        lookInto(redis),
      ]).catch(endedMeanwhile);
      if (found === undefined) return;
      const [status, descriptors, inRedis] = found;
      const residentBytes = Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) * 1024;
      const seconds = (performance.now() - startedAt) / 1000;
      looks.push({ seconds, residentBytes, descriptors: descriptors.length, ...inRedis });
      await delay(LOOK_MS, undefined, { signal }).catch(() => undefined);
    }
  } finally {
    redis.disconnect();
  }
}

/** The run is over, and its processes are gone. */
function endedMeanwhile(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT' && error.code !== 'ESRCH') throw error;
}

async function lookInto(redis: Redis): Promise<Pick<Look, 'keys' | 'redisBytes'>> {
  try {
    const [keys, memory] = await Promise.all([redis.dbsize(), redis.info('memory')]);
    return { keys, redisBytes: Number(/used_memory:(\d+)/.exec(memory)?.[1] ?? 0) };
  } catch {
    return {}; // just killed, or not back yet
  }
}

/** The private Redis has a password, which is in the environment of those who use it. */
async function redisUrlOf(pid: number): Promise<string> {
  const variables = (await readFile(`/proc/${pid}/environ`, 'utf8')).split('\0');
  const url = variables
    .find((one) => one.startsWith('ROPETEAM_REDIS_URL='))
    ?.split('=')
    .slice(1)
    .join('=');
  if (url === undefined) throw new Error('the coordinator has no ROPETEAM_REDIS_URL');
  return url;
}

function spansOf(looks: readonly Look[], spanSeconds: number): readonly Span[] {
  const numSpans = Math.ceil((looks.at(-1)?.seconds ?? 0) / spanSeconds);
  const groups = Array.from({ length: numSpans }, (_, index) =>
    looks.filter(({ seconds }) => Math.floor(seconds / spanSeconds) === index),
  );
  return groups.map((group, index) => ({
    seconds: (index + 1) * spanSeconds,
    residentBytes: Math.min(...group.map(({ residentBytes }) => residentBytes)),
    descriptors: median(group.map(({ descriptors }) => descriptors)),
    mostKeys: Math.max(...group.map(({ keys }) => keys ?? 0)),
    mostRedisBytes: Math.max(...group.map(({ redisBytes }) => redisBytes ?? 0)),
  }));
}

function growthOf(spans: readonly Span[]): number {
  const third = Math.floor(spans.length / 3);
  const memory = (part: readonly Span[]): number => median(part.map(({ residentBytes }) => residentBytes));
  return third === 0 ? 0 : memory(spans.slice(-third)) / memory(spans.slice(third, 2 * third)) - 1;
}
