import type { CoordinatorMetrics, Logger } from '#telemetry';
import type { QueueObservation, WorkQueues } from '#training';

/** How often queues and Redis are looked at. A scrape takes what was seen last, and so never waits for Redis. */
const LOOK_INTERVAL_MS = 2_000;

/**
 * Looks at the queues now and then, for the metrics. Redis was refused at the start if it evicts, but that is a setting
 * which somebody may change while a run trains: nothing is lost by it but time, and it is said once.
 *
 * @returns ends the watch
 */
export function watchQueues(
  queues: Pick<WorkQueues, 'observe'>,
  metrics: Pick<CoordinatorMetrics, 'queuesObserved' | 'redisUnreachable'>,
  log: Pick<Logger, 'warn' | 'error'>,
  seen: (figures: QueueObservation | undefined) => void = () => undefined,
): () => void {
  let looking = false;
  let lastPolicy: string | undefined = 'noeviction';
  const look = async (): Promise<void> => {
    try {
      const figures = await queues.observe();
      metrics.queuesObserved(figures);
      seen(figures);
      const { evictionPolicy = 'noeviction' } = figures.redis;
      if (evictionPolicy !== lastPolicy && evictionPolicy !== 'noeviction') {
        const message = `Redis may throw away queued work: its maxmemory-policy is ${evictionPolicy} now, noeviction is needed`;
        log.error('redis_may_evict', { code: 'REDIS.EVICTION_POLICY', message });
      }
      lastPolicy = evictionPolicy;
    } catch (error) {
      metrics.redisUnreachable();
      seen(undefined);
      log.warn('queue_trouble', { message: error instanceof Error ? error.message : String(error) });
    } finally {
      looking = false;
    }
  };
  const lookUnlessLooking = (): void => {
    if (looking) return;
    looking = true;
    void look();
  };
  lookUnlessLooking();
  const looks = setInterval(lookUnlessLooking, LOOK_INTERVAL_MS);
  return () => clearInterval(looks);
}
