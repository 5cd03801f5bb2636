/**
 * Copies a block of an operand into panels: all of a panel's values for one k lie together, panel after panel.
 * What is missing at the edge is filled with zeros, so that the register tile never asks.
 *
 * A _line_ is a row of the left operand or a column of the right one: what runs along k. Of a line's neighbouring
 * values and neighbouring lines, one is next door in memory (a stride of 1 float); the two cases are two loops.
 */
import { TILE_COLUMNS } from '../src/tile-sizes';
import { TILE_ROWS } from './register-tile';

/** The left operand's block [rows, depth] as panels of TILE_ROWS rows: [panel][k][TILE_ROWS]. Strides in floats. */
export function packRows(from: usize, rowStride: i32, columnStride: i32, rows: i32, depth: i32, into: usize): void {
  const panelBytes = <usize>depth * (TILE_ROWS << 2);
  const step = <usize>rowStride * (TILE_ROWS << 2);
  for (; rows >= TILE_ROWS; rows -= TILE_ROWS) {
    packPanel(from, rowStride, columnStride, TILE_ROWS, TILE_ROWS, depth, into);
    from += step;
    into += panelBytes;
  }
  if (rows > 0) packPanel(from, rowStride, columnStride, rows, TILE_ROWS, depth, into);
}

/** The right operand's block [depth, columns] as panels of 8 columns: [panel][k][8]. Strides in floats. */
export function packColumns(
  from: usize,
  rowStride: i32,
  columnStride: i32,
  columns: i32,
  depth: i32,
  into: usize,
): void {
  const panelBytes = <usize>depth * (TILE_COLUMNS << 2);
  if (columnStride == 1) {
    for (; columns >= 4 * TILE_COLUMNS; columns -= 4 * TILE_COLUMNS) {
      packFourAcross(from, <usize>rowStride << 2, depth, into, panelBytes);
      from += 4 * TILE_COLUMNS << 2;
      into += panelBytes << 2;
    }
  }
  const step = <usize>columnStride * (TILE_COLUMNS << 2);
  for (; columns >= TILE_COLUMNS; columns -= TILE_COLUMNS) {
    packPanel(from, columnStride, rowStride, TILE_COLUMNS, TILE_COLUMNS, depth, into);
    from += step;
    into += panelBytes;
  }
  if (columns > 0) packPanel(from, columnStride, rowStride, columns, TILE_COLUMNS, depth, into);
}

/** One panel: `lines` lines are there, the rest of its `panelLines` (4, 6 or 8) become zeros. */
@inline
function packPanel(
  from: usize,
  lineStride: i32,
  depthStride: i32,
  lines: i32,
  panelLines: i32,
  depth: i32,
  into: usize,
): void {
  if (lineStride == 1) packAcross(from, <usize>depthStride << 2, lines, panelLines, depth, into);
  else packAlong(from, <usize>lineStride << 2, lines, panelLines, depth, into);
}

/** Neighbouring lines lie next door: a panel's values for one k are copied as they are. `stride` in bytes. */
@inline
function packAcross(from: usize, stride: usize, lines: i32, panelLines: i32, depth: i32, into: usize): void {
  for (let k = 0; k < depth; k++) {
    v128.store(into, loadLanes(from, lines));
    if (panelLines == 8) v128.store(into, loadLanes(from + 16, lines - 4), 16);
    if (panelLines == 6) storeTwo(into + 16, loadLanes(from + 16, lines - 4));
    from += stride;
    into += <usize>panelLines << 2;
  }
}

/**
 * Four whole panels of 8 columns at a time, 128 bytes of each row: rows of a large matrix lie so far apart, often by a power of two,
 * that a cache has forgotten the rest of a line before the next panel asks for it. `stride` in bytes.
 */
@inline
function packFourAcross(from: usize, stride: usize, depth: i32, into: usize, panelBytes: usize): void {
  for (; depth > 0; depth--) {
    copyEight(from, into);
    copyEight(from + 32, into + panelBytes);
    copyEight(from + 64, into + panelBytes * 2);
    copyEight(from + 96, into + panelBytes * 3);
    from += stride;
    into += TILE_COLUMNS << 2;
  }
}

@inline
function copyEight(from: usize, into: usize): void {
  v128.store(into, v128.load(from));
  v128.store(into, v128.load(from, 16), 16);
}

/** Lines run through memory: a 4x4 transpose turns four k of four lines. `stride` in bytes. */
@inline
function packAlong(from: usize, stride: usize, lines: i32, panelLines: i32, depth: i32, into: usize): void {
  const apart = <usize>panelLines << 2;
  for (const vectors = from + ((<usize>depth & ~3) << 2); from < vectors; from += 16) {
    transposeFour(from, stride, lines, into, apart);
    if (panelLines == 8) transposeFour(from + (stride << 2), stride, lines - 4, into + 16, apart);
    if (panelLines == 6) transposeTwo(from + (stride << 2), stride, lines - 4, into + 16, apart);
    into += apart << 2;
  }
  for (let rest = depth & 3; rest > 0; rest--) {
    let value = from;
    for (let line = 0; line < panelLines; line++) {
      store<f32>(into, line < lines ? load<f32>(value) : 0);
      value += stride;
      into += 4;
    }
    from += 4;
  }
}

/** Up to four lines of four values, stored as four groups of one value of each line, `apart` bytes apart. */
@inline
function transposeFour(from: usize, stride: usize, lines: i32, into: usize, apart: usize): void {
  const a = loadLine(from, lines > 0);
  const b = loadLine(from + stride, lines > 1);
  const c = loadLine(from + (stride << 1), lines > 2);
  const d = loadLine(from + stride * 3, lines > 3);
  const abLow = i32x4.shuffle(a, b, 0, 4, 1, 5);
  const abHigh = i32x4.shuffle(a, b, 2, 6, 3, 7);
  const cdLow = i32x4.shuffle(c, d, 0, 4, 1, 5);
  const cdHigh = i32x4.shuffle(c, d, 2, 6, 3, 7);
  v128.store(into, i64x2.shuffle(abLow, cdLow, 0, 2));
  v128.store(into + apart, i64x2.shuffle(abLow, cdLow, 1, 3));
  v128.store(into + 2 * apart, i64x2.shuffle(abHigh, cdHigh, 0, 2));
  v128.store(into + 3 * apart, i64x2.shuffle(abHigh, cdHigh, 1, 3));
}

/** As `transposeFour`, of up to two lines. */
@inline
function transposeTwo(from: usize, stride: usize, lines: i32, into: usize, apart: usize): void {
  const a = loadLine(from, lines > 0);
  const b = loadLine(from + stride, lines > 1);
  const low = i32x4.shuffle(a, b, 0, 4, 1, 5);
  const high = i32x4.shuffle(a, b, 2, 6, 3, 7);
  storeTwo(into, low);
  store<i64>(into + apart, i64x2.extract_lane(low, 1));
  storeTwo(into + 2 * apart, high);
  store<i64>(into + 3 * apart, i64x2.extract_lane(high, 1));
}

@inline
function loadLine(address: usize, isThere: bool): v128 {
  return isThere ? v128.load(address) : f32x4.splat(0);
}

/** The first `count` of four neighbours, zeros behind them. */
@inline
function loadLanes(address: usize, count: i32): v128 {
  if (count >= 4) return v128.load(address);
  if (count == 2) return v128.load64_zero(address);
  let vector = f32x4.splat(0);
  if (count > 0) vector = v128.load32_zero(address);
  if (count > 2) {
    vector = v128.load_lane<f32>(address, vector, 1, 4);
    vector = v128.load_lane<f32>(address, vector, 2, 8);
  }
  return vector;
}

/** The low two floats of a vector. */
@inline
function storeTwo(address: usize, vector: v128): void {
  store<i64>(address, i64x2.extract_lane(vector, 0));
}
