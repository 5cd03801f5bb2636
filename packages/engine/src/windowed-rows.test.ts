/** Steps of a run in windows: rows that were fetched as the order asks for them give the bits of all rows at once. */
import assert from 'node:assert/strict';
import { describe, expect, test } from 'vitest';
import { epochWindows, sampleAtOf } from '#kernel';
import {
  assertSameBits,
  BATCH,
  expectedGradient,
  giveWeights,
  initialWeights,
  MODEL,
  optionsOf,
  rowsOf,
  TRAIN_SAMPLES,
  WHOLE_STEP,
} from './engine.fixture.js';
import type { WorkerEngine, WorkerEngineOptions } from './engine.js';
import { MissingRowError } from './engine-errors.js';
import { windowFiller } from './window-filler.js';
import { openWorkerEngine } from './worker-engine.js';

const WINDOWS = { blockRows: 7, blocks: 10 };
const EPOCHS = 3;
const COUNT = Math.ceil(Math.ceil(TRAIN_SAMPLES / WINDOWS.blockRows) / WINDOWS.blocks);

interface Filling {
  readonly engine: WorkerEngine;
  readonly need: (epoch: number, begin: number, end: number) => Promise<void>;
  readonly read: number[];
}

async function withWindows(options: Partial<WorkerEngineOptions>, work: (filling: Filling) => Promise<void>) {
  await using engine = await openWorkerEngine({ ...optionsOf('wasm', 2), windows: WINDOWS, ...options });
  giveWeights(engine, initialWeights());
  const read: number[] = [];
  const rows = engine.windows;
  assert.ok(rows);
  const readBlock = async (block: number) => {
    read.push(block);
    const begin = block * WINDOWS.blockRows;
    return rowsOf('train', begin, Math.min(TRAIN_SAMPLES, begin + WINDOWS.blockRows));
  };
  const filler = windowFiller({ rows, windows: EPOCHS * COUNT, parallel: 2, readBlock });
  await work({ engine, need: filler.need, read });
}

const stepsOf = (epoch: number) =>
  Array.from({ length: Math.ceil(TRAIN_SAMPLES / BATCH) }, (_, step) => ({
    ...WHOLE_STEP,
    epoch,
    firstPosition: step * BATCH,
    endPosition: Math.min(TRAIN_SAMPLES, (step + 1) * BATCH),
  }));

describe.each([
  ['drawn anew', true],
  ['as in the file', false],
] as const)('samples %s', (_, shuffle) => {
  test.each([
    ['js', 1, 'micro-batches'],
    ['wasm', 3, 'micro-batches'],
    ['wasm', 2, 'tiles'],
  ] as const)('every step has the bits of its definition: %s, %i threads, %s', async (kernel, threads, sharing) => {
    await withWindows({ ...optionsOf(kernel, threads), sharing, shuffle }, async ({ engine, need }) => {
      for (const request of [...stepsOf(0), ...stepsOf(1)]) {
        await need(request.epoch, request.firstPosition, request.endPosition);
        const indexOf = sampleAtOf(11, request.epoch, TRAIN_SAMPLES, { shuffle, windows: WINDOWS });
        const { gradient } = await engine.computeGradient(request);
        assertSameBits(gradient, expectedGradient(request, initialWeights(), MODEL, indexOf).gradient);
      }
    });
  });
});

test('each block is read once an epoch, the next window before it is asked for, and an earlier one again', async () => {
  await withWindows({}, async ({ engine, need, read }) => {
    await need(0, 0, 10);
    await need(0, 0, 10);
    await need(0, 80, 90);
    const { blocks } = epochWindows(11, 0, TRAIN_SAMPLES, WINDOWS, true).window(0);
    assert.ok(engine.windows?.holds(1));
    await need(0, 140, 150);
    await need(0, 140, 150);
    expect(new Set(read.slice(0, 22)).size).toBe(22);
    await need(0, 0, 10);
    assert.ok(blocks.every((block) => read.slice(22).includes(block)));
    await need(EPOCHS - 1, 140, 150); // nothing lies behind the last window
  });
});

test('rows that are not there are never computed on', async () => {
  await withWindows({}, async ({ engine, need }) => {
    const request = { ...WHOLE_STEP, epoch: 0, firstPosition: 0, endPosition: 20 };
    await assert.rejects(engine.computeGradient(request), MissingRowError);
    await need(0, 0, 20);
    await engine.computeGradient(request);
    await assert.rejects(engine.computeGradient({ ...request, epoch: 1 }), MissingRowError);
    assert.throws(() => engine.addShard(rowsOf('train', 0, 7)), /put into those/);
    assert.throws(() => engine.windows?.put(0, 0, rowsOf('train', 0, 6)), /7 rows of/);
    assert.throws(() => engine.windows?.of(0, 0, TRAIN_SAMPLES), /more than two windows/);
  });
});

test('a block that cannot be read fails who needs it, and is tried again', async () => {
  await using engine = await openWorkerEngine({ ...optionsOf('wasm', 1), windows: WINDOWS });
  const rows = engine.windows;
  assert.ok(rows);
  let broken = true;
  const filler = windowFiller({
    ...{ rows, windows: COUNT, parallel: 3 },
    readBlock: async (block) => {
      if (broken) throw new Error('the wire is cut');
      const begin = block * WINDOWS.blockRows;
      return rowsOf('train', begin, Math.min(TRAIN_SAMPLES, begin + WINDOWS.blockRows));
    },
  });
  await assert.rejects(filler.need(0, 0, 5), /the wire is cut/);
  assert.ok(!rows.holds(0));
  broken = false;
  await filler.need(0, 0, 5);
  assert.ok(rows.holds(0));
});

test('a shard that was dropped is gone from every thread, and one of training is not dropped', async () => {
  await using engine = await openWorkerEngine(optionsOf('wasm', 2));
  giveWeights(engine, initialWeights());
  const shard = rowsOf('validation', 0, 600);
  engine.addShard(shard);
  const sums = await engine.evaluate({ split: 'validation', begin: 0, end: 600 });
  engine.dropShard(shard);
  await assert.rejects(engine.evaluate({ split: 'validation', begin: 0, end: 600 }), MissingRowError);
  engine.addShard(shard);
  assert.deepEqual(await engine.evaluate({ split: 'validation', begin: 0, end: 600 }), sums);
  assert.throws(() => engine.dropShard(rowsOf('train', 0, 5)), RangeError);
});
