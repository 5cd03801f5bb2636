/** The planner at work: steps are shared while that pays, and leased to one worker when it does not. */
import { expect, test } from 'vitest';
import type { RunEvent } from '#training';
import { startTestCluster } from '../support/cluster.js';
import { digitsJob } from '../support/jobs.js';

/** Some 50 ms of computing a step on one worker, against 10 of exchange for 1.2 MB: worth sharing. */
const LARGE = digitsJob({ steps: 60, batch: 1200, microBatches: 8 }, '[{ dense: 512 }, relu, { dense: 512 }, relu]');

test('a run goes from leases to shared steps and back as workers come and go, with the same weights', async () => {
  await using stepwise = await startTestCluster({ workers: 1 });
  const calm = await stepwise.finish(LARGE);
  await using cluster = await startTestCluster({ workers: 1, grain: 'auto' });
  const chosen: (RunEvent & { event: 'grain_chosen' })[] = [];
  let acting: Promise<unknown> = Promise.resolve();
  let came = false;
  let left = false;
  let sharedSteps = 0;
  const finished = await cluster.finish(LARGE, (event) => {
    if (event.event === 'grain_chosen') chosen.push(event);
    if (event.event !== 'step_committed') return;
    if (event.workers > 1) sharedSteps++;
    if (!came && event.step >= 2) {
      came = true;
      acting = cluster.startWorker();
    }
    if (!left && sharedSteps >= 4) {
      left = true;
      const worker = cluster.workers[1];
      if (worker === undefined) throw new Error('the second worker is gone already');
      acting = cluster.killWorker(worker);
    }
  });
  await acting;
  expect(sharedSteps).toBeGreaterThanOrEqual(4);
  expect(chosen.map(({ grain }) => grain).filter((grain, index, all) => grain !== all[index - 1])).toEqual([
    'run',
    'step',
    'run',
  ]);
  expect(chosen.find(({ grain }) => grain === 'step')?.reason).toMatch(/^2 workers share every step: exchange costs/);
  expect(finished.weightsSha256).toBe(calm.weightsSha256);
  expect(finished.optimizerSha256).toBe(calm.optimizerSha256);
}, 120_000);
