/** Connections to Redis: one kind that waits as long as it takes, one that fails in time. */
import { setTimeout } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { RopeteamError } from '#training';
import { atMost, DeadlinePassed, settlesWithin } from './deadline.js';
import { maskPassword } from './redis/redis-url.js';

const RETRY_AFTER_MS = 10;
/** How long a call of the coordinator may take, reconnecting included, before it fails with a name. */
const CALL_DEADLINE_MS = 5000;
const CONNECT_DEADLINE_MS = 2000;
/** Nothing of ours is on its way when we hang up; the client's own 2 s would keep an ended process around. */
const DISCONNECT_DEADLINE_MS = 100;
const LONGEST_ATTEMPT_MS = CONNECT_DEADLINE_MS + 1000 + 200; // after the longest delay between two attempts

/** Grows from 50 ms to a second. */
const reconnectDelayMs = (times: number): number => Math.min(50 * 2 ** Math.min(times, 5), 1000);
// A primary that was made a replica refuses writes: the address may lead to the new primary by now.
const reconnectOnError = (error: Error): boolean => error.message.startsWith('READONLY');

/** For a consumer that blocks until there is work: its commands wait out any outage. */
export interface PatientConnection extends AsyncDisposable {
  /** Copies made with `duplicate`, as BullMQ does for its blocking command, belong to this connection. */
  readonly client: Redis;
  /** Is every connection up? */
  isReady(): boolean;
  /** Ends the waiting: a connection that is down is tried once more, and if that fails its commands fail. */
  giveUp(): Promise<void>;
}

/** An error of a connection says which one it is: `write EPIPE` alone could be any. */
export function ofRedis(url: string, error: Error): Error {
  const name = `Redis ${maskPassword(url)}`;
  return error.message.includes(name) ? error : new Error(`${name}: ${error.message}`, { cause: error });
}

export function openPatientConnection(url: string, report: (error: unknown) => void): PatientConnection {
  const onError = (error: Error): void => report(ofRedis(url, error));
  let givenUp = false;
  const client = new Redis(url, {
    reconnectOnError,
    retryStrategy: (times) => (givenUp ? null : reconnectDelayMs(times)),
    connectTimeout: CONNECT_DEADLINE_MS,
    disconnectTimeout: DISCONNECT_DEADLINE_MS,
    maxRetriesPerRequest: null,
  });
  /** A connection that is closed as soon as it is made, by what stands between, has no error of its own. */
  const watch = (one: Redis): void => {
    one.on('error', onError);
    one.on('reconnecting', () => onError(new Error('the connection was lost, it is tried again')));
  };
  const clients = [client];
  const duplicate = client.duplicate.bind(client);
  client.duplicate = (options) => {
    const copy = duplicate(options);
    watch(copy);
    clients.push(copy);
    return copy;
  };
  watch(client);
  return {
    client,
    isReady: () => clients.every(({ status }) => status === 'ready'),
    async giveUp() {
      givenUp = true;
      // BullMQ closes by `disconnect`, and one that is between two attempts would then neither connect nor end.
      await Promise.all(clients.map((one) => settle(one)));
    },
    async [Symbol.asyncDispose]() {
      givenUp = true;
      await Promise.all(clients.map((one) => closeClient(one)));
    },
  };
}

/** Resolves when the client is connected or has ended, or after the longest that an attempt may take. */
async function settle(client: Redis): Promise<void> {
  if (client.status === 'ready' || client.status === 'end' || client.status === 'wait') return;
  let look: () => void = () => undefined;
  const settled = new Promise<void>((resolve) => {
    look = resolve;
    client.once('ready', resolve);
    client.once('end', resolve);
  });
  await settlesWithin(LONGEST_ATTEMPT_MS, settled);
  client.off('ready', look);
  client.off('end', look);
}

/** For calls somebody awaits: each ends within the deadline, one way or the other. */
export interface PunctualConnection extends AsyncDisposable {
  readonly client: Redis;
  /**
   * Runs an operation that may safely run twice; tries again while the connection comes and goes.
   * @throws REDIS.UNREACHABLE after 5 s, REDIS.OUT_OF_MEMORY at once
   */
  call<Result>(purpose: string, operation: () => Promise<Result>): Promise<Result>;
  /** What an operation sends before it first waits for an answer goes to the socket together. */
  inOneWrite<Result>(operation: () => Promise<Result>): Promise<Result>;
}

export function openPunctualConnection(url: string, report: (error: unknown) => void): PunctualConnection {
  const client = new Redis(url, {
    reconnectOnError,
    retryStrategy: reconnectDelayMs,
    connectTimeout: CONNECT_DEADLINE_MS,
    disconnectTimeout: DISCONNECT_DEADLINE_MS,
    // A command whose connection broke is given back at once, to be repeated here while its caller still waits.
    // Left to the client it would be sent again at some later time, when nobody wants it any more.
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    enableOfflineQueue: false,
  });
  client.on('error', (error) => report(ofRedis(url, error)));
  return {
    client,
    call: (purpose, operation) => callInTime(client, maskPassword(url), purpose, operation),
    inOneWrite(operation) {
      const { stream } = client; // a later one, after a reconnection, is not corked
      stream.cork();
      setImmediate(() => stream.uncork());
      return operation();
    },
    async [Symbol.asyncDispose]() {
      await closeClient(client);
    },
  };
}

/** Says goodbye if the other side is there to hear it. */
async function closeClient(client: Redis): Promise<void> {
  if (client.status === 'ready') {
    try {
      await atMost(1000, client.quit());
      return;
    } catch {
      // the connection broke or hangs: there is nobody left to say goodbye to
    }
  }
  client.disconnect();
}

async function callInTime<Result>(
  client: Redis,
  display: string,
  purpose: string,
  operation: () => Promise<Result>,
): Promise<Result> {
  const endMs = performance.now() + CALL_DEADLINE_MS;
  const left = (): number => Math.max(0, endMs - performance.now());
  for (;;) {
    try {
      if (client.status !== 'ready') await untilReady(client, left());
      return await atMost(left(), operation());
    } catch (error) {
      if (isConnectionError(error) && left() > 0) {
        // A socket that is just being closed still counts as ready: time must pass for the client to notice.
        await setTimeout(RETRY_AFTER_MS);
        continue;
      }
      if (isOutOfMemory(error)) throw outOfMemory(display, purpose, error);
      if (!(error instanceof DeadlinePassed) && !isConnectionError(error)) throw error;
      throw new RopeteamError(
        'REDIS.UNREACHABLE',
        { url: display },
        `Redis ${display} did not answer within ${CALL_DEADLINE_MS / 1000} s while ${purpose}`,
        { cause: error, hint: 'see that it runs and can be reached from here; the work goes on when it is back' },
      );
    }
  }
}

async function untilReady(client: Redis, ms: number): Promise<void> {
  let ready: (() => void) | undefined;
  const event = new Promise<void>((resolve) => {
    ready = resolve;
    client.once('ready', resolve);
  });
  try {
    await atMost(ms, event);
  } finally {
    if (ready !== undefined) client.off('ready', ready);
  }
}

/** The connection's fault, not the command's: worth another try once it is back. */
function isConnectionError(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return (
    error.name === 'MaxRetriesPerRequestError' ||
    /^Connection is closed|^Stream isn't writeable|^LOADING|^READONLY|ECONN|EPIPE/.test(error.message)
  );
}

/** Redis refuses to write, by itself or in the middle of a script; what it holds it keeps, and it answers questions. */
function isOutOfMemory(error: unknown): boolean {
  return error instanceof Error && /\bOOM\b/.test(error.message);
}

function outOfMemory(display: string, purpose: string, cause: unknown): RopeteamError {
  return new RopeteamError(
    'REDIS.OUT_OF_MEMORY',
    { url: display },
    `Redis ${display} has reached its maxmemory and refused ${purpose}`,
    { cause, hint: 'free memory there or raise maxmemory; the work goes on by itself when it can write again' },
  );
}
