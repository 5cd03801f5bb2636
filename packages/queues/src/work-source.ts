/** A worker's side of the `gradients` queue. */
import type { TakenItem, WorkSource } from '#training';
import { consumeItems, type ItemConsumer } from './item-consumer.js';
import { readWorkerItem } from './item-data.js';
import { DEFAULT_NAMESPACE } from './queue-names.js';
import { limitErrors } from './quiet-errors.js';
import { checkRedis } from './redis/check-redis.js';

export interface WorkSourceOptions {
  readonly redisUrl: string;
  /** Must be the coordinator's. */
  readonly namespace?: string;
  /** Who took an item, for a person who looks into the queue. */
  readonly name?: string;
  /** Trouble that is dealt with here but worth a log line; at most one a second. */
  readonly onError: (error: Error) => void;
}

/**
 * Connects to the queue; items are taken from `start` on.
 *
 * A `process` that rejects gives its item back, before the items of later steps, and the source pauses for a moment so
 * that another may have it. How often an item may be tried is the coordinator's to say: `attempt` counts the starts.
 * @throws like `checkRedis`
 */
export async function openWorkSource(options: WorkSourceOptions): Promise<WorkSource> {
  await checkRedis(options.redisUrl);
  let consumer: ItemConsumer | undefined;
  return {
    start(process: (taken: TakenItem) => Promise<unknown>) {
      if (consumer !== undefined) throw new Error('a work source is started once');
      consumer = consumeItems({
        redisUrl: options.redisUrl,
        namespace: options.namespace ?? DEFAULT_NAMESPACE,
        queue: 'gradients',
        name: options.name,
        read: readWorkerItem,
        process,
        onError: limitErrors(options.onError),
      });
    },
    async drain() {
      await consumer?.drain();
    },
    async [Symbol.asyncDispose]() {
      await consumer?.[Symbol.asyncDispose]();
    },
  };
}
