/**
 * Products with a vector, where packing would cost more than multiplying: linear models, and single samples.
 * Each sum is formed exactly as the tiles form it: in the order of k, from 0, by blocks of DEPTH_BLOCK.
 */
import { DEPTH_BLOCK } from '../src/tile-sizes';
import { multiplyAdd, multiplyAddOne } from './multiply-add';

/**
 * into[r] = sum_k matrix[r, k] * vector[k], rows of the matrix along k and `rowStride` floats apart, elements of the
 * vector `stride` floats apart. Four rows at a time, turned by 4x4 transposes so that each lane is one row's sum.
 */
export function multiplyByVector(
  rows: i32,
  depth: i32,
  matrix: usize,
  rowStride: i32,
  vector: usize,
  stride: i32,
  into: usize,
): void {
  const rowBytes = <usize>rowStride << 2;
  const step = <usize>stride << 2;
  let row = 0;
  for (; row + 4 <= rows; row += 4) {
    let total = f32x4.splat(0);
    for (let k = 0; k < depth; k += DEPTH_BLOCK) {
      const offset = <usize>k << 2;
      const sum = sumFourRows(matrix + offset, rowBytes, vector + offset * stride, step, min(DEPTH_BLOCK, depth - k));
      total = k == 0 ? sum : f32x4.add(total, sum);
    }
    v128.store(into, total);
    into += 16;
    matrix += rowBytes << 2;
  }
  for (; row < rows; row++) {
    let total: f32 = 0;
    for (let k = 0; k < depth; k += DEPTH_BLOCK) {
      const offset = <usize>k << 2;
      const sum = sumRow(matrix + offset, vector + offset * stride, step, min(DEPTH_BLOCK, depth - k));
      total = k == 0 ? sum : total + sum;
    }
    store<f32>(into, total);
    into += 4;
    matrix += rowBytes;
  }
}

/** into[c] = sum_k vector[k] * matrix[k, c], rows of the matrix along c and `rowStride` floats apart. */
export function multiplyVectorBy(
  columns: i32,
  depth: i32,
  vector: usize,
  stride: i32,
  matrix: usize,
  rowStride: i32,
  into: usize,
): void {
  const rowBytes = <usize>rowStride << 2;
  const step = <usize>stride << 2;
  for (let k = 0; k < depth; k += DEPTH_BLOCK) {
    const blockDepth = min(DEPTH_BLOCK, depth - k);
    const block = matrix + <usize>k * rowBytes;
    const factors = vector + <usize>k * step;
    let column = 0;
    for (; column + 16 <= columns; column += 16) {
      const offset = <usize>column << 2;
      sumSixteenColumns(factors, step, block + offset, rowBytes, blockDepth, into + offset, k != 0);
    }
    for (; column + 4 <= columns; column += 4) {
      const offset = <usize>column << 2;
      const sum = sumFourColumns(factors, step, block + offset, rowBytes, blockDepth);
      v128.store(into + offset, k == 0 ? sum : f32x4.add(v128.load(into + offset), sum));
    }
    for (; column < columns; column++) {
      const offset = <usize>column << 2;
      const sum = sumColumn(factors, step, block + offset, rowBytes, blockDepth);
      store<f32>(into + offset, k == 0 ? sum : load<f32>(into + offset) + sum);
    }
  }
}

@inline
function sumFourRows(from: usize, rowBytes: usize, vector: usize, step: usize, depth: i32): v128 {
  let sum = f32x4.splat(0);
  const vectors = from + ((<usize>depth & ~3) << 2);
  while (from < vectors) {
    const a = v128.load(from);
    const b = v128.load(from + rowBytes);
    const c = v128.load(from + (rowBytes << 1));
    const d = v128.load(from + rowBytes * 3);
    const abLow = i32x4.shuffle(a, b, 0, 4, 1, 5);
    const abHigh = i32x4.shuffle(a, b, 2, 6, 3, 7);
    const cdLow = i32x4.shuffle(c, d, 0, 4, 1, 5);
    const cdHigh = i32x4.shuffle(c, d, 2, 6, 3, 7);
    sum = multiplyAdd(sum, i64x2.shuffle(abLow, cdLow, 0, 2), v128.load32_splat(vector));
    vector += step;
    sum = multiplyAdd(sum, i64x2.shuffle(abLow, cdLow, 1, 3), v128.load32_splat(vector));
    vector += step;
    sum = multiplyAdd(sum, i64x2.shuffle(abHigh, cdHigh, 0, 2), v128.load32_splat(vector));
    vector += step;
    sum = multiplyAdd(sum, i64x2.shuffle(abHigh, cdHigh, 1, 3), v128.load32_splat(vector));
    vector += step;
    from += 16;
  }
  for (let rest = depth & 3; rest > 0; rest--) {
    let column = v128.load32_zero(from);
    column = v128.load_lane<f32>(from + rowBytes, column, 1);
    column = v128.load_lane<f32>(from + (rowBytes << 1), column, 2);
    column = v128.load_lane<f32>(from + rowBytes * 3, column, 3);
    sum = multiplyAdd(sum, column, v128.load32_splat(vector));
    from += 4;
    vector += step;
  }
  return sum;
}

@inline
function sumRow(from: usize, vector: usize, step: usize, depth: i32): f32 {
  let sum: f32 = 0;
  for (; depth > 0; depth--) {
    sum = multiplyAddOne(sum, load<f32>(from), load<f32>(vector));
    from += 4;
    vector += step;
  }
  return sum;
}

function sumSixteenColumns(
  vector: usize,
  step: usize,
  from: usize,
  rowBytes: usize,
  depth: i32,
  into: usize,
  add: bool,
): void {
  let s0 = f32x4.splat(0);
  let s1 = s0;
  let s2 = s0;
  let s3 = s0;
  for (; depth > 0; depth--) {
    const factor = v128.load32_splat(vector);
    s0 = multiplyAdd(s0, factor, v128.load(from));
    s1 = multiplyAdd(s1, factor, v128.load(from, 16));
    s2 = multiplyAdd(s2, factor, v128.load(from, 32));
    s3 = multiplyAdd(s3, factor, v128.load(from, 48));
    vector += step;
    from += rowBytes;
  }
  if (add) {
    s0 = f32x4.add(v128.load(into), s0);
    s1 = f32x4.add(v128.load(into, 16), s1);
    s2 = f32x4.add(v128.load(into, 32), s2);
    s3 = f32x4.add(v128.load(into, 48), s3);
  }
  v128.store(into, s0);
  v128.store(into, s1, 16);
  v128.store(into, s2, 32);
  v128.store(into, s3, 48);
}

@inline
function sumFourColumns(vector: usize, step: usize, from: usize, rowBytes: usize, depth: i32): v128 {
  let sum = f32x4.splat(0);
  for (; depth > 0; depth--) {
    sum = multiplyAdd(sum, v128.load32_splat(vector), v128.load(from));
    vector += step;
    from += rowBytes;
  }
  return sum;
}

@inline
function sumColumn(vector: usize, step: usize, from: usize, rowBytes: usize, depth: i32): f32 {
  let sum: f32 = 0;
  for (; depth > 0; depth--) {
    sum = multiplyAddOne(sum, load<f32>(vector), load<f32>(from));
    vector += step;
    from += rowBytes;
  }
  return sum;
}
