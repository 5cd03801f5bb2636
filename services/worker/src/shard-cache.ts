import { type BlockRows, type WorkerEngine, windowFiller } from '#engine';
import { countWindows, windowRows } from '#kernel';
import { decodeShard, readNearbyShard, type ShardContent } from '#storage';
import type { WorkerMetrics } from '#telemetry';
import { type CoordinatorSession, RopeteamError, type RunPlan, type ShardInfo, type SplitName } from '#training';

/** Shards read at the same time: one on the wire while another is checked and handed to the kernel threads. */
const PARALLEL_FETCHES = 2;
/** A shard whose checksum is wrong is fetched so often in all: once is the wire's fault, three times the file's. */
const MOST_FETCHES = 3;

/** Fetches a run's shards and hands them to the engine, and says when what a computation reads is there. */
export interface ShardCache {
  /** Resolves when the training rows at positions `[begin, end)` of an epoch's order are with the engine. */
  needTraining(epoch: number, begin: number, end: number): Promise<void>;
  /** Resolves when samples `[begin, end)` of another split are. @returns to be called when they have been read */
  needStored(split: SplitName, begin: number, end: number): Promise<() => void>;
}

export interface ShardCacheOptions {
  readonly plan: RunPlan;
  readonly session: Pick<CoordinatorSession, 'fetchShard'>;
  readonly engine: Pick<WorkerEngine, 'addShard' | 'dropShard' | 'windows'>;
  readonly metrics: Pick<WorkerMetrics, 'shardFetched' | 'shardsNeeded' | 'dataAwaited'>;
  readonly signal: AbortSignal;
  /** Bytes of rows to hold at the most: two windows, and what else there is room for. */
  readonly memoryBytes: number;
}

export function openShardCache(options: ShardCacheOptions): ShardCache {
  const { plan, engine, metrics, memoryBytes } = options;
  const { dataset, windows } = plan;
  const bySplit = (split: SplitName): readonly ShardInfo[] => dataset.shards.filter((shard) => shard.split === split);
  const fetch = fetcher(options);
  const budget = rowBudget(memoryBytes - heldAnyway(plan));
  const stored = storedShards(engine, fetch, budget);
  const fill = windows === undefined ? undefined : fillerOf(options, bySplit('train'), fetch, budget);

  const need = async (shards: readonly ShardInfo[]): Promise<() => void> => {
    const held = shards.filter((shard) => stored.holds(shard)).length;
    metrics.shardsNeeded({ held, fetched: shards.length - held });
    return stored.need(shards);
  };
  /** Of a run without windows: the order of an epoch scatters a step over the whole split. */
  const allTraining = bySplit('train');

  return {
    async needTraining(epoch, begin, end) {
      const askedAt = performance.now();
      if (fill !== undefined) await fill(epoch, begin, end);
      else if (allTraining.every((shard) => stored.holds(shard))) {
        metrics.shardsNeeded({ held: allTraining.length, fetched: 0 });
        return;
      } else await need(allTraining);
      metrics.dataAwaited(performance.now() - askedAt);
    },
    needStored: (split, begin, end) => need(bySplit(split).filter((shard) => shard.begin < end && shard.end > begin)),
  };
}

const rowBytesOf = ({ dataset }: RunPlan): number => 4 * (dataset.featureCount + dataset.targetCount);

/** Training rows that are held whatever the budget. */
function heldAnyway(plan: RunPlan): number {
  const { windows, dataset } = plan;
  return rowBytesOf(plan) * (windows === undefined ? dataset.samples.train : 2 * windowRows(windows));
}

/** Room for rows beside those that must be held. */
interface RowBudget {
  /** Takes so many bytes of it, if they are left. */
  take(bytes: number): boolean;
}

function rowBudget(bytes: number): RowBudget {
  let left = bytes;
  return {
    take(wanted) {
      if (wanted > left) return false;
      left -= wanted;
      return true;
    },
  };
}

type Fetch = (shard: ShardInfo) => Promise<ShardContent>;

/** Fetches and checks shards, a few at a time; one that is damaged is fetched again. */
function fetcher({ plan, session, metrics, signal }: ShardCacheOptions): Fetch {
  const waiting: (() => void)[] = [];
  let running = 0;
  const turn = async (): Promise<void> => {
    if (running < PARALLEL_FETCHES) running++;
    else await new Promise<void>((resolve) => waiting.push(resolve));
  };
  let isNearby = plan.dataPath !== undefined;
  /** A copy that is damaged, or of another run of that name, is no copy. */
  const nearby = async (shard: ShardInfo): Promise<ShardContent | undefined> => {
    if (!isNearby || plan.dataPath === undefined) return undefined;
    const bytes = await readNearbyShard(plan.dataPath, shard);
    isNearby = bytes !== undefined;
    try {
      return bytes === undefined ? undefined : decodeShard(bytes, shard, plan.dataset);
    } catch (error) {
      if (error instanceof RopeteamError && error.code === 'DATA.SHARD') return undefined;
      throw error;
    }
  };
  const attempt = async (shard: ShardInfo): Promise<ShardContent> => {
    const bytes = await session.fetchShard(plan.run, shard.split, shard.index, signal);
    metrics.shardFetched(bytes.byteLength);
    return decodeShard(bytes, shard, plan.dataset);
  };
  return async (shard) => {
    await turn();
    try {
      const found = await nearby(shard);
      if (found !== undefined) return found;
      for (let fetches = 1; ; fetches++) {
        try {
          return await attempt(shard);
        } catch (error) {
          const isDamaged = error instanceof RopeteamError && error.code === 'DATA.SHARD';
          if (!isDamaged || fetches >= MOST_FETCHES) throw error;
        }
      }
    } finally {
      const next = waiting.shift();
      if (next === undefined) running--;
      else next();
    }
  };
}

interface StoredShards {
  holds(shard: ShardInfo): boolean;
  need(shards: readonly ShardInfo[]): Promise<() => void>;
}

/** Shards that the engine holds as they are stored: for good where the budget has room, else while they are read. */
function storedShards(engine: ShardCacheOptions['engine'], fetch: Fetch, budget: RowBudget): StoredShards {
  const loads = new Map<ShardInfo, Promise<void>>();
  const loaded = new Set<ShardInfo>();
  const passing = new Set<ShardInfo>();

  const load = (shard: ShardInfo): Promise<void> => {
    const started = loads.get(shard);
    if (started !== undefined) return started;
    const loading = fetch(shard).then(
      (content) => {
        engine.addShard(content);
        loaded.add(shard);
        if (shard.split !== 'train' && !budget.take(shard.bytes)) passing.add(shard);
      },
      (error: unknown) => {
        loads.delete(shard); // the next computation that needs it tries again
        throw error;
      },
    );
    loads.set(shard, loading);
    return loading;
  };

  return {
    holds: (shard) => loaded.has(shard),
    async need(shards) {
      await Promise.all(shards.map(load));
      return () => {
        for (const shard of shards) {
          if (!passing.delete(shard)) continue;
          engine.dropShard(shard);
          loaded.delete(shard);
          loads.delete(shard);
        }
      };
    },
  };
}

/** Training rows in windows: blocks are read as the order of the epochs asks for them, and kept where there is room. */
function fillerOf(
  { plan, engine, metrics }: ShardCacheOptions,
  shards: readonly ShardInfo[],
  fetch: Fetch,
  budget: RowBudget,
): ReturnType<typeof windowFiller>['need'] {
  const { windows, dataset, epochs } = plan;
  const { windows: rows } = engine;
  if (windows === undefined || rows === undefined)
    throw new Error('an engine was opened without the windows of its run');
  const kept = new Map<number, BlockRows>();
  const readBlock = async (block: number): Promise<BlockRows> => {
    const held = kept.get(block);
    metrics.shardsNeeded(held === undefined ? { held: 0, fetched: 1 } : { held: 1, fetched: 0 });
    if (held !== undefined) return held;
    const content = await fetch(shards[block]!); // a block is a shard: the coordinator cut them alike
    if (budget.take(shards[block]!.bytes)) kept.set(block, content);
    return content;
  };
  const perEpoch = countWindows(dataset.samples.train, windows);
  return windowFiller({ rows, windows: epochs * perEpoch, parallel: PARALLEL_FETCHES, readBlock }).need;
}
