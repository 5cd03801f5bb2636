/** F39-F47, F50, F51: Redis is killed, emptied, frozen, full, read-only, evicting, or an older copy of itself. No bit may change. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { FinishedEvent, TestCluster } from '../support/cluster.js';
import { startTestCluster } from '../support/cluster.js';
import { type FaultProxy, openFaultProxy } from '../support/fault-proxy.js';
import { type Disturbance, eventsOf, expectSameBits, FAULT_JOB, trainAndDisturb } from '../support/fault-runs.js';
import { hasRedisServer, type RedisServer, startRedisServer } from '../support/redis-server.js';

const DEADLINE_MS = 60_000;

interface Place extends AsyncDisposable {
  readonly redis: RedisServer;
  /** Between every part and Redis. */
  readonly proxy: FaultProxy;
  readonly cluster: TestCluster;
  readonly calm: FinishedEvent;
  /** What coordinator and workers logged since it was last asked for. */
  log(): string;
}

async function openPlace(...settings: readonly string[]): Promise<Place> {
  const redis = await startRedisServer(settings);
  const proxy = await openFaultProxy(redis.address);
  let log = '';
  const cluster = await startTestCluster({
    workers: 2,
    redisUrl: `redis://${proxy.address}`,
    onLog: (text) => {
      log += text;
    },
  });
  return {
    redis,
    proxy,
    cluster,
    calm: await cluster.finish(FAULT_JOB),
    log: () => {
      const since = log;
      log = '';
      return since;
    },
    [Symbol.asyncDispose]: async () => {
      await cluster[Symbol.asyncDispose]();
      await proxy[Symbol.asyncDispose]();
      await redis[Symbol.asyncDispose]();
    },
  };
}

/** Milliseconds from now to the next step that is committed. */
async function untilNextStep({ events, next }: Disturbance): Promise<number> {
  const begunAt = performance.now();
  await next('step_committed', events.length);
  return performance.now() - begunAt;
}

// reason for the skip: no redis-server is on the PATH of this machine; outages of a fetched one are in packages/queues
describe.skipIf(!hasRedisServer)('a run', { timeout: DEADLINE_MS }, () => {
  let place: Place;
  beforeAll(async () => {
    place = await openPlace();
  });
  afterAll(async () => {
    await place[Symbol.asyncDispose]();
  });
  const ask = (errand: (client: Redis) => Promise<unknown>): Promise<unknown> => place.redis.ask(errand);

  test.each([1, 2])('F39: whose Redis is SIGKILLed and comes back empty goes on within 5 s, time %i', async () => {
    let ms = Number.POSITIVE_INFINITY;
    const { finished } = await trainAndDisturb(place.cluster, 5, async (run) => {
      await place.redis.kill();
      await delay(200); // the fault itself: nobody is there
      await place.redis.start();
      ms = await untilNextStep(run);
    });
    expectSameBits(finished, place.calm);
    expect(ms).toBeLessThan(5_000);
  });

  test('F42: whose Redis loses its keys, its scripts and its clients at once ends with the same bits', async () => {
    const { finished } = await trainAndDisturb(place.cluster, 5, async (run) => {
      for (let time = 0; time < 2; time++) {
        await ask((client) => client.multi().flushall().script('FLUSH').exec());
        await ask((client) => client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'));
        await untilNextStep(run);
      }
    });
    expectSameBits(finished, place.calm);
  });

  test('F43: whose Redis is full waits, says so by name and not more than once a second, and goes on when there is room', async () => {
    place.log();
    let heldUpMs = 0;
    let fullMs = 0;
    const { finished } = await trainAndDisturb(place.cluster, 5, async (run) => {
      const begunAt = performance.now();
      await ask((client) => client.config('SET', 'maxmemory', '1'));
      await delay(4_000); // the fault itself: longer than it takes to announce what is missing again
      await ask((client) => client.config('SET', 'maxmemory', '0'));
      fullMs = performance.now() - begunAt;
      heldUpMs = await untilNextStep(run);
    });
    expectSameBits(finished, place.calm);
    expect(heldUpMs).toBeLessThan(5_000);
    const lines = place.log().trimEnd().split('\n');
    expect(lines.filter((line) => line.includes('REDIS.OUT_OF_MEMORY')).length).toBeGreaterThan(0);
    // Coordinator and two workers, each of its queues by itself.
    expect(lines.length).toBeLessThan(4 * (fullMs / 1000 + 3));
  });

  test('F45: whose Redis is set to evict, and evicts everything, is warned of it and ends with the same bits', async () => {
    place.log();
    const { finished } = await trainAndDisturb(place.cluster, 5, async (run) => {
      await ask((client) => client.config('SET', 'maxmemory-policy', 'allkeys-random', 'maxmemory', '1'));
      await expect.poll(() => place.log(), { timeout: 5_000 }).toContain('REDIS.EVICTION_POLICY');
      await ask((client) => client.config('SET', 'maxmemory-policy', 'noeviction', 'maxmemory', '0'));
      await untilNextStep(run);
    });
    expectSameBits(finished, place.calm);
  });

  test('F46: whose Redis is frozen for 3 s is late by that, and loses nobody', async () => {
    const disturbed = await trainAndDisturb(place.cluster, 5, async (run) => {
      place.redis.signal('SIGSTOP');
      await delay(3_000); // the fault itself
      place.redis.signal('SIGCONT');
      expect(await untilNextStep(run)).toBeLessThan(5_000);
    });
    expectSameBits(disturbed.finished, place.calm);
    expect(eventsOf(disturbed, 'worker_lost')).toEqual([]);
  });

  test('F46: whose Redis is paused for its clients by CLIENT PAUSE ends with the same bits', async () => {
    const { finished } = await trainAndDisturb(place.cluster, 5, async (run) => {
      await ask((client) => client.client('PAUSE', 1_000, 'ALL'));
      await untilNextStep(run);
    });
    expectSameBits(finished, place.calm);
  });

  test('F47: whose Redis becomes a read-only replica, and whose address then leads to an older copy, goes on within 5 s', async () => {
    const older = await place.redis.copy();
    try {
      let ms = Number.POSITIVE_INFINITY;
      const { finished } = await trainAndDisturb(place.cluster, 5, async (run) => {
        await ask((client) => client.replicaof('127.0.0.1', 1));
        await delay(500); // the fault itself: writes are refused
        place.proxy.lead(older.address);
        place.proxy.cut();
        ms = await untilNextStep(run);
      });
      expectSameBits(finished, place.calm);
      expect(ms).toBeLessThan(5_000);
      expectSameBits(await place.cluster.finish(FAULT_JOB), place.calm);
    } finally {
      await ask((client) => client.replicaof('NO', 'ONE'));
      place.proxy.lead(place.redis.address);
      place.proxy.cut();
      await older[Symbol.asyncDispose]();
    }
  });

  test('F50: whose connections to Redis break with answers on their way ends with the same bits', async () => {
    place.proxy.setWeather({ delayMs: 5 });
    const { finished } = await trainAndDisturb(place.cluster, 2, async (run) => {
      for (let time = 0; time < 5; time++) {
        // What was asked for has been done, and who asked does not know.
        place.proxy.hold('from-target');
        await delay(50); // the fault itself: commands arrive, answers do not
        place.proxy.cut();
        place.proxy.heal();
        await untilNextStep(run);
      }
    });
    place.proxy.setWeather({});
    expectSameBits(finished, place.calm);
  });

  test('F51: leaves no job behind that failed for good, and no more keys than it found', async () => {
    const failed = await place.redis.ask((client) => client.zcard('{ropeteam}:gradients:failed'));
    expect(failed).toBe(0);
    const before = await place.redis.ask((client) => client.dbsize());
    await place.cluster.finish(FAULT_JOB);
    // A fence a run is kept.
    expect((await place.redis.ask((client) => client.dbsize())) - before).toBeLessThanOrEqual(1);
  });
});

describe.skipIf(!hasRedisServer)('a run whose Redis writes every command to the disk', { timeout: DEADLINE_MS }, () => {
  test('F40: is not disturbed by what comes back after a SIGKILL', async () => {
    await using place = await openPlace('--appendonly', 'yes', '--appendfsync', 'everysec');
    const { finished } = await trainAndDisturb(place.cluster, 5, async (run) => {
      for (let time = 0; time < 2; time++) {
        await place.redis.kill();
        await place.redis.start();
        expect(await untilNextStep(run)).toBeLessThan(8_000);
      }
    });
    expectSameBits(finished, place.calm);
  });
});
