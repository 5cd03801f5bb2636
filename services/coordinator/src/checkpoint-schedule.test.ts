import { mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createRunFolder, loadCheckpoint, type RunFolder, takeFence } from '#storage';
import { fence, type RunEventBody, type RunState, runId } from '#training';
import { CheckpointSchedule } from './checkpoint-schedule.js';
import type { PreparedRun } from './prepare-run.js';
import type { RunEntry } from './run-book.js';
import type { RunContext } from './run-context.js';
import { RunTraces } from './run-traces.js';

const RUN = runId('r');
const EVERY_MS = 1000;

let root = '';
let folder: RunFolder;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'ropeteam-checkpoints-'));
  folder = await createRunFolder(root, RUN);
  await takeFence(folder, fence(1));
  vi.useFakeTimers({ toFake: ['performance'] });
});
afterEach(async () => {
  vi.useRealTimers();
  await rm(root, { recursive: true, force: true });
});

/** A schedule over two weights; what it reports is written down. Only what it uses of a run is there. */
function openSchedule(everySteps?: number, size = 2) {
  const weights = Float32Array.from({ length: size }, (_, index) => index + 1);
  const events: RunEventBody[] = [];
  const context = {
    metrics: { checkpointSaved: () => undefined, checkpointFailed: () => undefined },
    events: { append: (event: RunEventBody) => void events.push(event) },
    log: { error: () => undefined },
    traces: new RunTraces(RUN),
  } as unknown as RunContext;
  const prepared = {
    engine: { weights, optimizerState: new Float32Array(0), kernelId: 'js/1' },
    job: {
      train: { seed: 7, optimizer: { kind: 'sgd', learningRate: 0.1 } },
      checkpoint: { everyMs: EVERY_MS, keep: 2, ...(everySteps === undefined ? {} : { everySteps }) },
    },
    ledger: { flush: async () => undefined },
    shape: { run: RUN, fence: fence(1), stepsPerEpoch: 10 },
    program: { parameters: [{ name: 'w', shape: [size], offset: 0, size }] },
  } as unknown as PreparedRun;
  const schedule = new CheckpointSchedule(
    context,
    { folder, eventLog: { flush: async () => undefined } } as unknown as RunEntry,
    prepared,
  );
  return { schedule, weights, events };
}

const stateAt = (version: number): RunState =>
  ({ version, epochSums: {}, stop: {}, lastEpoch: undefined }) as unknown as RunState;

const savedSteps = async (): Promise<readonly number[]> =>
  (await readdir(folder.checkpointsPath)).map((name) => Number(/\d+/.exec(name)?.[0])).sort((a, b) => a - b);

describe('the checkpoint schedule', () => {
  test('saves when the time has come and not before, and keeps the newest', async () => {
    const { schedule, events } = openSchedule();
    vi.advanceTimersByTime(EVERY_MS - 1);
    schedule.afterStep(stateAt(1));
    await schedule.settled();
    expect(await savedSteps()).toEqual([]);
    vi.advanceTimersByTime(1);
    for (const version of [2, 3, 4]) {
      schedule.afterStep(stateAt(version));
      await schedule.settled();
      vi.advanceTimersByTime(EVERY_MS);
    }
    expect(await savedSteps()).toEqual([3, 4]);
    expect(events).toMatchObject([2, 3, 4].map((step) => ({ event: 'checkpoint_saved', step })));
  });

  test('copies the weights: what training does while the file is written is not in it', async () => {
    const { schedule, weights } = openSchedule();
    vi.advanceTimersByTime(EVERY_MS);
    schedule.afterStep(stateAt(5));
    weights.fill(9);
    await schedule.settled();
    const { weights: saved, step } = await loadCheckpoint(join(folder.checkpointsPath, 'step-00000005.safetensors'));
    expect([step, ...saved]).toEqual([5, 1, 2]);
  });

  test('skips a save while one is under way, and never queues', async () => {
    const { schedule } = openSchedule();
    vi.advanceTimersByTime(EVERY_MS);
    schedule.afterStep(stateAt(1));
    vi.advanceTimersByTime(EVERY_MS);
    schedule.afterStep(stateAt(2));
    await schedule.settled();
    expect(await savedSteps()).toEqual([1]);
    schedule.afterStep(stateAt(3));
    await schedule.settled();
    expect(await savedSteps()).toEqual([1, 3]);
  });

  test('saves the last step of a run whatever the time, once', async () => {
    const { schedule, events } = openSchedule();
    await schedule.final(stateAt(0));
    expect(events).toEqual([]);
    await schedule.final(stateAt(7));
    await schedule.final(stateAt(7));
    expect(await savedSteps()).toEqual([7]);
    expect(events).toHaveLength(1);
  });

  test('does not save weights that have diverged', async () => {
    const { schedule, weights, events } = openSchedule();
    await schedule.final(stateAt(6));
    weights[1] = Number.NaN;
    await schedule.final(stateAt(7));
    expect(await savedSteps()).toEqual([6]);
    expect(events).toHaveLength(1);
  });

  test('tells of a save that failed, and saves the next', async () => {
    const { schedule, events } = openSchedule();
    const away = `${folder.checkpointsPath}.away`;
    await rename(folder.checkpointsPath, away);
    vi.advanceTimersByTime(EVERY_MS);
    schedule.afterStep(stateAt(1));
    await schedule.settled();
    await rename(away, folder.checkpointsPath);
    vi.advanceTimersByTime(EVERY_MS);
    schedule.afterStep(stateAt(2));
    await schedule.settled();
    expect(events).toMatchObject([
      { event: 'checkpoint_failed', code: 'STORAGE.WRITE' },
      { event: 'checkpoint_saved' },
    ]);
    expect(await savedSteps()).toEqual([2]);
  });

  test('saves the last step even when its first try failed', async () => {
    const { schedule, events } = openSchedule();
    const away = `${folder.checkpointsPath}.away`;
    await rename(folder.checkpointsPath, away);
    vi.advanceTimersByTime(EVERY_MS);
    schedule.afterStep(stateAt(4));
    await schedule.settled();
    await rename(away, folder.checkpointsPath);
    await schedule.final(stateAt(4));
    expect(events).toMatchObject([{ event: 'checkpoint_failed' }, { event: 'checkpoint_saved', step: 4 }]);
  });

  test('saves what its steps ask for, each of them, however slow the disk, and deletes none of those', async () => {
    const { schedule, weights, events } = openSchedule(3);
    for (let version = 1; version <= 13; version++) {
      weights.fill(version);
      schedule.afterStep(stateAt(version));
    }
    await schedule.settled();
    expect(await savedSteps()).toEqual([3, 6, 9, 12]);
    expect(events).toMatchObject([3, 6, 9, 12].map((step) => ({ event: 'checkpoint_saved', step })));
    for (const step of [3, 6, 9, 12]) {
      const name = `step-${String(step).padStart(8, '0')}.safetensors`;
      expect([...(await loadCheckpoint(join(folder.checkpointsPath, name))).weights]).toEqual([step, step]);
    }
    await schedule.final(stateAt(13));
    expect(await savedSteps()).toEqual([3, 6, 9, 12, 13]);
  });

  test('goes by time as well, and the time starts anew with one that its step asked for', async () => {
    const { schedule } = openSchedule(4);
    vi.advanceTimersByTime(EVERY_MS);
    for (const version of [4, 5]) {
      schedule.afterStep(stateAt(version));
      await schedule.settled();
    }
    vi.advanceTimersByTime(EVERY_MS);
    schedule.afterStep(stateAt(6));
    await schedule.settled();
    expect(await savedSteps()).toEqual([4, 6]);
  });

  test('says which of its steps it left out when the copies that wait are too many', async () => {
    const { schedule, events } = openSchedule(1, 40 << 20);
    for (let version = 1; version <= 4; version++) schedule.afterStep(stateAt(version));
    await schedule.settled();
    expect(await savedSteps()).toEqual([1, 2]);
    expect(events.filter(({ event }) => event === 'checkpoint_failed')).toMatchObject([
      { code: 'STORAGE.WRITE', message: expect.stringContaining('step 3 was left out') },
      { message: expect.stringContaining('step 4') },
    ]);
  });
});
