import type { WorkerEngine } from '#engine';
import { decodeShard } from '#storage';
import type { WorkerMetrics } from '#telemetry';
import type { CoordinatorSession, RunPlan, ShardInfo, SplitName } from '#training';

/** Shards fetched at the same time: one on the wire while another is checked and handed to the kernel threads. */
const PARALLEL_FETCHES = 2;

/** Fetches a run's shards once each and hands them to the engine; `need` waits for what a computation reads. */
export interface ShardCache {
  /** Resolves when every shard that holds samples `[begin, end)` of the split is with the engine. */
  need(split: SplitName, begin: number, end: number): Promise<void>;
}

export interface ShardCacheOptions {
  readonly plan: RunPlan;
  readonly session: CoordinatorSession;
  readonly engine: WorkerEngine;
  readonly metrics: WorkerMetrics;
  readonly signal: AbortSignal;
}

export function openShardCache({ plan, session, engine, metrics, signal }: ShardCacheOptions): ShardCache {
  const loads = new Map<ShardInfo, Promise<void>>();
  const loaded = new Set<ShardInfo>();
  const waiting: (() => void)[] = [];
  let running = 0;

  const turn = async (): Promise<void> => {
    if (running >= PARALLEL_FETCHES) await new Promise<void>((resolve) => waiting.push(resolve));
    running++;
  };
  const fetchAndAdd = async (shard: ShardInfo): Promise<void> => {
    await turn();
    try {
      const bytes = await session.fetchShard(plan.run, shard.split, shard.index, signal);
      metrics.shardFetched(bytes.byteLength);
      engine.addShard(decodeShard(bytes, shard, plan.dataset));
      loaded.add(shard);
    } catch (error) {
      loads.delete(shard); // the next computation that needs it tries again
      throw error;
    } finally {
      running--;
      waiting.shift()?.();
    }
  };
  const load = (shard: ShardInfo): Promise<void> => {
    const started = loads.get(shard) ?? fetchAndAdd(shard);
    loads.set(shard, started);
    return started;
  };

  return {
    need: async (split, begin, end) => {
      const needed = plan.dataset.shards.filter(
        (shard) => shard.split === split && shard.begin < end && shard.end > begin,
      );
      const held = needed.filter((shard) => loaded.has(shard)).length;
      metrics.shardsNeeded({ held, fetched: needed.length - held });
      if (held < needed.length) await Promise.all(needed.map(load));
    },
  };
}
