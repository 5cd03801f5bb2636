/** Runs that are copied to object storage outlive their coordinator and its disk; a broken storage costs them nothing. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type RunEvent, runId } from '#training';
import { runCommand } from '../support/command.js';
import {
  calmRun,
  EndedEarly,
  finished,
  hashesOf,
  type Life,
  type LifeOptions,
  type Lives,
  openLives,
  type RunHashes,
} from '../support/coordinator-life.js';
import { digitsJob } from '../support/jobs.js';
import { type ObjectGate, openObjectGate } from '../support/object-gate.js';
import { BUCKET, CREDENTIALS, type ObjectStorage, startObjectStorage } from '../support/object-storage.js';

const RUN = runId('copied');
const small = digitsJob({ epochs: 8, batch: 256, microBatches: 4 }, '[{ dense: 16 }, relu]');
const job = { ...small, text: `${small.text}checkpoint: { everySteps: 4 }\n` };

let storage: ObjectStorage;
let gate: ObjectGate;
let calm: RunHashes;
let folder = '';
let cases = 0;

beforeAll(async () => {
  storage = await startObjectStorage();
  gate = await openObjectGate(storage.endpoint);
  calm = await calmRun(job, RUN);
}, 60_000);
afterAll(async () => {
  await gate?.[Symbol.asyncDispose]();
  await storage?.[Symbol.asyncDispose]();
});
beforeEach(() => {
  gate.open();
  folder = `runs-${cases++}`;
});

function variables(): Record<string, string> {
  const { accessKeyId, secretAccessKey } = CREDENTIALS;
  const keys = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
  return { ...keys, AWS_ENDPOINT_URL: gate.endpoint, ROPETEAM_COPY_RUNS_TO: `s3://${BUCKET}/${folder}` };
}

const copied = (options: LifeOptions = {}): LifeOptions => ({ ...options, variables: variables() });

/** As when the machine is gone with its disk. */
async function loseDisk(lives: Lives): Promise<void> {
  await rm(lives.runsDirectory, { recursive: true });
}

/**
 * One worker after the other that dies in the middle of its work, the next when the copy has what is on the disk: however fast
 * the machine is, the run is copied several times on its way.
 */
async function trainInTurns(lives: Lives, life: Life): Promise<void> {
  const isOver = ({ exitCode, signalCode }: Life['process']): boolean => exitCode !== null || signalCode !== null;
  const isCopied = async (): Promise<boolean> => {
    const names = await readdir(join(lives.runsDirectory, RUN, 'checkpoints'));
    const newest =
      names
        .filter((name) => name.endsWith('.safetensors'))
        .sort()
        .at(-1) ?? '';
    return (await storage.list(`${folder}/${RUN}/`)).some((key) => key.endsWith(newest));
  };
  while (!isOver(life.process)) {
    const dying = lives.work('worker-job-taken:9:kill');
    // One that finds no coordinator waits for the next.
    const worker = await Promise.race([dying, life.ended.then(() => undefined)]);
    if (worker === undefined) return;
    const patience = { timeout: 30_000 };
    await expect.poll(() => isOver(life.process) || isOver(worker), patience).toBe(true);
    await expect.poll(async () => isOver(life.process) || (await isCopied()), patience).toBe(true);
  }
}

async function end(life: Life): Promise<{ readonly code: number | null; readonly stderr: string }> {
  life.process.kill('SIGTERM');
  return await life.ended;
}

function resumedAt(events: readonly RunEvent[]): number | undefined {
  const resumed = events.find((event) => event.event === 'run_resumed');
  return resumed?.event === 'run_resumed' ? resumed.step : undefined;
}

describe('a coordinator that is gone with its disk', { timeout: 90_000 }, () => {
  test.each([
    ['before-piece-copied:12:kill', 0],
    ['before-manifest:5:kill', 1],
    ['after-manifest:5:kill', 1],
  ])(
    'killed at %s, leaves a copy from which an empty one ends the run with the same bits',
    async (failpoints, leastStep) => {
      await using lives = await openLives();
      const life = await lives.live(copied({ failpoints }));
      await lives.submit(job, RUN);
      await trainInTurns(lives, life);
      expect((await life.ended).signal).toBe('SIGKILL');
      await loseDisk(lives);
      await lives.live(copied());
      expect((await lives.client.list()).map(({ run }) => run)).toEqual([RUN]);
      await Promise.all([lives.work(), lives.work()]);
      const events = await lives.follow(RUN);
      expect(resumedAt(events) ?? 0).toBeGreaterThanOrEqual(leastStep);
      expect(hashesOf(finished(events))).toEqual(calm);
    },
  );

  test('killed while it fetches a run back, is followed by one that fetches it whole', async () => {
    await using lives = await openLives();
    const first = await lives.live(copied({ failpoints: 'after-manifest:5:kill' }));
    await lives.submit(job, RUN);
    await trainInTurns(lives, first);
    await first.ended;
    await loseDisk(lives);
    const second = await lives
      .live(copied({ failpoints: 'before-piece-fetched:3:kill' }))
      .catch((error: unknown) => error);
    expect(second).toBeInstanceOf(EndedEarly);
    expect(await readdir(lives.runsDirectory)).toContain('.fetching');
    await lives.live(copied());
    expect(await readdir(lives.runsDirectory)).not.toContain('.fetching');
    await lives.work();
    expect(hashesOf(finished(await lives.follow(RUN)))).toEqual(calm);
  });

  test('ended in order in the middle of a run, leaves its last checkpoint, and the run can be resumed elsewhere', async () => {
    await using lives = await openLives();
    const life = await lives.live(copied());
    await lives.submit(job, RUN);
    await lives.work();
    const before = await lives.follow(RUN, ({ event }) => {
      if (event === 'checkpoint_saved') lives.client.stop(RUN, 'enough').catch(() => undefined); // its end is asserted below
    });
    const { stoppedBy, steps } = finished(before);
    expect(stoppedBy).toBe('user');
    expect((await end(life)).code).toBe(0);
    await loseDisk(lives);
    await lives.live(copied());
    expect((await lives.client.resume(RUN)).state).toBe('queued');
    await lives.work();
    const events = await lives.follow(RUN);
    expect(resumedAt(events)).toBe(steps);
    expect(hashesOf(finished(events))).toEqual(calm);
  });
});

/** The worker comes when the run has heard that it is not copied: the failure lies before all training, and after. */
async function trainOnceToldOfFailure(lives: Lives): Promise<readonly RunEvent[]> {
  await lives.submit(job, RUN);
  let worker: Promise<unknown> | undefined;
  const events = await lives.follow(RUN, ({ event }) => {
    if (event === 'copy_failed') worker ??= lives.work();
  });
  await worker;
  expect(hashesOf(finished(events))).toEqual(calm);
  return events;
}

describe('a storage that fails', { timeout: 90_000 }, () => {
  test('is told of once, does not stop the run, and is caught up with when it is back', async () => {
    await using lives = await openLives();
    const life = await lives.live(copied());
    gate.refuse(() => 'cut');
    const events = await trainOnceToldOfFailure(lives);
    const told = events.filter(({ event }) => event === 'copy_failed');
    expect(told).toMatchObject([{ code: 'STORAGE.OBJECT', message: expect.stringContaining('cannot be read') }]);
    gate.open();
    expect((await end(life)).code).toBe(0);
    const out = await mkdtemp(join(tmpdir(), 'ropeteam-fetched-'));
    const fetched = await runCommand(['fetch', RUN, '--out', out], variables());
    expect(fetched.code, fetched.stderr).toBe(0);
    const verified = await runCommand(['verify', join(out, RUN)]);
    expect(verified.code, verified.stdout).toBe(0);
    const model = JSON.parse(await readFile(join(out, RUN, 'model/model.json'), 'utf8')) as { weightsSha256: string };
    expect(model.weightsSha256).toBe(calm.weightsSha256);
    await rm(out, { recursive: true });
  });

  test.each([
    [403, 'may not be written: the storage answered 403'],
    [507, 'cannot be written: the storage answered 507'],
  ])('that answers writing with %i costs a warning, no step, and no time at the end', async (status, words) => {
    await using lives = await openLives();
    const life = await lives.live(copied());
    gate.refuse((method) => (method === 'PUT' ? status : undefined));
    const events = await trainOnceToldOfFailure(lives);
    const message: unknown = expect.stringContaining(words);
    expect(events.find(({ event }) => event === 'copy_failed')).toMatchObject({ code: 'STORAGE.OBJECT', message });
    const ended = await end(life);
    expect(ended.code).toBe(0);
    expect(ended.stderr).toContain('copy_failed');
    expect(ended.stderr).not.toContain(CREDENTIALS.secretAccessKey);
  });

  test('keeps a coordinator with an empty folder from starting without its runs', async () => {
    await using lives = await openLives();
    gate.refuse(() => 503);
    const refused = await lives.live(copied()).catch((error: unknown) => error);
    expect((refused as EndedEarly).exit).toMatchObject({ code: 3, stderr: expect.stringContaining('STORAGE.OBJECT') });
  });
});

describe('a copy', { timeout: 90_000 }, () => {
  test('with one changed byte is refused, by name', async () => {
    await using lives = await openLives();
    const life = await lives.live(copied());
    await lives.work();
    await lives.submit(job, RUN);
    const end1 = finished(await lives.follow(RUN));
    expect(hashesOf(end1)).toEqual(calm);
    await end(life);
    const key = (await storage.list(`${folder}/${RUN}/`)).find((name) => name.endsWith('model.safetensors')) ?? '';
    const bytes = await storage.get(key);
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    await storage.put(key, bytes);
    const out = await mkdtemp(join(tmpdir(), 'ropeteam-fetched-'));
    const fetched = await runCommand(['fetch', RUN, '--model', '--out', out], variables());
    expect(fetched.code).not.toBe(0);
    expect(fetched.stderr).toContain('its SHA-256 does not match');
    expect(await readdir(out)).toEqual([]);
    await rm(out, { recursive: true });
    await loseDisk(lives);
    const next = await lives.live(copied());
    expect(await lives.client.list()).toEqual([]);
    expect((await end(next)).stderr).toContain('run_not_fetched');
  });

  test('belongs to the coordinator that started last; the one before trains on and writes nothing more', async () => {
    await using first = await openLives();
    await using second = await openLives();
    const zombie = await first.live(copied());
    await first.submit(job, RUN);
    await expect
      .poll(() => storage.list(`${folder}/${RUN}/`), { timeout: 20_000 })
      .toContainEqual(expect.stringContaining('manifest-00000001'));
    await second.live(copied());
    await second.work();
    expect(hashesOf(finished(await second.follow(RUN)))).toEqual(calm);
    await expect
      .poll(() => storage.list(`${folder}/${RUN}/`), { timeout: 20_000 })
      .toContainEqual(expect.stringContaining('model.json'));
    await first.work();
    expect(hashesOf(finished(await first.follow(RUN)))).toEqual(calm);
    const ended = await end(zombie);
    expect(ended.stderr).toContain('COORD.FENCED');
    const manifests = (await storage.list(`${folder}/${RUN}/`)).filter((name) => name.includes('manifest'));
    expect(manifests).toEqual([`${folder}/${RUN}/manifest-00000002.json`]);
  });
});
