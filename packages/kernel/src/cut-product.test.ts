import fc from 'fast-check';
import { expect, test } from 'vitest';
import { cutProduct, LIBRARY_CUT, rectangleOf } from './cut-product.js';
import { FUSED_TILE_ROWS, PLAIN_TILE_ROWS, TILE_COLUMNS } from './tile-sizes.js';

const size = fc.oneof(fc.nat(40), fc.nat(600), fc.nat(9000));
const shape = fc.record({ rows: size, columns: size, depth: size });

test('the rectangles of a cut cover every element of the product once', () => {
  fc.assert(
    fc.property(fc.nat(600), fc.nat(600), size, (rows, columns, depth) => {
      const cut = cutProduct(rows, columns, depth);
      const covered = new Uint8Array(rows * columns);
      for (let piece = 0; piece < cut.rowCuts * cut.columnCuts; piece++) {
        const { rowBegin, rowEnd, columnBegin, columnEnd } = rectangleOf(cut, rows, columns, piece);
        for (let row = rowBegin; row < rowEnd; row++) {
          for (let column = columnBegin; column < columnEnd; column++) {
            covered[row * columns + column] = covered[row * columns + column]! + 1;
          }
        }
      }
      expect(covered.every((times) => times === 1)).toBe(true);
    }),
    { numRuns: 60 },
  );
});

test('inner edges lie between register tiles, so a cut makes no tile hang over that did not before', () => {
  fc.assert(
    fc.property(shape, ({ rows, columns, depth }) => {
      const cut = cutProduct(rows, columns, depth);
      for (let piece = 0; piece < cut.rowCuts * cut.columnCuts; piece++) {
        const { rowBegin, rowEnd, columnBegin, columnEnd } = rectangleOf(cut, rows, columns, piece);
        for (const edge of [rowBegin, rowEnd]) {
          expect(edge === rows ? 0 : edge % PLAIN_TILE_ROWS).toBe(0);
          expect(edge === rows ? 0 : edge % FUSED_TILE_ROWS).toBe(0);
        }
        for (const edge of [columnBegin, columnEnd]) expect(edge === columns ? 0 : edge % TILE_COLUMNS).toBe(0);
      }
    }),
  );
});

test('no rectangle is much larger than 256 x 256', () => {
  fc.assert(
    fc.property(shape, ({ rows, columns, depth }) => {
      const cut = cutProduct(rows, columns, depth);
      for (let piece = 0; piece < cut.rowCuts * cut.columnCuts; piece++) {
        const { rowBegin, rowEnd, columnBegin, columnEnd } = rectangleOf(cut, rows, columns, piece);
        expect(rowEnd - rowBegin).toBeLessThanOrEqual(256 + 12);
        expect(columnEnd - columnBegin).toBeLessThanOrEqual(256 + TILE_COLUMNS);
      }
    }),
  );
});

test('a library is given pieces of at most 1024 x 1024, and of 2048 x 2048 where four remain', () => {
  expect(cutProduct(128, 512, 784, LIBRARY_CUT)).toEqual({ rowCuts: 1, columnCuts: 1 });
  expect(cutProduct(2048, 1000, 128, LIBRARY_CUT)).toEqual({ rowCuts: 2, columnCuts: 1 });
  expect(cutProduct(2048, 2048, 512, LIBRARY_CUT)).toEqual({ rowCuts: 2, columnCuts: 2 });
  expect(cutProduct(4096, 2048, 256, LIBRARY_CUT)).toEqual({ rowCuts: 4, columnCuts: 2 });
  expect(cutProduct(4096, 4096, 256, LIBRARY_CUT)).toEqual({ rowCuts: 2, columnCuts: 2 });
});

test.each([
  ['less than 50 µs of work', 128, 10, 256, 1],
  ['nothing', 0, 512, 784, 2],
  ['a layer of 784 x 512, forward', 128, 512, 784, 16],
  ['a layer of 4096 x 4096, forward', 128, 4096, 4096, 32],
  ['a layer of 4096 x 4096, its gradient', 4096, 4096, 128, 256],
])('%s is cut by its shape alone', (_what, rows, columns, depth, pieces) => {
  const { rowCuts, columnCuts } = cutProduct(rows, columns, depth);
  expect(rowCuts * columnCuts).toBe(pieces);
});
