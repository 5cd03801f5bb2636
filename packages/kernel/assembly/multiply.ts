/**
 * Matrix product by blocks: operands are packed into panels as tall as the register tile is, so that the innermost
 * loop reads memory in a straight line whatever the operands' strides were. Structure after Goto and van de Geijn,
 * "Anatomy of High-Performance Matrix Multiplication", 2008.
 *
 * The register tile is 4x8. V8 on Node 20 loads everything a turn of the loop needs before it multiplies: beside 8
 * accumulators that fits 16 vector registers, beside the 10 of a 5x8 tile it spills. Measured, GFLOP/s in cache on one
 * core of a Zen 4: 4x8 39 and 45 on Node 20 and 24; 5x8 24 and 46; 3x12 22 and 45. Unrolling the loop over k spills.
 */
import { COLUMN_BLOCK, DEPTH_BLOCK, ROW_BLOCK, TILE_COLUMNS, TILE_ROWS } from '../src/tile-sizes';
import { multiplyByVector, multiplyVectorBy } from './multiply-vector';
import { packColumns, packRows } from './packing';

/** See `Routines.multiply`. */
export function multiply(
  rows: i32,
  columns: i32,
  depth: i32,
  left: usize,
  leftRowStride: i32,
  leftColumnStride: i32,
  right: usize,
  rightRowStride: i32,
  rightColumnStride: i32,
  into: usize,
  intoRowStride: i32,
  packing: usize,
): void {
  if (depth == 0) {
    for (let row = 0; row < rows; row++) memory.fill(at(into, row, intoRowStride, 0, 1), 0, <usize>columns << 2);
    return;
  }
  if (columns == 1 && intoRowStride == 1 && leftColumnStride == 1) {
    multiplyByVector(rows, depth, left, leftRowStride, right, rightRowStride, into);
    return;
  }
  if (rows == 1 && rightRowStride == 1) {
    multiplyByVector(columns, depth, right, rightColumnStride, left, leftColumnStride, into);
    return;
  }
  if (rows == 1 && rightColumnStride == 1) {
    multiplyVectorBy(columns, depth, left, leftColumnStride, right, rightRowStride, into);
    return;
  }
  const edge = packing;
  const packedLeft = edge + (TILE_ROWS * TILE_COLUMNS << 2);
  for (let column = 0; column < columns; column += COLUMN_BLOCK) {
    const blockColumns = min(COLUMN_BLOCK, columns - column);
    for (let k = 0; k < depth; k += DEPTH_BLOCK) {
      const blockDepth = min(DEPTH_BLOCK, depth - k);
      const leftRows = roundUp(min(ROW_BLOCK, rows), TILE_ROWS);
      const packedRight = packedLeft + ((<usize>leftRows * blockDepth) << 2);
      packColumns(
        at(right, k, rightRowStride, column, rightColumnStride),
        rightRowStride,
        rightColumnStride,
        blockColumns,
        blockDepth,
        packedRight,
      );
      for (let row = 0; row < rows; row += ROW_BLOCK) {
        const blockRows = min(ROW_BLOCK, rows - row);
        packRows(
          at(left, row, leftRowStride, k, leftColumnStride),
          leftRowStride,
          leftColumnStride,
          blockRows,
          blockDepth,
          packedLeft,
        );
        const corner = at(into, row, intoRowStride, column, 1);
        multiplyBlock(blockRows, blockColumns, blockDepth, packedLeft, packedRight, corner, intoRowStride, k != 0, edge);
      }
    }
  }
}

/** All tiles of one packed block. A tile that hangs over the edge goes through `edge`, with the same arithmetic. */
function multiplyBlock(
  rows: i32,
  columns: i32,
  depth: i32,
  packedLeft: usize,
  packedRight: usize,
  into: usize,
  stride: i32,
  add: bool,
  edge: usize,
): void {
  for (let column = 0; column < columns; column += TILE_COLUMNS) {
    const panelRight = packedRight + ((<usize>column * depth) << 2);
    for (let row = 0; row < rows; row += TILE_ROWS) {
      const panelLeft = packedLeft + ((<usize>row * depth) << 2);
      const corner = at(into, row, stride, column, 1);
      if (row + TILE_ROWS <= rows && column + TILE_COLUMNS <= columns) {
        multiplyTile(depth, panelLeft, panelRight, corner, <usize>stride << 2, add);
      } else {
        multiplyTile(depth, panelLeft, panelRight, edge, TILE_COLUMNS << 2, false);
        storeEdge(edge, min(TILE_ROWS, rows - row), min(TILE_COLUMNS, columns - column), corner, stride, add);
      }
    }
  }
}

/** The register tile: [4, depth] · [depth, 8] from packed panels. `stride` in bytes. */
function multiplyTile(depth: i32, left: usize, right: usize, into: usize, stride: usize, add: bool): void {
  let c00 = f32x4.splat(0);
  let c01 = c00;
  let c10 = c00;
  let c11 = c00;
  let c20 = c00;
  let c21 = c00;
  let c30 = c00;
  let c31 = c00;
  const end = right + (<usize>depth << 5);
  while (right < end) {
    const b0 = v128.load(right);
    const b1 = v128.load(right, 16);
    let a = v128.load32_splat(left);
    c00 = f32x4.add(c00, f32x4.mul(a, b0));
    c01 = f32x4.add(c01, f32x4.mul(a, b1));
    a = v128.load32_splat(left, 4);
    c10 = f32x4.add(c10, f32x4.mul(a, b0));
    c11 = f32x4.add(c11, f32x4.mul(a, b1));
    a = v128.load32_splat(left, 8);
    c20 = f32x4.add(c20, f32x4.mul(a, b0));
    c21 = f32x4.add(c21, f32x4.mul(a, b1));
    a = v128.load32_splat(left, 12);
    c30 = f32x4.add(c30, f32x4.mul(a, b0));
    c31 = f32x4.add(c31, f32x4.mul(a, b1));
    left += TILE_ROWS << 2;
    right += TILE_COLUMNS << 2;
  }
  storeRow(into, c00, c01, add);
  into += stride;
  storeRow(into, c10, c11, add);
  into += stride;
  storeRow(into, c20, c21, add);
  into += stride;
  storeRow(into, c30, c31, add);
}

@inline
function storeRow(into: usize, low: v128, high: v128, add: bool): void {
  if (add) {
    low = f32x4.add(v128.load(into), low);
    high = f32x4.add(v128.load(into, 16), high);
  }
  v128.store(into, low);
  v128.store(into, high, 16);
}

/** The part of a tile that lies inside the result. */
function storeEdge(edge: usize, rows: i32, columns: i32, into: usize, stride: i32, add: bool): void {
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const address = at(into, row, stride, column, 1);
      const value = load<f32>(at(edge, row, TILE_COLUMNS, column, 1));
      store<f32>(address, add ? load<f32>(address) + value : value);
    }
  }
}

@inline
function at(matrix: usize, row: i32, rowStride: i32, column: i32, columnStride: i32): usize {
  return matrix + ((<usize>row * rowStride + <usize>column * columnStride) << 2);
}

@inline
function roundUp(value: i32, multiple: i32): i32 {
  return ((value + multiple - 1) / multiple) * multiple;
}
