import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { fence, runId } from '#training';
import { type Checkpoint, loadCheckpoint, newestCheckpoint, saveCheckpoint } from './checkpoint.js';
import { createRunFolder, openRunFolder, type RunFolder, takeFence } from './run-folder.js';

let root = '';
let folder: RunFolder;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'ropeteam-run-'));
  folder = await createRunFolder(root, runId('digits-1'));
});
afterEach(() => rm(root, { recursive: true }));

const PARAMETERS = [
  { name: 'layers.0.weight', shape: [2, 3], offset: 0, size: 6 },
  { name: 'layers.0.bias', shape: [2], offset: 6, size: 2 },
];

function checkpoint(step: number, slots: readonly string[] = ['m', 'v']): Checkpoint {
  return {
    run: 'digits-1',
    fence: 3,
    step,
    epoch: 2,
    seed: 2 ** 53 - 1,
    kernelId: 'js/1',
    weights: Float32Array.from({ length: 8 }, (_, i) => Math.sin(step + i)),
    optimizerState: Float32Array.from({ length: 8 * slots.length }, (_, i) => Math.cos(step * i)),
    slots,
    parameters: PARAMETERS,
    progress: { best: 0.25, note: 'a "fileSha256":"x" of é', list: [1, null] },
  };
}

const pathOf = (step: number): string =>
  join(folder.checkpointsPath, `step-${String(step).padStart(8, '0')}.safetensors`);

test('a checkpoint comes back as it was saved, with and without optimizer state', async () => {
  for (const [step, slots] of [
    [1200, ['m', 'v']],
    [1300, []],
    [123_456_789, ['velocity']],
  ] as const) {
    const saved = await saveCheckpoint(folder, checkpoint(step, slots), { keep: 9 });
    expect(saved.path).toBe(pathOf(step));
    expect(saved.bytes).toBe((await readFile(saved.path)).length);
    expect(await loadCheckpoint(saved.path)).toEqual(checkpoint(step, slots));
  }
});

test('2,000 flipped bits and cuts of a checkpoint are all refused', async () => {
  const { path } = await saveCheckpoint(folder, checkpoint(1), { keep: 1 });
  const whole = await readFile(path);
  await fc.assert(
    fc.asyncProperty(fc.nat(whole.length * 8 - 1), fc.boolean(), async (bit, cut) => {
      const bytes = Uint8Array.from(cut ? whole.subarray(0, bit >> 3) : whole);
      if (!cut) bytes[bit >> 3]! ^= 1 << (bit & 7);
      await writeFile(path, bytes);
      await expect(loadCheckpoint(path)).rejects.toMatchObject({ code: 'STORAGE.CORRUPT' });
    }),
    { numRuns: 2000 },
  );
});

test('the newest whole checkpoint is found and the damaged ones above it are named', async () => {
  for (const step of [100, 200, 300]) await saveCheckpoint(folder, checkpoint(step), { keep: 3 });
  await writeFile(pathOf(300), (await readFile(pathOf(300))).subarray(0, -1));
  await writeFile(pathOf(400), '');
  await writeFile(join(folder.checkpointsPath, 'notes.txt'), 'not a checkpoint');
  const { newest, damaged } = await newestCheckpoint(folder);
  expect(newest?.checkpoint.step).toBe(200);
  expect(damaged.map(({ path, error }) => [path, error.code])).toEqual([
    [pathOf(400), 'STORAGE.CORRUPT'],
    [pathOf(300), 'STORAGE.CORRUPT'],
  ]);
  for (const step of [100, 200]) await rm(pathOf(step));
  expect((await newestCheckpoint(folder)).newest).toBeUndefined();
});

test('only the newest are kept, left-over temporary files go, and a damaged later file costs no valid one', async () => {
  await writeFile(`${pathOf(50)}.tmp`, 'half');
  for (let step = 1; step <= 6; step++) await saveCheckpoint(folder, checkpoint(step), { keep: 2 });
  expect((await readdir(folder.checkpointsPath)).sort()).toEqual([
    'step-00000005.safetensors',
    'step-00000006.safetensors',
  ]);
  await writeFile(pathOf(900), 'damaged');
  await saveCheckpoint(folder, checkpoint(7), { keep: 1 });
  expect((await newestCheckpoint(folder)).newest?.checkpoint.step).toBe(7);
});

test('those of every so many steps stay for good, beside the newest', async () => {
  for (let step = 1; step <= 11; step++) await saveCheckpoint(folder, checkpoint(step), { keep: 2, everySteps: 4 });
  const kept = (await readdir(folder.checkpointsPath)).map((name) => Number(/\d+/.exec(name)?.[0]));
  expect(kept.toSorted((a, b) => a - b)).toEqual([4, 8, 10, 11]);
});

test('a save that cannot be written rejects and leaves the checkpoints there are', async () => {
  await saveCheckpoint(folder, checkpoint(1), { keep: 1 });
  const gone: RunFolder = { ...folder, checkpointsPath: join(root, 'gone') };
  await expect(saveCheckpoint(gone, checkpoint(2), { keep: 1 })).rejects.toMatchObject({ code: 'STORAGE.WRITE' });
  expect(await readdir(folder.checkpointsPath)).toEqual(['step-00000001.safetensors']);
  await expect(saveCheckpoint(folder, { ...checkpoint(2), weights: new Float32Array(7) }, { keep: 1 })).rejects.toThrow(
    RangeError,
  );
});

test('a coordinator whose fence is lower than the folder has seen may not write', async () => {
  expect(await takeFence(folder, fence(3))).toBe(3);
  await saveCheckpoint(folder, checkpoint(1), { keep: 2 });
  expect(await takeFence(folder, fence(1))).toBe(4);
  await expect(saveCheckpoint(folder, checkpoint(2), { keep: 2 })).rejects.toMatchObject({
    code: 'COORD.FENCED',
    message: /fence 3 may no longer/,
  });
  await saveCheckpoint(folder, { ...checkpoint(2), fence: 4 }, { keep: 2 });
});

test('a run folder is made once and opened again; an unknown run is an error of its own', async () => {
  expect((await readdir(folder.path)).sort()).toEqual(['checkpoints', 'data', 'model', 'uploads']);
  await expect(createRunFolder(root, runId('digits-1'))).rejects.toMatchObject({ code: 'RUN.EXISTS' });
  expect(await openRunFolder(root, runId('digits-1'))).toEqual(folder);
  await expect(openRunFolder(root, runId('digits-2'))).rejects.toMatchObject({ code: 'RUN.UNKNOWN' });
});
