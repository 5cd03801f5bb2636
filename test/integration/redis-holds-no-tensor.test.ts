/** Redis carries who does what, never the bytes: looked at while large models train. */
import { Redis } from 'ioredis';
import { describe, expect, test } from 'vitest';
import { startTestCluster } from '../support/cluster.js';
import { digitsJob } from '../support/jobs.js';

const LARGEST_KEY_BYTES = 8 << 10;
/** Of the queue's own event log, which is cut at some hundred entries but grows in nodes of several KiB. */
const LARGEST_LOG_BYTES = 32 << 10;
const MOST_USED_BYTES = 20e6;
const PAGE = 500;

/** One key as a look at the whole keyspace found it. */
interface SeenKey {
  readonly key: string;
  readonly type: string;
  readonly memoryBytes: number;
  readonly dumpedBytes: number;
}

/** Every key there is, with its size in memory and as it would be written to disk; keys that vanish meanwhile are left out. */
async function lookAtEveryKey(redis: Redis): Promise<readonly SeenKey[]> {
  const seen: SeenKey[] = [];
  let cursor = '0';
  do {
    const [next, keys] = await redis.scan(cursor, 'COUNT', PAGE);
    cursor = next;
    for (const key of keys) {
      const [type, memoryBytes, dump] = await Promise.all([
        redis.type(key),
        redis.call('MEMORY', 'USAGE', key, 'SAMPLES', '0'),
        redis.dumpBuffer(key),
      ]);
      if (typeof memoryBytes === 'number' && dump !== null) {
        seen.push({ key, type, memoryBytes, dumpedBytes: dump.byteLength });
      }
    }
  } while (cursor !== '0');
  return seen;
}

async function usedBytes(redis: Redis): Promise<number> {
  return Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))?.[1]);
}

/** Calls `look` again and again, one after the other, until the promise has settled; resolves with its value. */
async function during<Value>(promise: Promise<Value>, look: () => Promise<void>): Promise<Value> {
  let over = false;
  const settled = promise.finally(() => {
    over = true;
  });
  while (!over) await Promise.race([look(), settled]);
  return settled;
}

/** Two hidden layers of so many units. */
function wideJob(units: number, train: Readonly<Record<string, string | number>>) {
  const layers = `[{ dense: ${units} }, relu, { dense: ${units} }, relu]`;
  return digitsJob({ optimizer: '{ sgd: { learningRate: 0.01 } }', ...train }, layers);
}

describe('while a model of more than a million parameters trains', () => {
  test('no key is larger than 8 KiB, and every item is a few lines of JSON without a float of the model', async () => {
    await using cluster = await startTestCluster({ workers: 2 });
    const redis = new Redis(cluster.redis.url);
    const items = new Map<string, string>();
    const looks: (readonly SeenKey[])[] = [];
    let parameters = 0;
    try {
      const run = cluster.finish(wideJob(1024, { steps: 8, batch: 32, microBatches: 2 }), (event) => {
        if (event.event === 'run_started') parameters = event.parameters;
      });
      await during(run, async () => {
        const seen = await lookAtEveryKey(redis);
        looks.push(seen);
        for (const { key } of seen.filter(({ type }) => type === 'hash')) {
          const data = await redis.hget(key, 'data').catch(() => null); // deleted, and made again as something else
          if (data !== null) items.set(key, data);
        }
      });
    } finally {
      await redis.quit();
    }
    expect(parameters).toBeGreaterThan(1e6);
    expect(looks.filter((seen) => seen.length > 0).length).toBeGreaterThan(3);
    for (const { key, type, memoryBytes, dumpedBytes } of looks.flat()) {
      expect(dumpedBytes, key).toBeLessThan(LARGEST_KEY_BYTES);
      expect(memoryBytes, key).toBeLessThan(type === 'stream' ? LARGEST_LOG_BYTES : LARGEST_KEY_BYTES);
    }
    expect(items.size).toBeGreaterThan(3);
    for (const [key, data] of items) {
      expect(data.length, key).toBeLessThan(1024);
      const item: unknown = JSON.parse(data);
      expect(item, key).toMatchObject({ kind: expect.stringMatching(/^(gradient|evaluation|average)$/) });
      expect(data, 'a fraction in an item').not.toMatch(/\d\.\d/);
    }
  }, 60_000);
});

test('Redis stays below 20 MB while a model of ten million parameters trains', async () => {
  await using cluster = await startTestCluster({ workers: 1 });
  const redis = new Redis(cluster.redis.url);
  const used: number[] = [];
  let parameters = 0;
  try {
    const job = wideJob(3072, { steps: 3, batch: 16, microBatches: 1 });
    await during(
      cluster.finish(job, (event) => {
        if (event.event === 'run_started') parameters = event.parameters;
      }),
      async () => void used.push(await usedBytes(redis)),
    );
  } finally {
    await redis.quit();
  }
  expect(parameters).toBeGreaterThan(9.5e6);
  expect(used.length).toBeGreaterThan(10);
  expect(Math.max(...used)).toBeLessThan(MOST_USED_BYTES);
}, 60_000);
