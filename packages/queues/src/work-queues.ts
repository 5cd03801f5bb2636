/** The coordinator's side of both queues. */
import { Job, Queue } from 'bullmq';
import {
  type AverageItem,
  type Fence,
  fence,
  itemId,
  RopeteamError,
  type RunId,
  type WorkItem,
  type WorkQueues,
} from '#training';
import { openPunctualConnection } from './connection.js';
import { consumeItems, type ItemConsumer, isNotOurs } from './item-consumer.js';
import { readAverageItem } from './item-data.js';
import { observeQueues } from './observe-queues.js';
import { DEFAULT_NAMESPACE, fenceKey, keyPrefix, type QueueName } from './queue-names.js';
import { claimHighest, forgetFailed, restoreOrder, type TakenJob, takenBy, withdrawWaiting } from './queue-scripts.js';
import { limitErrors } from './quiet-errors.js';
import { checkRedis } from './redis/check-redis.js';

export interface WorkQueuesOptions {
  readonly redisUrl: string;
  /** Keeps several installations on one Redis apart. */
  readonly namespace?: string;
  /** Trouble that is dealt with here but worth a log line; at most one a second. */
  readonly onError: (error: Error) => void;
}

/** So many stay far inside the deadline even on the embedded JavaScript Redis, which adds some 500 a second. */
const ITEMS_PER_CALL = 250;
/** Events are for people who look in; nothing here reads them. */
const KEPT_EVENTS = 100;
/** A run's folder keeps its fence for good; this is the second copy. */
const FENCE_SECONDS = 90 * 24 * 3600;

/**
 * Connects both queues. Every call ends within 5 s: done, or with REDIS.UNREACHABLE.
 * @throws like `checkRedis`
 */
export async function openWorkQueues(options: WorkQueuesOptions): Promise<WorkQueues> {
  const { redisUrl, namespace = DEFAULT_NAMESPACE } = options;
  const prefix = keyPrefix(namespace);
  const { engine, version } = await checkRedis(redisUrl);
  const onError = limitErrors(options.onError);
  const connection = openPunctualConnection(redisUrl, onError);
  const { client } = connection;
  const open = (queue: QueueName): Queue<WorkItem, unknown, string> => {
    const opened = new Queue<WorkItem, unknown, string>(queue, {
      connection: client,
      prefix,
      // Checked above. BullMQ asks while it starts, and a connection that breaks under its question breaks it for good.
      skipVersionCheck: true,
      streams: { events: { maxLen: KEPT_EVENTS } },
    });
    opened.on('error', onError);
    return opened;
  };
  const queues = { gradients: open('gradients'), averages: open('averages') } as const;
  try {
    await connection.call('connecting', () =>
      Promise.all(Object.values(queues).map((queue) => queue.waitUntilReady())),
    );
  } catch (error) {
    await connection[Symbol.asyncDispose]();
    throw error;
  }
  const newest = new Map<string, number>();
  let averager: ItemConsumer | undefined;

  const add = async (queue: QueueName, items: readonly WorkItem[]): Promise<void> => {
    if (items.length === 0) return;
    const jobs = items.map((item) => ({ name: item.kind, data: item, opts: { jobId: itemId(item) } }));
    // Announced before, or of an earlier step: only then can an id be taken by a failed job, or the order be wrong.
    const again = reachesBack(newest, queue, items);
    const ids = jobs.map(({ opts }) => opts.jobId);
    if (again) await forgetFailed(client, namespace, queue, ids);
    await queues[queue].addBulk(jobs);
    if (again) await restoreOrder(client, namespace, queue);
  };

  return {
    engine: { engine, version },
    async announce(items) {
      for (let begin = 0; begin < items.length; begin += ITEMS_PER_CALL) {
        const some = items.slice(begin, begin + ITEMS_PER_CALL);
        const gradients = some.filter(({ kind }) => kind !== 'average');
        const averages = some.filter(({ kind }) => kind === 'average');
        // Answered before the items are taken in, and one write: a question asked first would wake Redis twice.
        await connection.call('announcing work', () =>
          connection.inOneWrite(() =>
            Promise.all([requireHighest(some), add('gradients', gradients), add('averages', averages)]),
          ),
        );
      }
    },
    handBack: (id, token) =>
      connection.call('handing back work', async () => (await moveBack([{ id, token }])).length > 0),
    handBackOf: (worker, run, ofFence) =>
      connection.call('handing back work', async () =>
        moveBack(await takenBy(client, namespace, 'gradients', { worker, prefix: `${run}.${ofFence}.` })),
      ),
    async withdraw(run, ofFence) {
      const both: readonly QueueName[] = ['gradients', 'averages'];
      await connection.call('withdrawing work', () =>
        Promise.all(both.map((queue) => withdrawWaiting(client, namespace, queue, run, ofFence))),
      );
    },
    consumeAverages(process: (item: AverageItem, signal: AbortSignal) => Promise<unknown>) {
      if (averager !== undefined) throw new Error('averages are consumed once');
      averager = consumeItems({
        redisUrl,
        namespace,
        queue: 'averages',
        read: readAverageItem,
        process: ({ item, signal }) => process(item, signal),
        onError,
      });
    },
    nextFence: (run) => connection.call('taking a fence', () => raiseFence(run)),
    claimFence: (run, held) =>
      connection.call('claiming a fence', async () => {
        const current = await claimHighest(client, namespace, run, held, FENCE_SECONDS);
        if (current > held) throw fenced(run, held, current);
      }),
    async depth() {
      const counts = await connection.call('counting work', () =>
        Promise.all(Object.values(queues).map((queue) => queue.getJobCounts('waiting', 'active'))),
      );
      const sum = (state: string): number => counts.reduce((total, count) => total + (count[state] ?? 0), 0);
      return { waiting: sum('waiting'), active: sum('active') };
    },
    observe: () => connection.call('looking at the queues', () => observeQueues(client, Object.values(queues))),
    async [Symbol.asyncDispose]() {
      await averager?.[Symbol.asyncDispose]();
      await Promise.all(Object.values(queues).map((queue) => queue.close()));
      await connection[Symbol.asyncDispose]();
    },
  };

  /** @returns the ids of those whose locks were still held by these tokens */
  async function moveBack(jobs: readonly TakenJob[]): Promise<readonly string[]> {
    const moved: string[] = [];
    for (const { id, token } of jobs) {
      try {
        // Only the id is needed to give a job back, so it is not read first.
        await new Job<unknown>(queues.gradients, '', {}, {}, id).moveToWait(token);
        moved.push(id);
      } catch (error) {
        if (!isNotOurs(error)) throw error;
      }
    }
    if (moved.length > 0) await restoreOrder(client, namespace, 'gradients');
    return moved;
  }

  /** An item of a lower fence would be dropped by the worker that takes it; this tells who announces it. */
  async function requireHighest(items: readonly WorkItem[]): Promise<void> {
    const owners = new Map(items.map(({ run, fence: held }) => [run, held]));
    for (const [run, held] of owners) {
      const current = await client.get(fenceKey(namespace, run));
      if (Number(current ?? 0) > held) throw fenced(run, held, Number(current));
    }
  }

  async function raiseFence(run: RunId): Promise<Fence> {
    const key = fenceKey(namespace, run);
    const answers = await client.multi().incr(key).expire(key, FENCE_SECONDS).exec();
    const [failure, value] = answers?.[0] ?? [new Error('the transaction was refused'), undefined];
    if (failure !== null) throw failure;
    return fence(Number(value));
  }
}

function fenced(run: RunId, held: number, current: number): RopeteamError {
  const message = `the queues of run ${run} are those of fence ${current}: fence ${held} may no longer write to them`;
  return new RopeteamError('COORD.FENCED', { held, current }, message, {
    hint: 'nothing is to be done: the run goes on there',
  });
}

/** Is any of these items of a step as old as one announced before? Then it may be there, or behind what waits for it. */
function reachesBack(newest: Map<string, number>, queue: QueueName, items: readonly WorkItem[]): boolean {
  let reaches = false;
  for (const item of items) {
    const key = `${queue}.${item.run}.${item.fence}`;
    const step = item.kind === 'evaluation' ? item.version : item.step;
    const before = newest.get(key) ?? 0;
    if (step < before) reaches = true;
    else newest.set(key, step);
  }
  return reaches;
}
