/**
 * Copies a block of an operand into panels: all of a panel's values for one k lie together, panel after panel.
 * What is missing at the edge is filled with zeros, so that the register tile never asks. Strides are in floats.
 */
import { TILE_COLUMNS, TILE_ROWS } from '../src/tile-sizes';

/** The left operand's block [rows, depth] as panels of 4 rows: [panel][k][4]. */
export function packRows(from: usize, rowStride: i32, columnStride: i32, rows: i32, depth: i32, into: usize): void {
  for (let row = 0; row < rows; row += TILE_ROWS) {
    const panel = from + ((<usize>row * rowStride) << 2);
    if (row + TILE_ROWS > rows) {
      packEdge(panel, rowStride, columnStride, rows - row, TILE_ROWS, depth, into);
    } else if (columnStride == 1) {
      packFourRows(panel, <usize>rowStride << 2, depth, into);
    } else {
      packFourOfRow(panel, <usize>columnStride << 2, depth, into);
    }
    into += <usize>depth * (TILE_ROWS << 2);
  }
}

/** The right operand's block [depth, columns] as panels of 8 columns: [panel][k][8]. */
export function packColumns(
  from: usize,
  rowStride: i32,
  columnStride: i32,
  columns: i32,
  depth: i32,
  into: usize,
): void {
  for (let column = 0; column < columns; column += TILE_COLUMNS) {
    const panel = from + ((<usize>column * columnStride) << 2);
    if (column + TILE_COLUMNS > columns) {
      packEdge(panel, columnStride, rowStride, columns - column, TILE_COLUMNS, depth, into);
    } else if (columnStride == 1) {
      packEightOfRow(panel, <usize>rowStride << 2, depth, into);
    } else {
      packEightColumns(panel, <usize>columnStride << 2, depth, into);
    }
    into += <usize>depth * (TILE_COLUMNS << 2);
  }
}

/** Rows lie along k: a 4x4 transpose for every four k. */
function packFourRows(from: usize, stride: usize, depth: i32, into: usize): void {
  const vectors = from + ((<usize>depth & ~3) << 2);
  while (from < vectors) {
    transposeFour(from, stride, into, TILE_ROWS << 2);
    from += 16;
    into += 4 * (TILE_ROWS << 2);
  }
  packEdge(from, <i32>(stride >> 2), 1, TILE_ROWS, TILE_ROWS, depth & 3, into);
}

/** Rows lie across k: four neighbours for each k. */
function packFourOfRow(from: usize, stride: usize, depth: i32, into: usize): void {
  for (let k = 0; k < depth; k++) {
    v128.store(into, v128.load(from));
    from += stride;
    into += TILE_ROWS << 2;
  }
}

/** Columns lie across k: eight neighbours for each k. */
function packEightOfRow(from: usize, stride: usize, depth: i32, into: usize): void {
  for (let k = 0; k < depth; k++) {
    v128.store(into, v128.load(from));
    v128.store(into, v128.load(from, 16), 16);
    from += stride;
    into += TILE_COLUMNS << 2;
  }
}

/** Columns lie along k: two 4x4 transposes for every four k. */
function packEightColumns(from: usize, stride: usize, depth: i32, into: usize): void {
  const vectors = from + ((<usize>depth & ~3) << 2);
  while (from < vectors) {
    transposeFour(from, stride, into, TILE_COLUMNS << 2);
    transposeFour(from + (stride << 2), stride, into + 16, TILE_COLUMNS << 2);
    from += 16;
    into += 4 * (TILE_COLUMNS << 2);
  }
  packEdge(from, <i32>(stride >> 2), 1, TILE_COLUMNS, TILE_COLUMNS, depth & 3, into);
}

/** Four lines of four values, stored as four groups of one value of each line, `apart` bytes apart. */
@inline
function transposeFour(from: usize, stride: usize, into: usize, apart: usize): void {
  const a = v128.load(from);
  const b = v128.load(from + stride);
  const c = v128.load(from + (stride << 1));
  const d = v128.load(from + stride * 3);
  const abLow = i32x4.shuffle(a, b, 0, 4, 1, 5);
  const abHigh = i32x4.shuffle(a, b, 2, 6, 3, 7);
  const cdLow = i32x4.shuffle(c, d, 0, 4, 1, 5);
  const cdHigh = i32x4.shuffle(c, d, 2, 6, 3, 7);
  v128.store(into, i64x2.shuffle(abLow, cdLow, 0, 2));
  v128.store(into + apart, i64x2.shuffle(abLow, cdLow, 1, 3));
  v128.store(into + 2 * apart, i64x2.shuffle(abHigh, cdHigh, 0, 2));
  v128.store(into + 3 * apart, i64x2.shuffle(abHigh, cdHigh, 1, 3));
}

/** Value by value: `lines` of the panel's `panelLines`, `lineStride` apart, the rest zero. */
function packEdge(
  from: usize,
  lineStride: i32,
  depthStride: i32,
  lines: i32,
  panelLines: i32,
  depth: i32,
  into: usize,
): void {
  for (let k = 0; k < depth; k++) {
    let value = from + ((<usize>k * depthStride) << 2);
    for (let line = 0; line < panelLines; line++) {
      store<f32>(into, line < lines ? load<f32>(value) : 0);
      value += <usize>lineStride << 2;
      into += 4;
    }
  }
}
