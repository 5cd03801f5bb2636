/**
 * A matrix product in plain JavaScript, as fast as it is written by hand: what WebAssembly is measured against. It sums
 * in double precision, as JavaScript does; rounding each step to float32 (what the `js` kernel does, to have the bits of
 * `wasm`) halves its speed.
 */
import type { Product } from './workloads.js';

/** A register tile of 3 x 4, the shape V8 keeps in registers. */
const TILE_ROWS = 3;
const TILE_COLUMNS = 4;
const DEPTH_BLOCK = 256;
const ROW_BLOCK = 120;

/** What a product packs into, made once: doubles, which need no conversion in the innermost loop. */
export interface Packing {
  readonly panelsLeft: Float64Array;
  readonly panelsRight: Float64Array;
}

export function packingFor({ columns }: Product): Packing {
  return {
    panelsLeft: new Float64Array(ROW_BLOCK * DEPTH_BLOCK),
    panelsRight: new Float64Array(Math.ceil(columns / TILE_COLUMNS) * TILE_COLUMNS * DEPTH_BLOCK),
  };
}

/**
 * into = left · right, both packed into panels first as `kernel.wasm` does, so that the innermost loop reads in a line.
 * @param left [rows, depth], or its transpose
 * @param right [depth, columns], or its transpose
 * @param into [rows, columns], overwritten
 * @param packing of the same shape
 */
export function plainProduct(
  product: Product,
  left: Float32Array,
  right: Float32Array,
  into: Float32Array,
  packing: Packing,
): void {
  const { rows, columns, depth, leftTransposed, rightTransposed } = product;
  const { panelsLeft, panelsRight } = packing;
  const [leftRow, leftColumn] = leftTransposed ? [1, rows] : [depth, 1];
  const [rightRow, rightColumn] = rightTransposed ? [1, depth] : [columns, 1];
  into.fill(0);
  for (let k = 0; k < depth; k += DEPTH_BLOCK) {
    const blockDepth = Math.min(DEPTH_BLOCK, depth - k);
    pack(right, k * rightRow, rightColumn, rightRow, columns, blockDepth, TILE_COLUMNS, panelsRight);
    for (let row = 0; row < rows; row += ROW_BLOCK) {
      const blockRows = Math.min(ROW_BLOCK, rows - row);
      const from = row * leftRow + k * leftColumn;
      pack(left, from, leftRow, leftColumn, blockRows, blockDepth, TILE_ROWS, panelsLeft);
      for (let column = 0; column < columns; column += TILE_COLUMNS) {
        for (let tileRow = 0; tileRow < blockRows; tileRow += TILE_ROWS) {
          const height = Math.min(TILE_ROWS, blockRows - tileRow);
          const width = Math.min(TILE_COLUMNS, columns - column);
          multiplyTile(blockDepth, panelsLeft, tileRow * blockDepth, panelsRight, column * blockDepth);
          for (let r = 0; r < height; r++) {
            const at = (row + tileRow + r) * columns + column;
            for (let c = 0; c < width; c++) into[at + c] = into[at + c]! + tile[r * TILE_COLUMNS + c]!;
          }
        }
      }
    }
  }
}

/** `lines` lines of `depth` values into panels of `high` lines: [panel][k][high], zeros where there is no line. */
function pack(
  from: Float32Array,
  offset: number,
  lineStride: number,
  depthStride: number,
  lines: number,
  depth: number,
  high: number,
  into: Float64Array,
): void {
  let to = 0;
  for (let first = 0; first < lines; first += high) {
    for (let k = 0; k < depth; k++) {
      let at = offset + first * lineStride + k * depthStride;
      for (let line = first; line < first + high; line++) {
        into[to++] = line < lines ? from[at]! : 0;
        at += lineStride;
      }
    }
  }
}

/** The result of `multiplyTile`, [3, 4]. */
const tile = new Float64Array(TILE_ROWS * TILE_COLUMNS);

function multiplyTile(depth: number, left: Float64Array, l0: number, right: Float64Array, r0: number): void {
  let c00 = 0;
  let c01 = 0;
  let c02 = 0;
  let c03 = 0;
  let c10 = 0;
  let c11 = 0;
  let c12 = 0;
  let c13 = 0;
  let c20 = 0;
  let c21 = 0;
  let c22 = 0;
  let c23 = 0;
  let l = l0;
  let r = r0;
  for (let k = 0; k < depth; k++) {
    const a0 = left[l]!;
    const a1 = left[l + 1]!;
    const a2 = left[l + 2]!;
    const b0 = right[r]!;
    const b1 = right[r + 1]!;
    const b2 = right[r + 2]!;
    const b3 = right[r + 3]!;
    c00 += a0 * b0;
    c01 += a0 * b1;
    c02 += a0 * b2;
    c03 += a0 * b3;
    c10 += a1 * b0;
    c11 += a1 * b1;
    c12 += a1 * b2;
    c13 += a1 * b3;
    c20 += a2 * b0;
    c21 += a2 * b1;
    c22 += a2 * b2;
    c23 += a2 * b3;
    l += TILE_ROWS;
    r += TILE_COLUMNS;
  }
  tile[0] = c00;
  tile[1] = c01;
  tile[2] = c02;
  tile[3] = c03;
  tile[4] = c10;
  tile[5] = c11;
  tile[6] = c12;
  tile[7] = c13;
  tile[8] = c20;
  tile[9] = c21;
  tile[10] = c22;
  tile[11] = c23;
}
