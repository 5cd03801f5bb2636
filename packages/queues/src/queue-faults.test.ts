import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Queue } from 'bullmq';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type GradientItem, itemId } from '#training';
import { gradient, Hands, openPlace } from './queues-for-tests.js';
import type { RedisHandle } from './redis/resolve-redis.js';
import { startTestRedis, type TestEngine } from './redis-for-tests.js';

for (const engine of ['native', 'javascript'] satisfies TestEngine[]) {
  describe(`on the ${engine} engine`, () => {
    let redis: RedisHandle;
    beforeAll(async () => {
      redis = await startTestRedis(engine);
    });
    afterAll(async () => {
      await redis[Symbol.asyncDispose]();
    });

    test('a job that is not an item of ours fails with the reason, and the next one is taken', async () => {
      await using place = await openPlace(redis.url);
      const foreign = new Queue('gradients', { connection: await place.rawClient(), prefix: `{${place.namespace}}` });
      place.opened.push({ [Symbol.asyncDispose]: () => foreign.close() });
      await foreign.add('mail', { to: 'joe' }, { jobId: 'mail-1' });
      await foreign.add('gradient', gradient(5), { jobId: 'digits-7f3a.1.6.0-1' });
      await place.queues.announce([gradient(7)]);
      const hands = new Hands();
      await place.source(hands);
      expect(await hands.finish(1)).toEqual([itemId(gradient(7))]);
      const failed = await foreign.getFailed();
      expect(
        failed.map(({ id, failedReason }) => `${id}: ${failedReason}`).sort((left, right) => left.localeCompare(right)),
      ).toEqual([
        'digits-7f3a.1.6.0-1: not an item of ours: the data is that of digits-7f3a.1.5.0-1',
        'mail-1: not an item of ours: unknown kind of item undefined',
      ]);
      // Its id is not lost to the item it belongs to.
      await place.queues.announce([gradient(6)]);
      expect(await hands.finish(1)).toEqual([itemId(gradient(6))]);
    });

    test('a job that is no JSON fails at once and does not come again', async () => {
      await using place = await openPlace(redis.url);
      const client = await place.rawClient();
      await place.queues.announce([gradient(0), gradient(1)]);
      await client.hset(`{${place.namespace}}:gradients:${itemId(gradient(0))}`, 'data', '{"broken');
      const hands = new Hands();
      await place.source(hands);
      expect(await hands.finish(1)).toEqual([itemId(gradient(1))]);
      await expect
        .poll(() => client.zrange(`{${place.namespace}}:gradients:failed`, '0', '-1'))
        .toEqual([itemId(gradient(0))]);
      expect(place.errors.map(({ message }) => message).join()).toContain(
        `unreadable jobs in queue gradients: ${itemId(gradient(0))}`,
      );
      await expect.poll(() => place.queues.depth()).toEqual({ waiting: 0, active: 0 });
    });

    test('after a FLUSHALL and a SCRIPT FLUSH the same items can be announced and are done', async () => {
      await using place = await openPlace(redis.url);
      const client = await place.rawClient();
      await place.queues.announce([gradient(0), gradient(1)]);
      const hands = new Hands();
      await place.source(hands);
      const held = await hands.next();
      await client.flushall();
      await client.script('FLUSH');
      await place.queues.announce([gradient(0), gradient(1)]);
      held.finish();
      expect(await hands.finish(2)).toEqual([itemId(gradient(0)), itemId(gradient(1))]);
      expect(place.errors).toEqual([]);
    });

    test('the item of a source that was killed outright comes back within five seconds', async () => {
      await using place = await openPlace(redis.url);
      await place.queues.announce([gradient(0), gradient(1)]);
      const url = new URL('./work-source.js', import.meta.url).href;
      const script = `
        import { openWorkSource } from ${JSON.stringify(url)};
        const source = await openWorkSource({ ...${JSON.stringify({ redisUrl: redis.url, namespace: place.namespace })}, onError: console.error });
        source.start(({ itemId }) => { console.log(itemId); return new Promise(() => setInterval(() => undefined, 1000)); });`;
      const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const [taken] = await once(child.stdout, 'data');
      expect(String(taken).trim()).toBe(itemId(gradient(0)));
      const hands = new Hands();
      await place.source(hands);
      await hands.finish(1);
      child.kill('SIGKILL');
      const killedMs = performance.now();
      const { taken: again, finish } = await hands.next();
      expect(again).toMatchObject({ itemId: itemId(gradient(0)), attempt: 2 });
      expect(performance.now() - killedMs).toBeLessThan(5000);
      finish();
    });

    test('ten thousand items leave no more in Redis than ten', async () => {
      await using place = await openPlace(redis.url);
      const client = await place.rawClient();
      const hands = new Hands();
      await place.source(hands);
      const count = engine === 'native' ? 10_000 : 300;
      const keysAfter = async (items: readonly GradientItem[]): Promise<number> => {
        for (let begin = 0; begin < items.length; begin += 500) {
          const some = items.slice(begin, begin + 500);
          await place.queues.announce(some);
          await hands.finish(some.length);
        }
        await expect.poll(() => place.queues.depth()).toEqual({ waiting: 0, active: 0 });
        return (await client.keys(`{${place.namespace}}:*`)).length;
      };
      const few = await keysAfter(Array.from({ length: 10 }, (_, index) => gradient(index)));
      const many = await keysAfter(Array.from({ length: count }, (_, index) => gradient(100 + index)));
      expect(many).toBeLessThanOrEqual(few + 1); // the key that spaces out the stall checks comes and goes
      expect(await client.xlen(`{${place.namespace}}:gradients:events`)).toBeLessThan(1000);
    });
  });
}
