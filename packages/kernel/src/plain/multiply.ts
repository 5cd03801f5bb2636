import type { MemoryViews } from '../linear-memory.js';
import { DEPTH_BLOCK } from '../tile-sizes.js';

const { fround } = Math;

/** `Routines.multiply`, written as its definition, four columns at a time so that four sums run side by side. */
export function multiply(
  { floats }: MemoryViews,
  rows: number,
  columns: number,
  depth: number,
  left: number,
  leftRowStride: number,
  leftColumnStride: number,
  right: number,
  rightRowStride: number,
  rightColumnStride: number,
  into: number,
  intoRowStride: number,
  _packing: number,
): void {
  for (let row = 0; row < rows; row++) {
    const leftRow = left / 4 + row * leftRowStride;
    const intoRow = into / 4 + row * intoRowStride;
    floats.fill(0, intoRow, intoRow + columns);
    for (let begin = 0; begin < depth; begin += DEPTH_BLOCK) {
      const terms = Math.min(DEPTH_BLOCK, depth - begin);
      const leftBegin = leftRow + begin * leftColumnStride;
      for (let column = 0; column < columns; column += 4) {
        const rightBegin = right / 4 + begin * rightRowStride + column * rightColumnStride;
        const at = intoRow + column;
        if (column + 4 <= columns) {
          addFourSums(floats, terms, leftBegin, leftColumnStride, rightBegin, rightRowStride, rightColumnStride, at);
        } else {
          for (let rest = 0; rest < columns - column; rest++) {
            const rightColumn = rightBegin + rest * rightColumnStride;
            const sum = sumOfProducts(floats, terms, leftBegin, leftColumnStride, rightColumn, rightRowStride);
            floats[at + rest] = floats[at + rest]! + sum;
          }
        }
      }
    }
  }
}

/** Σ_k left[k] · right[k] in the order of k, from 0. Places and steps are indexes of floats. */
function sumOfProducts(
  floats: Float32Array,
  terms: number,
  left: number,
  leftStep: number,
  right: number,
  rightStep: number,
): number {
  let sum = fround(0);
  for (let k = 0; k < terms; k++) {
    sum = fround(sum + fround(floats[left + k * leftStep]! * floats[right + k * rightStep]!));
  }
  return sum;
}

/** Four neighbouring columns of `sumOfProducts`, added to what is at `into`. */
function addFourSums(
  floats: Float32Array,
  terms: number,
  left: number,
  leftStep: number,
  right: number,
  rightStep: number,
  rightColumnStride: number,
  into: number,
): void {
  let sum0 = fround(0);
  let sum1 = fround(0);
  let sum2 = fround(0);
  let sum3 = fround(0);
  let l = left;
  let r = right;
  for (let k = 0; k < terms; k++) {
    const a = floats[l]!;
    sum0 = fround(sum0 + fround(a * floats[r]!));
    sum1 = fround(sum1 + fround(a * floats[r + rightColumnStride]!));
    sum2 = fround(sum2 + fround(a * floats[r + 2 * rightColumnStride]!));
    sum3 = fround(sum3 + fround(a * floats[r + 3 * rightColumnStride]!));
    l += leftStep;
    r += rightStep;
  }
  floats[into] = floats[into]! + sum0;
  floats[into + 1] = floats[into + 1]! + sum1;
  floats[into + 2] = floats[into + 2]! + sum2;
  floats[into + 3] = floats[into + 3]! + sum3;
}

/** `Routines.sumRows`. */
export function sumRows({ floats }: MemoryViews, matrix: number, rows: number, width: number, into: number): void {
  const sums = floats.subarray(into / 4, into / 4 + width).fill(0);
  for (let row = 0; row < rows; row++) {
    const first = matrix / 4 + row * width;
    for (let column = 0; column < width; column++) sums[column] = sums[column]! + floats[first + column]!;
  }
}
