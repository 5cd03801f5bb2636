import assert from 'node:assert/strict';
import fc from 'fast-check';
import { test } from 'vitest';
import type { ShardRows, SplitName } from './engine.js';
import { MissingRowError } from './engine-errors.js';
import { createRowStore } from './row-store.js';

const INPUTS = 3;
const TARGETS = 2;

/** Row i holds i + 0.25 in every feature and i + 0.5 in every target. */
function shard(split: SplitName, begin: number, end: number, inputs = INPUTS): ShardRows {
  const features = new Float32Array(new SharedArrayBuffer(4 * (end - begin) * inputs));
  const targets = new Float32Array(new SharedArrayBuffer(4 * (end - begin) * TARGETS));
  for (let row = 0; row < end - begin; row++) {
    features.fill(begin + row + 0.25, row * inputs, (row + 1) * inputs);
    targets.fill(begin + row + 0.5, row * TARGETS, (row + 1) * TARGETS);
  }
  return { split, begin, end, features, targets };
}

test('every row is found in its shard, whatever the order the shards came in', () => {
  const cuts = fc.uniqueArray(fc.integer({ min: 1, max: 99 }), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(cuts, fc.infiniteStream(fc.nat()), (inner, order) => {
      const edges = [0, ...inner.toSorted((a, b) => a - b), 100];
      const shards = edges.slice(1).map((end, at) => shard('train', edges[at]!, end));
      const rows = createRowStore(INPUTS, TARGETS);
      while (shards.length > 0) rows.add(shards.splice(order.next().value % shards.length, 1)[0]!);
      const features = new Float32Array(100 * INPUTS);
      const targets = new Float32Array(100 * TARGETS);
      for (let i = 0; i < 100; i++) rows.copyRow('train', i, features, i * INPUTS, targets, i * TARGETS);
      assert.ok(features.every((value, at) => value === Math.floor(at / INPUTS) + 0.25));
      assert.ok(targets.every((value, at) => value === Math.floor(at / TARGETS) + 0.5));
    }),
  );
});

test('long rows are copied as exactly as short ones', () => {
  const rows = createRowStore(200, TARGETS);
  rows.add(shard('train', 0, 3, 200));
  const features = new Float32Array(600);
  rows.copyRow('train', 1, features, 200, new Float32Array(TARGETS), 0);
  assert.deepEqual(features, new Float32Array(600).fill(1.25, 200, 400));
});

test('a row before, between or behind the shards, or of another split, is missing by name', () => {
  const rows = createRowStore(INPUTS, TARGETS);
  rows.add(shard('validation', 10, 20));
  rows.add(shard('validation', 30, 40));
  const copy = (split: SplitName, index: number) => () =>
    rows.copyRow(split, index, new Float32Array(INPUTS), 0, new Float32Array(TARGETS), 0);
  for (const index of [9, 20, 29, 40]) {
    assert.throws(
      copy('validation', index),
      (error) => error instanceof MissingRowError && error.split === 'validation' && error.index === index,
    );
  }
  assert.throws(copy('test', 10), /sample 10 of split "test"/);
  copy('validation', 39)();
});

test('a shard added again replaces itself, and one that overlaps another is refused', () => {
  const rows = createRowStore(INPUTS, TARGETS);
  rows.add(shard('train', 10, 20));
  rows.add(shard('train', 10, 20));
  rows.add(shard('test', 5, 15));
  for (const [begin, end] of [
    [5, 11],
    [10, 15],
    [12, 18],
    [19, 25],
    [5, 25],
    [10, 21],
  ] as const) {
    assert.throws(() => rows.add(shard('train', begin, end)), /overlaps/);
  }
});

test('a shard whose arrays do not fit its rows is refused', () => {
  const rows = createRowStore(INPUTS, TARGETS);
  const good = shard('train', 0, 4);
  assert.throws(() => rows.add({ ...good, end: 5 }), /12 features and 8 targets; 5 rows/);
  assert.throws(() => rows.add({ ...good, begin: 4 }), /not a range/);
});
