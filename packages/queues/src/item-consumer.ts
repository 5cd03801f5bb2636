/** Taking the items of one queue, one at a time: BullMQ's worker, with what we promise about items around it. */
import { type Job, UnrecoverableError, WaitingError, Worker } from 'bullmq';
import { ofRedis, openPatientConnection } from './connection.js';
import { settlesWithin } from './deadline.js';
import { keyPrefix, type QueueName } from './queue-names.js';
import { failUnreadable, restoreOrder } from './queue-scripts.js';

/**
 * The backstop for a consumer that vanished: its lock runs out after 2 s, and the next check, one a second, moves the
 * item back (measured 1.9-3.9 s). The coordinator notices a lost worker much earlier and hands its items back itself.
 */
const LOCK_DURATION_MS = 2000;
const STALL_CHECK_MS = 1000;
/** An idle consumer asks again after this long even if the wake-up went to one that died with it. */
const POLL_SECONDS = 1;
const RETRY_AFTER_OUTAGE_MS = 500;
const CLOSE_DEADLINE_MS = 3000;
const DRAIN_GRACE_MS = 2000;
const LONGEST_PAUSE_MS = 2000;
/** Nothing reads the history, one number a minute; only its total is shown. */
const METRICS_MINUTES = 15;

/** BullMQ's codes for: job gone, lock gone, not active any more, lock of another. All mean that the item is not ours. */
const NOT_OURS: ReadonlySet<unknown> = new Set([-1, -2, -3, -6]);

interface Taken<Item> {
  readonly item: Item;
  readonly itemId: string;
  readonly token: string;
  readonly attempt: number;
  readonly signal: AbortSignal;
}

export interface ItemConsumerOptions<Item> {
  readonly redisUrl: string;
  readonly namespace: string;
  readonly queue: QueueName;
  readonly name?: string | undefined;
  readonly read: (itemId: string, data: unknown) => Item;
  readonly process: (taken: Taken<Item>) => Promise<unknown>;
  readonly onError: (error: unknown) => void;
}

export interface ItemConsumer extends AsyncDisposable {
  /** Takes no further item; resolves when the one in hand, if any, is done. */
  drain(): Promise<void>;
}

/** Starts taking items. Each runs to its end before the next is taken, and its end and the next item are one call. */
export function consumeItems<Item>(options: ItemConsumerOptions<Item>): ItemConsumer {
  const { namespace, queue, onError } = options;
  let inHand: { readonly itemId: string; readonly control: AbortController } | undefined;
  let working: Promise<unknown> = Promise.resolve();
  let failuresInARow = 0;
  let closing = false;
  const stop = new AbortController();
  const report = (error: unknown): void => {
    if (!closing) onError(error);
  };
  const connection = openPatientConnection(options.redisUrl, report);
  const { client } = connection;

  const take = async (job: Job<unknown>, token: string | undefined): Promise<unknown> => {
    const itemId = job.id ?? '';
    const lockToken = token ?? '';
    // Taken in the moment the consumer was stopped: nobody has seen it, so it goes to somebody else.
    if (stop.signal.aborted) return giveBack(job, lockToken);
    const item = readOrFail(options, itemId, job.data);
    const control = new AbortController();
    inHand = { itemId, control };
    try {
      const taken = { item, itemId, token: lockToken, attempt: job.attemptsStarted, signal: control.signal };
      const result = await options.process(taken);
      failuresInARow = 0;
      // Handed to somebody else meanwhile: finishing it would only be refused.
      if (control.signal.reason instanceof LockLost) throw new WaitingError();
      return result;
    } catch (error) {
      if (error instanceof WaitingError) throw error;
      if (!control.signal.aborted) onError(error);
      return await giveBack(job, lockToken, control.signal.aborted ? 0 : ++failuresInARow);
    } finally {
      inHand = undefined;
    }
  };

  /** Puts the item back before all later steps; after failures lets others have it before looking again. */
  const giveBack = async (job: Job<unknown>, token: string, failures = 0): Promise<never> => {
    try {
      await job.moveToWait(token);
      await restoreOrder(client, namespace, queue);
    } catch (error) {
      if (!isNotOurs(error)) onError(error);
    }
    if (failures > 0) await pause(Math.min(50 * 2 ** (failures - 1), LONGEST_PAUSE_MS), stop.signal);
    throw new WaitingError(); // to BullMQ: neither done nor failed, it is somewhere else now
  };

  const takeOne = (job: Job<unknown>, token: string | undefined): Promise<unknown> => {
    const taking = take(job, token);
    working = taking.catch(() => undefined); // only its end matters there; its outcome goes to BullMQ
    return taking;
  };
  const worker = new Worker<unknown, unknown>(queue, takeOne, {
    connection: client,
    skipVersionCheck: true, // done when the source or the queues were opened
    prefix: keyPrefix(namespace),
    concurrency: 1,
    lockDuration: LOCK_DURATION_MS,
    stalledInterval: STALL_CHECK_MS,
    // Losing a worker is never the item's fault as far as the queue knows; the coordinator counts attempts.
    maxStalledCount: Number.MAX_SAFE_INTEGER,
    drainDelay: POLL_SECONDS,
    runRetryDelay: RETRY_AFTER_OUTAGE_MS,
    // Without it the library's own totals of finished jobs stay 0.
    metrics: { maxDataPoints: METRICS_MINUTES },
    // Nobody waits for a finished job, and its id must be free should the item have to be computed again.
    removeOnComplete: { count: 0 },
    removeOnFail: { count: 100, age: 3600 },
    ...(options.name === undefined ? {} : { name: options.name }),
  });
  worker.on('error', (error) => {
    if (isNotOurs(error) || error.message.startsWith('could not renew lock')) return;
    if (!(error instanceof SyntaxError)) return report(ofRedis(options.redisUrl, error));
    failUnreadable(client, namespace, queue).then(
      (ids) => report(new Error(`failed unreadable jobs in queue ${queue}: ${ids.join(', ')} (${error.message})`)),
      report,
    );
  });
  worker.on('failed', (job, error) => report(new Error(`failed job ${job?.id} in queue ${queue}: ${error.message}`)));
  worker.on('lockRenewalFailed', (ids) => {
    if (inHand !== undefined && ids.includes(inHand.itemId)) inHand.control.abort(new LockLost());
  });
  worker.on('stalled', () => {
    restoreOrder(client, namespace, queue).catch(report);
  });

  return {
    async drain() {
      stop.abort();
      // With Redis away pausing would wait for an answer of a connection that is not there; nothing is taken then.
      const paused = worker.pause(!connection.isReady());
      paused.catch(report);
      await working;
      await settlesWithin(DRAIN_GRACE_MS, paused); // in which the item's end is written
    },
    async [Symbol.asyncDispose]() {
      closing = true;
      stop.abort();
      inHand?.control.abort(new Error('the queue is being closed'));
      // A process that does not heed its signal, or a Redis that is away, may not hold up the end: the lock runs out.
      await settlesWithin(CLOSE_DEADLINE_MS, working);
      if (!connection.isReady()) await connection.giveUp();
      await settlesWithin(CLOSE_DEADLINE_MS, worker.close());
      await connection[Symbol.asyncDispose]();
    },
  };
}

class LockLost extends Error {
  override readonly name = 'LockLost';
  constructor() {
    super('the item was handed to somebody else');
  }
}

function readOrFail<Item>(options: ItemConsumerOptions<Item>, itemId: string, data: unknown): Item {
  try {
    return options.read(itemId, data);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UnrecoverableError(`not an item of ours: ${reason}`); // to BullMQ: failed for good, with this reason
  }
}

/** Was a call refused because the item belongs to somebody else by now, or is gone? */
export function isNotOurs(error: unknown): boolean {
  return error instanceof Error && 'code' in error && NOT_OURS.has(error.code);
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end, { once: true });
  });
}
