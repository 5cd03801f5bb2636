/** F29-F33, F38, F61, F62: what a coordinator finds when it comes back, and who may lead. */
import { once } from 'node:events';
import { appendFile, readdir, readFile, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { readLedger } from '#storage';
import { type RunEvent, type RunId, runId } from '#training';
import {
  calmRun,
  EndedEarly,
  finished,
  hashesOf,
  type Lives,
  openLives,
  type RunHashes,
} from '../support/coordinator-life.js';
import { digitsJob } from '../support/jobs.js';

const RUN = runId('found');
const small = digitsJob({ epochs: 8, batch: 256, microBatches: 4 }, '[{ dense: 16 }, relu]');
const job = { ...small, text: `${small.text}checkpoint: { everySteps: 4 }\n` };

let calm: RunHashes;
beforeAll(async () => {
  calm = await calmRun(job, RUN);
}, 60_000);

/** A run whose coordinator died after its second checkpoint; two workers are there and wait. */
async function killedRun(grain: 'step' | 'run' = 'step', of = job): Promise<Lives> {
  const lives = await openLives(grain);
  const life = await lives.live({ failpoints: 'before-retention:2:kill' });
  await lives.submit(of, RUN);
  await Promise.all([lives.work(), lives.work()]);
  expect((await life.ended).signal).toBe('SIGKILL');
  return lives;
}

async function endOf(lives: Lives, run: RunId = RUN): Promise<readonly RunEvent[]> {
  await lives.live();
  return lives.follow(run);
}

describe('a coordinator that comes back', { timeout: 60_000 }, () => {
  test('makes good for the end of a ledger that was torn off', async () => {
    await using lives = await killedRun();
    await appendFile(join(lives.runsDirectory, RUN, 'ledger.ndjson'), '{"run":"found","fen');
    expect(hashesOf(finished(await endOf(lives)))).toEqual(calm);
  });

  test('F61: passes a damaged newest checkpoint over, says so, and goes on from the one before', async () => {
    await using lives = await killedRun();
    const folder = join(lives.runsDirectory, RUN, 'checkpoints');
    const newest =
      (await readdir(folder))
        .filter((name) => name.endsWith('.safetensors'))
        .sort()
        .at(-1) ?? '';
    await truncate(join(folder, newest), 100);
    const events = await endOf(lives);
    expect(hashesOf(finished(events))).toEqual(calm);
    const resumed = events.find(({ event }) => event === 'run_resumed');
    expect(resumed).toMatchObject({ step: 4, damaged: [join(folder, newest)] });
  });

  test('ends leases with the same bits', async () => {
    await using lives = await killedRun('run');
    expect(hashesOf(finished(await endOf(lives)))).toEqual(calm);
  });

  test.each(['step', 'run'] as const)(
    'rounds its weights for the wire before it sends any: grain %s',
    async (grain) => {
      const rounded = { ...job, text: job.text.replace('train:\n', 'train:\n  wire: bfloat16\n') };
      const expected = await calmRun(rounded, RUN);
      expect(expected).not.toEqual(calm);
      await using lives = await killedRun(grain, rounded);
      const events = await endOf(lives);
      expect(events.find(({ event }) => event === 'run_resumed')).toMatchObject({ step: expect.any(Number) });
      expect(hashesOf(finished(events))).toEqual(expected);
    },
  );

  test.each([1, 2])('killed at random times, seed %i, still ends with the same bits', async (seed) => {
    await using lives = await openLives();
    let life = await lives.live();
    await Promise.all([lives.work(), lives.work()]);
    await lives.submit(job, RUN);
    const following = lives.follow(RUN);
    for (let death = 1; death <= 2; death++) {
      const after = Math.floor(((seed * 7919 + death * 104_729) % 97) * 3);
      await new Promise((resolve) => setTimeout(resolve, after)); // the fault itself: a moment that nobody chose
      life.process.kill('SIGKILL');
      await life.ended;
      life = await lives.live();
    }
    expect(hashesOf(finished(await following))).toEqual(calm);
  });

  test('F38: takes up a run that the user stopped, with another number of workers, when it is asked to', async () => {
    await using lives = await openLives();
    await lives.live();
    await lives.work();
    await lives.submit(job, RUN);
    const before = await lives.follow(RUN, ({ event }) => {
      if (event === 'checkpoint_saved') lives.client.stop(RUN, 'enough').catch(() => undefined); // its end is asserted below
    });
    expect(finished(before).stoppedBy).toBe('user');
    await lives.work();
    expect((await lives.client.resume(RUN)).state).toBe('queued');
    const events = await lives.follow(RUN);
    expect(hashesOf(finished(events))).toEqual(calm);
    await expect(lives.client.resume(RUN)).rejects.toMatchObject({ code: 'RUN.NOT_RESUMABLE' });
  });

  test('F65: whose clock jumps a day ahead and a day back goes on as if nothing had been', async () => {
    await using lives = await openLives();
    await lives.live({ nodeOptions: `--import=data:text/javascript,${encodeURIComponent(JUMPING_CLOCK)}` });
    await Promise.all([lives.work(), lives.work()]);
    await lives.submit(job, RUN);
    const events = await lives.follow(RUN);
    const end = finished(events);
    expect(hashesOf(end)).toEqual(calm);
    expect(end).toMatchObject({ workersLost: 0, blocksReissued: 0 });
    expect(end.seconds).toBeGreaterThan(0);
    expect(end.seconds).toBeLessThan(60);
    const days = new Set(events.map(({ time }) => time.slice(0, 10)));
    expect(days.size, 'the clock did jump').toBeGreaterThan(1);
  });
});

/** Time of day only: a monotonic clock knows no jumps. */
const JUMPING_CLOCK = `
const Now = Date;
let jump = 0;
setInterval(() => { jump = jump > 0 ? -86400000 : 86400000; }, 100).unref();
globalThis.Date = class extends Now {
  constructor(...given) { if (given.length === 0) super(Now.now() + jump); else super(...given); }
  static now() { return Now.now() + jump; }
};`;

describe('two coordinators on one folder', { timeout: 60_000 }, () => {
  test('F31: have one leader: the other ends with a named error and the process that holds it', async () => {
    await using lives = await openLives();
    const { process: leader } = await lives.live();
    const other = await lives.live({ ports: 'others' }).catch((error: unknown) => error);
    expect(other).toBeInstanceOf(EndedEarly);
    const { code, stderr } = (other as EndedEarly).exit;
    expect(code).toBe(3);
    expect(stderr).toContain('COORD.HELD');
    expect(stderr).toContain(String(leader.pid));
  });

  test('F32: where the first was frozen: the second leads, and the first writes nothing when it wakes', async () => {
    await using lives = await openLives();
    const frozen = await lives.live({ failpoints: 'after-commit:9:stop' });
    await lives.submit(job, RUN);
    await Promise.all([lives.work(), lives.work()]);
    const heard = new AbortController();
    for await (const event of lives.client.watch(RUN, 0, heard.signal)) if (event.event === 'step_committed') break;
    const second = await lives.live({ ports: 'others' });
    expect(second.grpc).not.toBe(frozen.grpc);
    await lives.work();
    expect(hashesOf(finished(await lives.follow(RUN)))).toEqual(calm);
    const ledgerPath = join(lives.runsDirectory, RUN, 'ledger.ndjson');
    const eventsPath = join(lives.runsDirectory, RUN, 'events.ndjson');
    const before = [await readFile(ledgerPath, 'utf8'), await readFile(eventsPath, 'utf8')];
    const gone = once(frozen.process, 'exit');
    frozen.process.kill('SIGCONT');
    await gone;
    const { code, stderr } = await frozen.ended;
    expect(stderr).toContain('COORD.FENCED');
    expect(code).toBe(3);
    expect([await readFile(ledgerPath, 'utf8'), await readFile(eventsPath, 'utf8')]).toEqual(before);
    expect((await readLedger(ledgerPath)).map(({ step }) => step)).toEqual(
      Array.from({ length: 48 }, (_, step) => step),
    );
  });

  test('refuse failpoints in production', async () => {
    await using lives = await openLives();
    const before = process.env.NODE_ENV;
    process.env.NODE_ENV = 'production';
    const refused = await lives.live({ failpoints: 'after-lock' }).catch((error: unknown) => error);
    process.env.NODE_ENV = before;
    expect((refused as EndedEarly).exit).toMatchObject({ code: 2, stderr: expect.stringContaining('USAGE.ARGUMENT') });
  });
});
