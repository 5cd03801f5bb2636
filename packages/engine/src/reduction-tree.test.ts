import assert from 'node:assert/strict';
import fc from 'fast-check';
import { test } from 'vitest';
import { addLossSums } from '#kernel';
import { foldLossSumsTable, LOSS_SUMS_LENGTH, readLossSums, writeLossSums } from './loss-sums.js';
import { cutStep } from './reduction-tree.fixture.js';
import { checkSubtree, foldsUpTree, reduceSubtree } from './reduction-tree.js';

/** Any number of micro-batches and any cut of a step of them. */
const cuts = fc.record({ depth: fc.nat({ max: 6 }), draws: fc.infiniteStream(fc.nat()) }).map(({ depth, draws }) => {
  const microBatches = 2 ** depth;
  return { microBatches, blocks: cutStep(microBatches, () => draws.next().value) };
});

/** Leaves are names, nodes are bracketed: the text shows the exact shape of the sum. */
function shapeOf(begin: number, end: number): string {
  const buffers = Array.from({ length: Math.log2(end - begin) + 1 }, () => ({ text: 'unwritten' }));
  reduceSubtree(
    { begin, end },
    buffers,
    (microBatch, buffer) => {
      buffer.text = `${microBatch}`;
    },
    (into, right) => {
      into.text = `(${into.text}+${right.text})`;
    },
  );
  return buffers[0]!.text;
}

test('a subtree is reduced as a balanced tree with the lower micro-batches on the left', () => {
  assert.equal(shapeOf(4, 12 - 4), '((4+5)+(6+7))');
  assert.equal(shapeOf(0, 8), '(((0+1)+(2+3))+((4+5)+(6+7)))');
});

test('a reduction refuses to run with fewer buffers than levels', () => {
  assert.throws(
    () =>
      reduceSubtree(
        { begin: 0, end: 4 },
        [1, 2],
        () => undefined,
        () => undefined,
      ),
    RangeError,
  );
});

test('any cut of a step into blocks, in any order, folds to the shape of the whole', () => {
  fc.assert(
    fc.property(cuts, ({ microBatches, blocks }) => {
      const held = blocks.map(({ begin, end }) => shapeOf(begin, end));
      for (const { into, right } of foldsUpTree(blocks, microBatches)) held[into] = `(${held[into]}+${held[right]})`;
      assert.equal(held[blocks.findIndex(({ begin }) => begin === 0)], shapeOf(0, microBatches));
    }),
  );
});

test('loss sums of blocks, folded up the same tree, have the bits of the whole step', () => {
  const doubles = fc.double({ noNaN: true, noDefaultInfinity: true });
  fc.assert(
    fc.property(cuts, fc.array(doubles, { minLength: 64, maxLength: 64 }), ({ microBatches, blocks }, values) => {
      const table = new Float64Array(microBatches * LOSS_SUMS_LENGTH);
      for (let row = 0; row < microBatches; row++) {
        const sum = values[row]!;
        writeLossSums(table, 0, row, {
          sampleCount: 1,
          lossSum: sum,
          correctCount: 0,
          squaredErrorSum: sum / 3,
          targetSum: -sum,
          targetSquareSum: sum * 0.1,
        });
      }
      const held = blocks.map(({ begin, end }) => foldLossSumsTable(table, 0, end - begin, begin));
      for (const { into, right } of foldsUpTree(blocks, microBatches)) {
        held[into] = addLossSums(held[into]!, held[right]!);
      }
      assert.deepEqual(held[blocks.findIndex(({ begin }) => begin === 0)], foldLossSumsTable(table, 0, microBatches));
    }),
  );
});

test('a written row of loss sums reads back whole', () => {
  const table = new Float64Array(3 * LOSS_SUMS_LENGTH + 5);
  const sums = { sampleCount: 1, lossSum: 2, correctCount: 3, squaredErrorSum: 4, targetSum: 5, targetSquareSum: 6 };
  writeLossSums(table, 5, 2, sums);
  assert.deepEqual(readLossSums(table, 5, 2), sums);
});

test('blocks that overlap, leave a gap or are no subtrees are refused', () => {
  const refused: readonly (readonly [number, number])[][] = [
    [],
    [[0, 4]],
    [
      [0, 8],
      [0, 8],
    ],
    [
      [0, 4],
      [4, 6],
      [4, 6],
    ],
    [
      [0, 4],
      [0, 2],
      [6, 8],
    ],
    [
      [2, 6],
      [0, 2],
      [6, 8],
    ],
    [
      [0, 3],
      [3, 8],
    ],
    [[0, 16]],
  ]; // of 8 micro-batches
  for (const ranges of refused) {
    const blocks = ranges.map(([begin, end]) => ({ begin, end }));
    assert.throws(() => foldsUpTree(blocks, 8), RangeError, JSON.stringify(ranges));
  }
});

test('a block is an aligned power of two inside the step', () => {
  for (const [begin, end] of [
    [0, 1],
    [7, 8],
    [6, 8],
    [0, 8],
  ] as const)
    checkSubtree({ begin, end }, 8);
  for (const [begin, end] of [
    [1, 3],
    [0, 0],
    [8, 9],
    [-2, 0],
    [0, 1.5],
    [4, 2],
  ] as const) {
    assert.throws(() => checkSubtree({ begin, end }, 8), RangeError);
  }
});
