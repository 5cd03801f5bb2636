/** F2-F4, F7, F9-F11, F14, F17: workers that die at a named place, freeze, come, leave, and disagree about the time. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { FAILPOINTS, type RunEvent } from '#training';
import type { FinishedEvent, TestCluster } from '../support/cluster.js';
import { startTestCluster } from '../support/cluster.js';
import {
  type Disturbance,
  eventsOf,
  expectSameBits,
  FAULT_JOB,
  trainAndDisturb,
  untilGone,
} from '../support/fault-runs.js';
import { digitsJob } from '../support/jobs.js';

const DEADLINE_MS = 60_000;

let cluster: TestCluster;
let calm: FinishedEvent;
let log = '';

beforeAll(async () => {
  cluster = await startTestCluster({
    workers: 1,
    onLog: (text) => {
      log += text;
    },
  });
  calm = await cluster.finish(FAULT_JOB);
});
afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
});
/** Every test begins and ends with one worker. */
afterEach(async () => {
  for (const worker of cluster.workers.slice(1)) await cluster.killWorker(worker);
  if (cluster.workers.length === 0) await cluster.startWorker();
});

/** Options of a Node.js whose wall clock is wrong by so many milliseconds. */
function shiftedClock(ms: number): readonly string[] {
  const program = `const Real = Date;
globalThis.Date = class extends Real {
  constructor(...given) { given.length === 0 ? super(Real.now() + ${ms}) : super(...given); }
  static now() { return Real.now() + ${ms}; }
};`;
  return ['--import', `data:text/javascript,${encodeURIComponent(program)}`];
}

describe('a worker that is killed', { timeout: DEADLINE_MS }, () => {
  const PLACES: Readonly<Record<string, number>> = { 'worker-before-hello': 1, 'worker-run-joined': 1 };

  test.each(Object.keys(FAILPOINTS.worker).filter((name) => name !== 'worker-lease-computed'))(
    'F3: at %s leaves the same bits, and one block at the most is computed again',
    async (name) => {
      const failpoints = `${name}:${PLACES[name] ?? 3}:kill`;
      // One that dies before it is ready does not start: that is the fault.
      const doomed = await cluster.startWorker({ failpoints }).catch(() => undefined);
      const { finished } = await trainAndDisturb(cluster, 1, async () => {
        if (doomed !== undefined) await untilGone(doomed);
      });
      expect(doomed?.process.signalCode).toBe(name === 'worker-before-hello' ? undefined : 'SIGKILL');
      expectSameBits(finished, calm);
      expect(finished.blocksReissued).toBeLessThanOrEqual(1);
    },
  );

  test('F3: with the last item in hand of which nobody knew: it is there for the next at once, not when its lock has run out', async () => {
    const job = digitsJob({ steps: 8, batch: 64, microBatches: 4 }, '[{ dense: 32 }, relu]');
    const [healthy] = cluster.workers;
    const expected = await cluster.finish(job);
    // One worker takes whole steps, and no step comes after the eighth whose holder could find this one missing.
    const doomed = await cluster.startWorker({ failpoints: 'worker-taken-untold:8:kill' });
    if (healthy !== undefined) await cluster.killWorker(healthy);
    const disturbed = await trainAndDisturb(
      cluster,
      6,
      async () => {
        await untilGone(doomed);
        await cluster.killWorker(doomed); // is gone; no other test shall count it
        await cluster.startWorker();
      },
      job,
    );
    expectSameBits(disturbed.finished, expected);
    expect(disturbed.finished.workersLost).toBe(1);
    const back = eventsOf(disturbed, 'worker_joined').at(-1);
    const last = eventsOf(disturbed, 'step_committed').at(-1);
    // Its lock holds for 2 s, and is looked at once a second.
    expect(Date.parse(last?.time ?? '') - Date.parse(back?.time ?? '')).toBeLessThan(500);
  });

  test('F2: all of them at once: the run waits, and goes on within 2 s of the first that comes back', async () => {
    await cluster.startWorker();
    let readyAt = 0;
    let later: RunEvent | undefined;
    const disturbed = await trainAndDisturb(cluster, 8, async ({ events, next }) => {
      await Promise.all([...cluster.workers].map((worker) => cluster.killWorker(worker)));
      const alone = events.length;
      await cluster.startWorker();
      readyAt = Date.now();
      await next('worker_joined', alone);
      later = await next('step_committed', events.length);
    });
    expectSameBits(disturbed.finished, calm);
    for (const { detectedInMs } of eventsOf(disturbed, 'worker_lost')) expect(detectedInMs).toBeLessThanOrEqual(500);
    expect(eventsOf(disturbed, 'worker_lost')).toHaveLength(2);
    expect(Date.parse(later?.time ?? '') - readyAt).toBeLessThan(2_000);
  });

  test('F7: as soon as it has joined the run, three times, leaves the other at its work', async () => {
    const failpoints = 'worker-run-joined:1:kill';
    const lives = await Promise.all([1, 2, 3].map((life) => cluster.startWorker({ name: `loop${life}`, failpoints })));
    const { finished } = await trainAndDisturb(cluster, 1, () => Promise.all(lives.map(untilGone)));
    expectSameBits(finished, calm);
    expect(lives.map(({ process }) => process.signalCode)).toEqual(['SIGKILL', 'SIGKILL', 'SIGKILL']);
    expect(finished.blocksReissued).toBe(0);
  });
});

describe('a worker that is stopped', { timeout: DEADLINE_MS }, () => {
  test('F4: SIGSTOP before its gradient is out: found within 3 s, its block is computed elsewhere, it joins again when it is woken', async () => {
    const frozen = await cluster.startWorker({ failpoints: 'worker-after-compute:3:stop' });
    const disturbed = await trainAndDisturb(cluster, 0, async ({ next }) => {
      expect((await next('worker_lost')).blocksReissued).toBe(1);
      frozen.process.kill('SIGCONT');
    });
    expectSameBits(disturbed.finished, calm);
    const [lost, ...more] = eventsOf(disturbed, 'worker_lost');
    expect(more).toEqual([]);
    expect(lost).toMatchObject({ worker: frozen.name, pid: frozen.process.pid });
    expect(lost?.detectedInMs).toBeLessThanOrEqual(3_000);
    // It is there for the next run, alone: the other one leaves.
    const [other] = cluster.workers;
    if (other === undefined) throw new Error('there is no other worker');
    await cluster.killWorker(other);
    expectSameBits(await cluster.finish(FAULT_JOB), calm);
  });
});

describe('workers that come and go', { timeout: DEADLINE_MS }, () => {
  test('F9, F10: SIGTERM to all of them, then others: nothing is lost or computed twice', async () => {
    await cluster.startWorker();
    const codes: (number | null)[] = [];
    const disturbed = await trainAndDisturb(cluster, 8, async () => {
      const all = [...cluster.workers];
      codes.push(...(await Promise.all(all.map((worker) => cluster.drainWorker(worker)))));
      await Promise.all([cluster.startWorker(), cluster.startWorker()]);
    });
    expectSameBits(disturbed.finished, calm);
    expect(codes).toEqual([0, 0]);
    expect(eventsOf(disturbed, 'worker_left')).toHaveLength(2);
    expect(disturbed.finished).toMatchObject({ workersLost: 0, blocksReissued: 0 });
  });

  test('F11: one, then four, then two', async () => {
    const job = digitsJob({ epochs: 100, microBatches: 4 }, '[{ dense: 8 }, relu]');
    const alone = await cluster.finish(job);
    const come = async ({ events, next }: Disturbance): Promise<void> => {
      const three = await Promise.all([cluster.startWorker(), cluster.startWorker(), cluster.startWorker()]);
      await next('step_committed', events.length);
      for (const worker of three.slice(1)) await cluster.drainWorker(worker);
    };
    const { finished } = await trainAndDisturb(cluster, 3, come, job);
    expectSameBits(finished, alone);
    expect(finished.workersLost).toBe(0);
  });

  test.each([
    ['ahead', 3_600_000],
    ['behind', -3_600_000],
  ])('F14: a clock an hour %s changes nothing', async (_, ms) => {
    const [before] = cluster.workers;
    const odd = await cluster.startWorker({ nodeOptions: shiftedClock(ms) });
    if (before !== undefined) await cluster.drainWorker(before);
    expectSameBits(await cluster.finish(FAULT_JOB), calm);
    expect(odd.process.exitCode).toBeNull();
  });

  test('F17: a second one of the same name takes the place of the first, which ends with WORKER.REPLACED', async () => {
    const [first] = cluster.workers;
    if (first === undefined) throw new Error('there is no worker');
    log = '';
    await cluster.startWorker({ name: first.name });
    await untilGone(first);
    expect(first.process.exitCode).toBe(2);
    expect(log).toContain('WORKER.REPLACED');
    await cluster.killWorker(first); // is gone; no other test shall count it
    expectSameBits(await cluster.finish(FAULT_JOB), calm);
  });
});
