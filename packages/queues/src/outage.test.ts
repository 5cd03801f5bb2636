import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { itemId } from '#training';
import { gradient, Hands, openPlace } from './queues-for-tests.js';
import { findExecutable } from './redis/redis-program.js';
import { tailOf } from './redis/server-process.js';
import { startTestRedis } from './redis-for-tests.js';

const realServer = await findExecutable('redis-server', process.env.PATH ?? '');

test('with Redis gone a call fails by name in its deadline, errors stay rare, and closing does not hang', async () => {
  const redis = await startTestRedis('native');
  const { password } = new URL(redis.url);
  const place = await openPlace(redis.url);
  const hands = new Hands();
  await place.source(hands);
  await place.queues.announce([gradient(0)]);
  const held = await hands.next();
  await redis[Symbol.asyncDispose]();
  const beganMs = performance.now();
  const failed: unknown = await place.queues.announce([gradient(1)]).catch((error: unknown) => error);
  const tookMs = performance.now() - beganMs;
  expect(failed).toMatchObject({ code: 'REDIS.UNREACHABLE', message: expect.stringContaining('announcing work') });
  expect(tookMs).toBeGreaterThan(4000);
  expect(tookMs).toBeLessThan(6500);
  held.finish();
  await place[Symbol.asyncDispose]();
  expect(performance.now() - beganMs - tookMs).toBeLessThan(8000);
  const said = [failed, ...place.errors].map(String);
  // One line a second from each of the two parts, and the first of each.
  expect(place.errors.length).toBeLessThanOrEqual(2 * ((performance.now() - beganMs) / 1000 + 2));
  expect(said.join()).not.toContain(password);
});

// reason for the skip: no redis-server is installed on this machine, and a fetched one has no fixed port to come back on
test.skipIf(realServer === undefined)(
  'work announced while Redis restarts, empty, is done once it is back',
  async () => {
    const port = await freePort();
    let server = await startServer(port);
    try {
      await using place = await openPlace(`redis://127.0.0.1:${port}`);
      const hands = new Hands();
      await place.source(hands);
      await place.queues.announce([gradient(0), gradient(1)]);
      const held = await hands.next();
      server.kill('SIGKILL');
      await once(server, 'exit');
      const announcing = place.queues.announce([gradient(2)]);
      held.finish(); // its end cannot be written, and is of no consequence
      server = await startServer(port);
      await announcing;
      expect(await hands.finish(1)).toEqual([itemId(gradient(2))]);
      await expect.poll(() => place.queues.depth()).toEqual({ waiting: 0, active: 0 });
    } finally {
      server.kill('SIGKILL');
    }
  },
);

test('connections that are cut are made again and nothing is lost', async () => {
  await using redis = await startTestRedis('native');
  await using place = await openPlace(redis.url);
  const client = await place.rawClient();
  const hands = new Hands();
  await place.source(hands);
  for (let number = 0; number < 5; number++) {
    await client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    await place.queues.announce([gradient(number)]);
    expect(await hands.finish(1)).toEqual([itemId(gradient(number))]);
  }
  await expect.poll(() => place.queues.depth(), { timeout: 5000 }).toEqual({ waiting: 0, active: 0 });
});

test('closing everything leaves no connection behind', async () => {
  await using redis = await startTestRedis('native');
  const place = await openPlace(redis.url);
  place.queues.consumeAverages(() => Promise.resolve());
  const hands = new Hands();
  await place.source(hands);
  await place.queues.announce([gradient(0)]);
  await hands.finish(1);
  await place[Symbol.asyncDispose]();
  await using after = await openPlace(redis.url);
  const client = await after.rawClient();
  // The one that asks and the one of the queues just opened.
  await expect
    .poll(
      async () =>
        String(await client.client('LIST'))
          .trim()
          .split('\n').length,
    )
    .toBe(2);
});

async function startServer(port: number): Promise<ChildProcess> {
  const server = spawn(realServer ?? '', ['--port', `${port}`, '--bind', '127.0.0.1', '--save', ''], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await tailOf(server.stdout).line(/Ready to accept connections/);
  return server;
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  if (address === null || typeof address === 'string') throw new Error('a TCP socket has no port');
  return address.port;
}
