/** Names in Redis. Everything is under one namespace, and in one hash slot should the Redis ever be a cluster. */
import type { RunId } from '#training';

export const DEFAULT_NAMESPACE = 'ropeteam';

export type QueueName = 'gradients' | 'averages';

/** BullMQ's key prefix. The braces make one hash slot of all our keys. */
export function keyPrefix(namespace: string): string {
  if (!/^[A-Za-z0-9._-]{1,64}$/.test(namespace)) {
    throw new RangeError(
      `a namespace has 1..64 characters of A-Z a-z 0-9 . _ -, received ${JSON.stringify(namespace)}`,
    );
  }
  return `{${namespace}}`;
}

/** What BullMQ puts before a queue's lists and jobs. */
export function queueKey(namespace: string, queue: QueueName, rest: string): string {
  return `${keyPrefix(namespace)}:${queue}:${rest}`;
}

export function fenceKey(namespace: string, run: RunId): string {
  return `${keyPrefix(namespace)}:fence:${run}`;
}
