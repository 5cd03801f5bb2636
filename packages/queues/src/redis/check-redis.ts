/** Is there a Redis at this address that the queues can work with? */
import { Redis } from 'ioredis';
import { RopeteamError } from '#training';
import { atMost, DeadlinePassed } from '../deadline.js';
import { isAtLeast, parseRedisInfo, type RedisInfo } from './redis-info.js';
import { parseRedisUrl, type RedisUrl } from './redis-url.js';

/** The oldest Redis that BullMQ recommends: it relies on LMOVE-era list and stream commands. */
export const LEAST_REDIS_VERSION = '6.2.0';
const CHECK_DEADLINE_MS = 3000;

/**
 * Connects once, asks, hangs up. Answers or fails within 3 s.
 * @throws USAGE.ARGUMENT, REDIS.UNREACHABLE, REDIS.VERSION, REDIS.EVICTION_POLICY, each with what to do next.
 */
export async function checkRedis(address: string, signal?: AbortSignal): Promise<RedisInfo> {
  const url = parseRedisUrl(address);
  const info = parseRedisInfo(await askForInfo(url, signal));
  if (!isAtLeast(info.compatibleWith, LEAST_REDIS_VERSION)) throw tooOld(url, info.compatibleWith);
  if (info.evictionPolicy !== undefined && info.evictionPolicy !== 'noeviction') throw evicts(url, info.evictionPolicy);
  if (info.role === 'slave') {
    throw unreachable(url, 'it is a read-only replica', 'name the primary it replicates from');
  }
  if (info.clusterEnabled) {
    throw unreachable(url, 'it runs in cluster mode', 'name a Redis that runs on its own (cluster_enabled:0)');
  }
  return info;
}

async function askForInfo(url: RedisUrl, signal: AbortSignal | undefined): Promise<string> {
  signal?.throwIfAborted();
  // Protocol 2: a server too old for HELLO shall be able to say how old it is.
  const client = new Redis(url.href, {
    protocol: 2,
    lazyConnect: true,
    connectTimeout: CHECK_DEADLINE_MS,
    disconnectTimeout: 100,
    retryStrategy: () => null,
    enableReadyCheck: false,
    enableOfflineQueue: false,
    disableClientInfo: true,
  });
  // The rejection of connect() only says that the connection is closed; why comes as an event.
  let reason: unknown;
  client.on('error', (error) => {
    reason ??= error;
  });
  try {
    const answer = client.connect().then(() => client.info());
    const info = await atMost(CHECK_DEADLINE_MS, answer, signal);
    // The client reports that SELECT was refused, and goes on with database 0: somebody else's.
    if (reason instanceof Error && reason.message.startsWith('ERR DB index')) throw reason;
    return info;
  } catch (error) {
    signal?.throwIfAborted();
    throw explain(url, reason ?? error);
  } finally {
    client.disconnect();
  }
}

/** Turns whatever the client or the socket said into the sentence a person needs. */
function explain(url: RedisUrl, reason: unknown): RopeteamError {
  const message = reason instanceof Error ? reason.message : String(reason);
  const code = reason instanceof Error && 'code' in reason ? String(reason.code) : '';
  const at = `${url.host}:${url.port}`;
  if (code === 'ECONNREFUSED') {
    return unreachable(
      url,
      `nothing listens at ${at}`,
      'start that Redis, or leave the address out to get a private one',
    );
  }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return unreachable(url, `the name ${url.host} is not known (${code})`, 'correct the host name');
  }
  if (message.startsWith('NOAUTH') || /requires? authentication/i.test(message)) {
    return unreachable(url, 'it wants a password', 'put the password in the address: redis://:PASSWORD@host:port');
  }
  if (message.startsWith('WRONGPASS') || message.startsWith('ERR invalid password')) {
    return unreachable(url, 'it refuses this user name or password', 'correct the password in the address');
  }
  if (message.startsWith('ERR AUTH') || message.includes('no password is set')) {
    return unreachable(url, 'it has no password, but the address gives one', 'leave the password out of the address');
  }
  if (message.startsWith('NOPERM')) {
    return unreachable(
      url,
      `its user may not do what the queues need: ${message}`,
      'give it the rights of docs/security.md',
    );
  }
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'EPROTO') {
    return unreachable(url, 'it does not speak TLS', 'write redis://, or the port at which it does');
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return unreachable(url, `its certificate is not for the name ${url.host}`, 'use a name that the certificate has');
  }
  if (/CERT|SIGNATURE/.test(code)) {
    const hint = 'name the file of its authority in NODE_EXTRA_CA_CERTS';
    return unreachable(url, `this machine does not trust its certificate (${code})`, hint);
  }
  if (message.startsWith('ERR DB index')) {
    return unreachable(url, 'it has no database of that number', 'correct the number after the last slash, usually 0');
  }
  if (/Unknown RESP type|Protocol error/i.test(message)) {
    return unreachable(url, `what answers at ${at} is not a Redis (a web server?)`, 'correct the port');
  }
  if (code === 'ETIMEDOUT' || reason instanceof DeadlinePassed) {
    const fix = url.tls ? 'if it speaks plain Redis, write redis://' : 'if it speaks TLS, write rediss://';
    return unreachable(
      url,
      `no Redis answered at ${at} within ${CHECK_DEADLINE_MS / 1000} s`,
      `check the port; ${fix}`,
    );
  }
  return unreachable(url, message, 'check the address with: redis-cli -u ADDRESS ping', reason);
}

function unreachable(url: RedisUrl, why: string, hint: string, cause?: unknown): RopeteamError {
  return new RopeteamError('REDIS.UNREACHABLE', { url: url.display }, `cannot use Redis ${url.display}: ${why}`, {
    hint,
    ...(cause === undefined ? {} : { cause }),
  });
}

function tooOld(url: RedisUrl, found: string): RopeteamError {
  return new RopeteamError(
    'REDIS.VERSION',
    { found },
    `Redis ${url.display} is version ${found}; at least ${LEAST_REDIS_VERSION} is needed`,
    { hint: `upgrade it to ${LEAST_REDIS_VERSION} or later, or leave the address out to get a private one` },
  );
}

function evicts(url: RedisUrl, found: string): RopeteamError {
  return new RopeteamError(
    'REDIS.EVICTION_POLICY',
    { found },
    `Redis ${url.display} has maxmemory-policy ${found}: when full it would throw away queued work; it needs noeviction`,
    {
      hint: `redis-cli -u ${url.display} CONFIG SET maxmemory-policy noeviction (and the same line in its redis.conf)`,
    },
  );
}
