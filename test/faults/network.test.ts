/** F46, F52-F56, F58: what lies between the parts is a TCP proxy that cuts, holds, loses one end, slows, and resets. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runId } from '#training';
import type { FinishedEvent, TestCluster } from '../support/cluster.js';
import { startTestCluster } from '../support/cluster.js';
import { finished, openLives } from '../support/coordinator-life.js';
import { type FaultProxy, openFaultProxy } from '../support/fault-proxy.js';
import { eventsOf, expectSameBits, FAULT_JOB, trainAndDisturb } from '../support/fault-runs.js';

const DEADLINE_MS = 60_000;
/** The promise is 3 s; the time from the fault to the loss, as the coordinator's own clock has it. */
const DETECTED_MS = 3_000;
/** Until the worker has noticed too, waited its turn and joined again, on a machine that does other things as well. */
const REJOINED_MS = 8_000;

/** Of the one worker, to the coordinator and to Redis. */
let cluster: TestCluster;
let toCoordinator: FaultProxy;
let toRedis: FaultProxy;
let calm: FinishedEvent;
let log = '';

beforeAll(async () => {
  cluster = await startTestCluster({
    workers: 0,
    onLog: (text) => {
      log += text;
    },
  });
  toCoordinator = await openFaultProxy(cluster.grpc);
  const redis = new URL(cluster.redis.url);
  toRedis = await openFaultProxy(redis.host);
  redis.host = toRedis.address;
  await cluster.startWorker({ name: 'far', coordinator: toCoordinator.address, redisUrl: redis.href });
  calm = await cluster.finish(FAULT_JOB);
});
afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  await toCoordinator[Symbol.asyncDispose]();
  await toRedis[Symbol.asyncDispose]();
});

describe('the only worker, and the network to its coordinator', { timeout: DEADLINE_MS }, () => {
  test.each<readonly [string, (proxy: FaultProxy) => void]>([
    ['F52: nothing goes either way', (proxy) => proxy.hold('to-target', 'from-target')],
    ['F53: the worker hears and is not heard', (proxy) => proxy.hold('to-target')],
    ['F53: the worker is heard and hears nothing', (proxy) => proxy.hold('from-target')],
    ['F54: the coordinator’s end is gone and the worker is not told', (proxy) => proxy.lose('target')],
    ['F54: the worker’s end is gone and the coordinator is not told', (proxy) => proxy.lose('client')],
    ['a reset', (proxy) => proxy.cut()],
  ])('%s: lost within 3 s, joins again by itself, the same bits', async (_, strike) => {
    let struckAt = 0;
    const disturbed = await trainAndDisturb(cluster, 5, async ({ events, next }) => {
      struckAt = Date.now();
      const before = events.length;
      strike(toCoordinator);
      await next('worker_lost', before);
      toCoordinator.heal();
      await next('worker_joined', before);
    });
    expectSameBits(disturbed.finished, calm);
    const [lost, ...more] = eventsOf(disturbed, 'worker_lost');
    expect(more).toEqual([]);
    expect(lost).toMatchObject({ worker: 'far' });
    expect(lost?.detectedInMs).toBeLessThanOrEqual(DETECTED_MS);
    const joined = eventsOf(disturbed, 'worker_joined').at(-1);
    expect(joined?.pid).toBe(lost?.pid);
    expect(Date.parse(joined?.time ?? '') - struckAt).toBeLessThan(REJOINED_MS);
  });

  test('F56: 20 ms of latency, 1 MB/s and a reset every second: no storm of connections, the same bits', async () => {
    const before = toCoordinator.connections;
    let resets = 0;
    toCoordinator.setWeather({ delayMs: 20, bytesPerSecond: 1e6 });
    let over = false;
    const finishing = trainAndDisturb(cluster, 2, async () => {
      while (!over && resets < 4) {
        await delay(1_000); // the fault itself: a reset each second
        resets++;
        toCoordinator.cut();
      }
    });
    const { finished: end } = await finishing.finally(() => {
      over = true;
      toCoordinator.setWeather({});
    });
    expectSameBits(end, calm);
    expect(resets).toBeGreaterThan(1);
    expect(toCoordinator.connections - before).toBeLessThanOrEqual(3 * resets);
  });
});

describe('a worker, and the network to Redis', { timeout: DEADLINE_MS }, () => {
  test('F55: one that cannot reach Redis costs no bits, and says which link is broken', async () => {
    log = '';
    const { finished: end } = await trainAndDisturb(cluster, 5, async ({ events, next }) => {
      toRedis.cut();
      toRedis.lead('127.0.0.1:1');
      await cluster.startWorker({ name: 'near' });
      await next('step_committed', events.length);
    });
    expectSameBits(end, calm);
    // Told at most once a second, which a fast run may be over in.
    await expect.poll(() => log, { timeout: 15_000 }).toMatch(/"worker":"far".*"queue_trouble".*Redis redis:/);
    toRedis.lead(new URL(cluster.redis.url).host);
    const [, near] = cluster.workers;
    if (near === undefined) throw new Error('there is no second worker');
    await cluster.killWorker(near);
    expectSameBits(await cluster.finish(FAULT_JOB), calm);
  });

  test('F46, F56: 20 ms of latency to Redis, and resets: slower, the same bits', async () => {
    toRedis.setWeather({ delayMs: 20 });
    const { finished: end } = await trainAndDisturb(cluster, 5, async ({ events, next }) => {
      for (let reset = 0; reset < 3; reset++) {
        toRedis.cut();
        await next('step_committed', events.length);
      }
    });
    toRedis.setWeather({});
    expectSameBits(end, calm);
  });
});

test('F58: a coordinator that comes back at another address is found by its workers once the name leads there', async () => {
  await using lives = await openLives();
  const first = await lives.live();
  await using name = await openFaultProxy(first.grpc);
  await lives.work(undefined, name.address);
  await lives.submit(FAULT_JOB, runId('moved'));
  const heard = new AbortController();
  for await (const event of lives.client.watch(runId('moved'), 0, heard.signal)) {
    if (event.event === 'step_committed') break;
  }
  first.process.kill('SIGKILL');
  await first.ended;
  const second = await lives.live({ ports: 'others' });
  expect(second.grpc).not.toBe(first.grpc);
  name.lead(second.grpc);
  expectSameBits(finished(await lives.follow(runId('moved'))), calm);
}, 60_000);
