/** F59: the disk under the runs folder is full. */
import { expect, test } from 'vitest';
import { runId } from '#training';
import { finished, openLives } from '../support/coordinator-life.js';
import { expectSameBits } from '../support/fault-runs.js';
import { digitsJob } from '../support/jobs.js';
import { mountSmallDisk } from '../support/small-disk.js';

const small = digitsJob({ epochs: 40, microBatches: 4 }, '[{ dense: 32 }, relu]');
const JOB = { ...small, text: `${small.text}checkpoint: { everySteps: 20 }\n` };

test('F59: a coordinator whose disk is full ends with STORAGE.WRITE, and goes on to the same bits once there is room', async ({
  skip,
}) => {
  await using disk = await mountSmallDisk(16);
  // reason for the skip: mounting takes root; packages/storage/src/crash-points.test.ts simulates full disks call by call
  if (disk === undefined) return skip('this user may not mount a disk of its own');
  await using lives = await openLives('step', disk.path);
  const life = await lives.live();
  await lives.work();
  await lives.submit(JOB, runId('calm'));
  const calm = finished(await lives.follow(runId('calm')));
  await lives.submit(JOB, runId('full'));
  let filled: Promise<void> | undefined;
  const following = lives.follow(runId('full'), ({ event }) => {
    if (event === 'checkpoint_saved') filled ??= disk.fill();
  });
  following.catch(() => undefined); // awaited below
  const { code, stderr } = await life.ended;
  await filled;
  expect(stderr).toContain('STORAGE.WRITE');
  expect(code).toBe(3);
  await disk.free();
  await lives.live();
  expectSameBits(finished(await following), calm);
}, 60_000);
