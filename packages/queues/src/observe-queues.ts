/** What the queues and their Redis say of themselves, for metrics. */
import type { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import type { QueueObservation } from '#training';
import { infoFields } from './redis/redis-info.js';

/** Counts jobs, times a ping, and asks Redis for its memory: six round trips, none of which waits for a queue. */
export async function observeQueues(
  client: Redis,
  queues: readonly Pick<Queue, 'getJobCounts' | 'exportPrometheusMetrics'>[],
): Promise<QueueObservation> {
  const askedAt = performance.now();
  await client.ping();
  const latencyMs = performance.now() - askedAt;
  const [info, texts, counts] = await Promise.all([
    client.info(),
    Promise.all(queues.map((queue) => queue.exportPrometheusMetrics())),
    Promise.all(queues.map((queue) => queue.getJobCounts('waiting', 'active'))),
  ]);
  const fields = infoFields(info);
  const number = (name: string): number | undefined => {
    const value = Number(fields.get(name) ?? Number.NaN);
    return Number.isFinite(value) ? value : undefined;
  };
  const sum = (state: string): number => counts.reduce((total, count) => total + (count[state] ?? 0), 0);
  return {
    waiting: sum('waiting'),
    active: sum('active'),
    redis: {
      latencyMs,
      usedBytes: number('used_memory'),
      limitBytes: number('maxmemory'),
      evictedKeys: number('evicted_keys'),
      clients: number('connected_clients'),
      evictionPolicy: fields.get('maxmemory_policy'),
    },
    text: mergeExpositions(texts),
  };
}

/** One text of several in Prometheus' format: a metric that is in many is declared once, its samples together. */
export function mergeExpositions(texts: readonly string[]): string {
  const metrics = new Map<string, { readonly declared: Set<string>; readonly samples: string[] }>();
  for (const line of texts.flatMap((text) => text.split('\n'))) {
    const name = /^(?:# (?:HELP|TYPE) )?([A-Za-z_:][\w:]*)/.exec(line)?.[1];
    if (name === undefined) continue;
    const metric = metrics.get(name) ?? { declared: new Set<string>(), samples: [] };
    metrics.set(name, metric);
    if (line.startsWith('#')) metric.declared.add(line);
    else metric.samples.push(line);
  }
  return [...metrics.values()].map(({ declared, samples }) => `${[...declared, ...samples].join('\n')}\n`).join('');
}
