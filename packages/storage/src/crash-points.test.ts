/** A checkpoint is never lost or half there, whichever operation of the disk is the last. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runId } from '#training';
import { type Checkpoint, checkpointFileName, newestCheckpoint, saveCheckpoint } from './checkpoint.js';
import type { RunFolder } from './run-folder.js';
import { PowerCut, type SimulatedDisk, simulatedDisk } from './simulated-disk.fixture.js';

const PATH = '/ropeteam-simulated';
const FOLDER: RunFolder = {
  ...{ run: runId('r'), path: PATH, jobPath: join(PATH, 'job.yaml'), eventsPath: join(PATH, 'events.ndjson') },
  ...{ ledgerPath: join(PATH, 'ledger.ndjson'), checkpointsPath: PATH, modelPath: PATH, dataPath: PATH },
  ...{ submissionPath: join(PATH, 'submission.json'), uploadsPath: PATH },
};
const KEEP = 2;
const STEPS = [1, 2, 3, 4, 5];
/** Different remains of each crash point. */
const VARIANTS = 30;

const checkpoint = (step: number): Checkpoint => ({
  ...{ run: 'r', fence: 1, step, epoch: 0, seed: 1, kernelId: 'js/1', slots: ['m'], progress: {} },
  weights: Float32Array.of(step, -step),
  optimizerState: Float32Array.of(step / 3, 0),
  parameters: [{ name: 'w', shape: [2], offset: 0, size: 2 }],
});

const save = (disk: SimulatedDisk, step: number) => saveCheckpoint(FOLDER, checkpoint(step), { keep: KEEP }, disk);

/** Saves until the power is cut. @returns the last step whose save resolved */
async function saveAll(disk: SimulatedDisk): Promise<number> {
  let saved = 0;
  for (const step of STEPS) {
    try {
      await save(disk, step);
      saved = step;
    } catch {
      return saved; // a cut: whether it was one is seen by what remains
    }
  }
  return saved;
}

const cutAt = (point: number) => (operation: number) => {
  if (operation === point) throw new PowerCut();
};

/** A small generator: what remains must replay. */
function seeded(seed: number): () => number {
  let state = seed + 1;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

test('after a power cut at any operation, the newest checkpoint is whole and no older than the last one told of', async () => {
  const calm = simulatedDisk();
  expect(await saveAll(calm)).toBe(STEPS.at(-1));
  let points = 0;
  for (let point = 0; point < calm.operations; point++) {
    const disk = simulatedDisk(cutAt(point));
    const told = await saveAll(disk);
    for (let variant = 0; variant < VARIANTS; variant++) {
      const after = disk.afterPowerCut(seeded(VARIANTS * point + variant));
      const { newest, damaged } = await newestCheckpoint(FOLDER, undefined, after);
      expect(damaged).toEqual([]);
      const step = newest?.checkpoint.step ?? 0;
      expect(step).toBeGreaterThanOrEqual(told);
      if (newest !== undefined) expect(newest.checkpoint).toEqual(checkpoint(step));
      await save(after, 9);
      const names = await after.list(PATH);
      expect(names.length).toBeLessThanOrEqual(KEEP);
      expect(names).toContain(checkpointFileName(9));
      points++;
    }
  }
  expect(points).toBeGreaterThanOrEqual(1000);
});

test('F67: of 1,000 checkpoints a cut while they are deleted leaves the newest, and the next save leaves those to keep', async () => {
  const full = simulatedDisk();
  for (let step = 1; step <= 1000; step++) await saveCheckpoint(FOLDER, checkpoint(step), { keep: 1000 }, full);
  for (let point = 6; point < 1000; point += 83) {
    const disk = full.afterPowerCut(seeded(point), cutAt(point));
    await expect(save(disk, 1001)).rejects.toThrow();
    const after = disk.afterPowerCut(seeded(point));
    expect((await newestCheckpoint(FOLDER, undefined, after)).newest?.checkpoint.step).toBeGreaterThanOrEqual(1000);
    await save(after, 1002);
    expect((await after.list(PATH)).length).toBeLessThanOrEqual(KEEP + 1);
  }
});

test.each([
  ['write', 'ENOSPC'],
  ['sync', 'EIO'],
  ['create', 'EACCES'],
])('a %s that fails with %s keeps the last checkpoint, leaves nothing, and the next save works', async (what, code) => {
  let failing = false;
  const disk = simulatedDisk((_operation, name) => {
    if (failing && name === what) throw Object.assign(new Error(code), { code });
  });
  await save(disk, 1);
  failing = true;
  await expect(save(disk, 2)).rejects.toMatchObject({ code: 'STORAGE.WRITE' });
  expect(await disk.list(PATH)).toEqual([checkpointFileName(1)]);
  expect((await newestCheckpoint(FOLDER, undefined, disk)).newest?.checkpoint).toEqual(checkpoint(1));
  failing = false;
  await save(disk, 3);
  expect((await newestCheckpoint(FOLDER, undefined, disk)).newest?.checkpoint.step).toBe(3);
});
