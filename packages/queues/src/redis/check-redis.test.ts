import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type Server, type Socket } from 'node:net';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestRedis } from '../redis-for-tests.js';
import { checkRedis } from './check-redis.js';
import type { RedisHandle } from './resolve-redis.js';

let redis: RedisHandle;
beforeAll(async () => {
  redis = await startTestRedis('native');
});
afterAll(async () => {
  await redis[Symbol.asyncDispose]();
});

test('a Redis that will do is named with engine and version', async () => {
  await expect(checkRedis(redis.url)).resolves.toMatchObject({ engine: redis.engine, version: redis.version });
});

test('a Redis that evicts is refused with the command that changes it, until it is changed', async () => {
  const client = new Redis(redis.url);
  await client.config('SET', 'maxmemory-policy', 'allkeys-lru');
  await expect(checkRedis(redis.url)).rejects.toMatchObject({
    code: 'REDIS.EVICTION_POLICY',
    facts: { found: 'allkeys-lru' },
    hint: expect.stringContaining('CONFIG SET maxmemory-policy noeviction'),
  });
  await client.config('SET', 'maxmemory-policy', 'noeviction');
  await checkRedis(redis.url);
  await client.quit();
});

test('a missing password, a wrong one and a database that is not there are told apart', async () => {
  const { host } = new URL(redis.url);
  await expect(checkRedis(`redis://${host}`)).rejects.toThrow('it wants a password');
  const wrong = checkRedis(`redis://:guess-77@${host}`);
  await expect(wrong).rejects.toThrow('refuses this user name or password');
  await expect(wrong).rejects.not.toThrow('guess-77');
  await expect(checkRedis(`${redis.url}/4711`)).rejects.toThrow('no database of that number');
});

test('a web server at the address is named as what it is not', async () => {
  const server = createHttpServer((_, response) => response.end('hello'));
  await using listening = await listen(server);
  await expect(checkRedis(`redis://127.0.0.1:${listening.port}`)).rejects.toMatchObject({
    code: 'REDIS.UNREACHABLE',
    message: expect.stringContaining('is not a Redis (a web server?)'),
  });
});

test('nobody listening is named at once, and an address that says nothing after three seconds', async () => {
  const silent = await listen(createServer());
  await using _ = silent;
  const beganMs = performance.now();
  await expect(checkRedis(`redis://127.0.0.1:${silent.port}`)).rejects.toThrow('no Redis answered');
  expect(performance.now() - beganMs).toBeLessThan(4000);
  const gone = await listen(createServer());
  await gone[Symbol.asyncDispose]();
  await expect(checkRedis(`redis://:secret@127.0.0.1:${gone.port}`)).rejects.toMatchObject({
    facts: { url: `redis://:***@127.0.0.1:${gone.port}` },
    message: expect.stringContaining('nothing listens'),
  });
});

test('a server older than 6.2 and a replica are refused', async () => {
  await using old = await listen(createServer((socket) => answerInfo(socket, 'redis_version:5.0.14\r\nrole:master')));
  await expect(checkRedis(`redis://127.0.0.1:${old.port}`)).rejects.toMatchObject({
    code: 'REDIS.VERSION',
    facts: { found: '5.0.14' },
  });
  await using replica = await listen(createServer((socket) => answerInfo(socket, 'redis_version:7.2.0\r\nrole:slave')));
  await expect(checkRedis(`redis://127.0.0.1:${replica.port}`)).rejects.toThrow('read-only replica');
});

test('an aborted check ends with the reason of its signal', async () => {
  await using silent = await listen(createServer());
  const control = new AbortController();
  const checking = checkRedis(`redis://127.0.0.1:${silent.port}`, control.signal);
  control.abort(new Error('no longer wanted'));
  await expect(checking).rejects.toThrow('no longer wanted');
});

/** Enough of a Redis to be asked who it is. */
function answerInfo(socket: Socket, info: string): void {
  socket.on('data', (data) => {
    const asksInfo = /info/i.test(data.toString()) && !/client/i.test(data.toString());
    socket.write(asksInfo ? `$${info.length}\r\n${info}\r\n` : '+OK\r\n');
  });
}

async function listen(server: Server): Promise<AsyncDisposable & { readonly port: number }> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => sockets.add(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP server has no port');
  return {
    port: address.port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
