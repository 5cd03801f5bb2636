/** F6, F7, F12, F13, F21: workers that are slow, wrong, or die again and again, in a cluster of real processes. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type FinishedEvent, startTestCluster, type TestCluster } from '../support/cluster.js';
import { eventsOf, expectSameBits, trainAndDisturb, untilGone } from '../support/fault-runs.js';
import { digitsJob } from '../support/jobs.js';

const DEADLINE_MS = 60_000;
const JOB = digitsJob({ epochs: 20, microBatches: 8 }, '[{ dense: 32 }, relu]');
/** Passed so often before anything happens: by then it is known how long a block takes. */
const USUAL = 20;

let cluster: TestCluster;
let calm: FinishedEvent;
beforeAll(async () => {
  cluster = await startTestCluster({ workers: 2, onLog: () => undefined });
  calm = await cluster.finish(JOB);
}, DEADLINE_MS);
afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
}, DEADLINE_MS);
/** Every test begins and ends with two workers. */
afterEach(async () => {
  for (const worker of cluster.workers.slice(2)) await cluster.killWorker(worker);
});

describe('a worker that falls behind', { timeout: DEADLINE_MS }, () => {
  test('F12: it stops with a block in hand: a second worker has it long before the first counts as lost', async () => {
    const slow = await cluster.startWorker({ failpoints: `worker-after-compute:${USUAL}:stop` });
    const disturbed = await trainAndDisturb(
      cluster,
      0,
      async ({ events, next }) => {
        await next('block_copied');
        await next('step_committed', events.length);
        slow.process.kill('SIGCONT');
      },
      JOB,
    );
    expectSameBits(disturbed.finished, calm);
    const [copied] = eventsOf(disturbed, 'block_copied');
    expect(copied?.worker).toBe(slow.name);
    // It was woken before its silence was too long: what it had is a copy that came late, and it goes on.
    expect(eventsOf(disturbed, 'worker_lost')).toEqual([]);
    expect(slow.process.exitCode).toBeNull();
    const after = eventsOf(disturbed, 'step_committed').find(({ time }) => time > (copied?.time ?? ''));
    expect(Date.parse(after?.time ?? '') - Date.parse(copied?.time ?? '')).toBeLessThan(1_000);
  });

  test('F13: all of them are stopped for a while: nobody is late while everybody is', async () => {
    const all = [...cluster.workers];
    const disturbed = await trainAndDisturb(
      cluster,
      USUAL,
      async () => {
        for (const { process } of all) process.kill('SIGSTOP');
        await new Promise((resolve) => setTimeout(resolve, 1_000)); // the fault itself: a second for everybody
        for (const { process } of all) process.kill('SIGCONT');
      },
      JOB,
    );
    expectSameBits(disturbed.finished, calm);
    expect(disturbed.finished.workersLost).toBe(0);
    expect(eventsOf(disturbed, 'block_copied').length).toBeLessThanOrEqual(1);
  });
});

describe('a worker whose results are of no use', { timeout: DEADLINE_MS }, () => {
  test('F21: it computes other bits: found by the others, named, shut out, and its bits never count', async () => {
    const liar = await cluster.startWorker({ failpoints: 'worker-after-compute:5:flip' });
    // Every block twice: that costs time, and no more steps are needed.
    const verified = digitsJob({ epochs: 6, microBatches: 8, verify: 1 }, '[{ dense: 32 }, relu]');
    const disturbed = await trainAndDisturb(cluster, 0, ({ next }) => next('worker_quarantined'), verified);
    await cluster.killWorker(liar);
    expectSameBits(
      disturbed.finished,
      await cluster.finish({ ...verified, text: verified.text.replace('  verify: 1\n', '') }),
    );
    const shutOut = eventsOf(disturbed, 'worker_quarantined');
    expect(shutOut.map(({ worker }) => worker)).toEqual([liar.name]);
    expect(shutOut[0]?.seconds).toBe(60);
  });

  test('F7: it dies over its first block whenever it starts: shut out the third time, longer the fourth', async () => {
    const failpoints = 'worker-job-taken:1:kill';
    const life = async (): Promise<void> => {
      const worker = await cluster.startWorker({ name: 'loop', failpoints });
      await untilGone(worker);
      await cluster.killWorker(worker); // is gone; no other test shall count it
    };
    const disturbed = await trainAndDisturb(
      cluster,
      8,
      async ({ events, next }) => {
        // Nobody else is there meanwhile, so that the run is not over before the worker's time is.
        await Promise.all([...cluster.workers].map((worker) => cluster.killWorker(worker)));
        for (let lives = 1; lives <= 3; lives++) await life();
        const first = await next('worker_quarantined');
        const before = events.length;
        await life(); // it waits until its time is over, and has its block then
        const second = await next('worker_quarantined', before);
        expect([first.worker, first.seconds, second.worker, second.seconds]).toEqual(['loop', 1, 'loop', 2]);
        expect(Date.parse(second.time) - Date.parse(first.time)).toBeGreaterThanOrEqual(1_000);
        await Promise.all([cluster.startWorker(), cluster.startWorker()]);
      },
      JOB,
    );
    expectSameBits(disturbed.finished, calm);
  });

  test('F6: everybody dies over one block: the run ends within 15 s and names its rows', async () => {
    const begunAt = Date.now();
    const failpoints = 'worker-after-compute:1:kill';
    await using poisoned = await startTestCluster({ workers: 0, onLog: () => undefined });
    const short = digitsJob({ epochs: 2, batch: 256, microBatches: 1 });
    const ending = poisoned.run(short);
    for (let victim = 1; victim <= 3; victim++) {
      await poisoned.startWorker({ failpoints }).then(untilGone);
    }
    const last = await ending;
    expect(Date.now() - begunAt).toBeLessThan(15_000);
    expect(last).toMatchObject({
      event: 'run_failed',
      code: 'RUN.POISON_BLOCK',
      message: expect.stringContaining('step 0'),
    });
    expect(last.event === 'run_failed' && last.message).toContain('3 different workers');
    // Its rows are sound: with workers that live the same run ends with the bits it always has.
    await poisoned.startWorker();
    expectSameBits(await poisoned.finish(short), await cluster.finish(short));
  });
});
