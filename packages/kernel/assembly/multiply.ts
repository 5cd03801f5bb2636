/**
 * Matrix product by blocks: operands are packed into panels as tall as the register tile is, so that the innermost
 * loop reads memory in a straight line whatever the operands' strides were. Structure after Goto and van de Geijn,
 * "Anatomy of High-Performance Matrix Multiplication", 2008.
 */
import { COLUMN_BLOCK, DEPTH_BLOCK, ROW_BLOCK, TILE_COLUMNS } from '../src/tile-sizes';
import { multiplyByVector, multiplyVectorBy } from './multiply-vector';
import { packColumns, packRows } from './packing';
import { multiplyTile, TILE_ROWS } from './register-tile';

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
  const spare = packing;
  const packedLeft = spare + (TILE_ROWS * TILE_COLUMNS << 2);
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
        multiplyBlock(blockRows, blockColumns, blockDepth, packedLeft, packedRight, corner, intoRowStride, k != 0, spare);
      }
    }
  }
}

/**
 * All tiles of one packed block. A tile that hangs over the edge, or has to be added to what earlier terms left, goes
 * through `spare`, with the same arithmetic: were there another way out of the register tile's loop, V8 on Node 20
 * would keep accumulators in memory (fused: 23 instead of 55 GFLOP/s).
 */
function multiplyBlock(
  rows: i32,
  columns: i32,
  depth: i32,
  packedLeft: usize,
  packedRight: usize,
  into: usize,
  stride: i32,
  add: bool,
  spare: usize,
): void {
  for (let column = 0; column < columns; column += TILE_COLUMNS) {
    const panelRight = packedRight + ((<usize>column * depth) << 2);
    const tileColumns = min(TILE_COLUMNS, columns - column);
    for (let row = 0; row < rows; row += TILE_ROWS) {
      const panelLeft = packedLeft + ((<usize>row * depth) << 2);
      const tileRows = min(TILE_ROWS, rows - row);
      const corner = at(into, row, stride, column, 1);
      if (!add && tileRows == TILE_ROWS && tileColumns == TILE_COLUMNS) {
        multiplyTile(depth, panelLeft, panelRight, corner, <usize>stride << 2);
      } else {
        multiplyTile(depth, panelLeft, panelRight, spare, TILE_COLUMNS << 2);
        if (tileColumns == TILE_COLUMNS) storeRows(spare, tileRows, corner, <usize>stride << 2, add);
        else storeCorner(spare, tileRows, tileColumns, corner, <usize>stride << 2, add);
      }
    }
  }
}

/** The first `rows` rows of a tile, each whole. */
function storeRows(tile: usize, rows: i32, into: usize, stride: usize, add: bool): void {
  for (; rows > 0; rows--) {
    const low = v128.load(tile);
    const high = v128.load(tile, 16);
    v128.store(into, add ? f32x4.add(v128.load(into), low) : low);
    v128.store(into, add ? f32x4.add(v128.load(into, 16), high) : high, 16);
    tile += TILE_COLUMNS << 2;
    into += stride;
  }
}

/** The first `columns` columns of the first `rows` rows of a tile. */
function storeCorner(tile: usize, rows: i32, columns: i32, into: usize, stride: usize, add: bool): void {
  for (; rows > 0; rows--) {
    for (let offset: usize = 0; offset < <usize>columns << 2; offset += 4) {
      const value = load<f32>(tile + offset);
      store<f32>(into + offset, add ? load<f32>(into + offset) + value : value);
    }
    tile += TILE_COLUMNS << 2;
    into += stride;
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
