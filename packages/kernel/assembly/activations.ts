/** Bias, activations and their way back. The activation is chosen once a call: each loop below is compiled for one. */
import { sigmoid, tanh } from './elementary';
import { loadSome, storeSome } from './vectors';

/** As `ACTIVATION_CODES` in `src/routines.ts`. */
const NONE = 0;
const RELU = 1;
const SIGMOID = 2;
const TANH = 3;
const LEAKY_RELU = 4;

/** See `Routines.addBias`. */
export function addBias(matrix: usize, rows: i32, width: i32, bias: usize, activation: i32, slope: f32): void {
  if (activation == RELU) addBiasThen(RELU, matrix, rows, width, bias, slope);
  else if (activation == SIGMOID) addBiasThen(SIGMOID, matrix, rows, width, bias, slope);
  else if (activation == TANH) addBiasThen(TANH, matrix, rows, width, bias, slope);
  else if (activation == LEAKY_RELU) addBiasThen(LEAKY_RELU, matrix, rows, width, bias, slope);
  else addBiasThen(NONE, matrix, rows, width, bias, slope);
}

/** See `Routines.activate`. */
export function activate(from: usize, into: usize, count: i32, activation: i32, slope: f32): void {
  if (activation == RELU) activateAll(RELU, from, into, count, slope);
  else if (activation == SIGMOID) activateAll(SIGMOID, from, into, count, slope);
  else if (activation == TANH) activateAll(TANH, from, into, count, slope);
  else if (activation == LEAKY_RELU) activateAll(LEAKY_RELU, from, into, count, slope);
  else memory.copy(into, from, <usize>count << 2);
}

/** See `Routines.activateBackward`. */
export function activateBackward(gradient: usize, output: usize, count: i32, activation: i32, slope: f32): void {
  if (activation == RELU) backwardAll(RELU, gradient, output, count, slope);
  else if (activation == SIGMOID) backwardAll(SIGMOID, gradient, output, count, slope);
  else if (activation == TANH) backwardAll(TANH, gradient, output, count, slope);
  else if (activation == LEAKY_RELU) backwardAll(LEAKY_RELU, gradient, output, count, slope);
}

/** See `Routines.sumRows`. Sixteen columns at a time: four sums run side by side, each in the order of the rows. */
export function sumRows(matrix: usize, rows: i32, width: i32, into: usize): void {
  const stride = <usize>width << 2;
  const size = <usize>rows * stride;
  let column = 0;
  for (; column + 16 <= width; column += 16) {
    let s0 = f32x4.splat(0);
    let s1 = s0;
    let s2 = s0;
    let s3 = s0;
    const first = matrix + (<usize>column << 2);
    for (let row = first, end = first + size; row < end; row += stride) {
      s0 = f32x4.add(s0, v128.load(row));
      s1 = f32x4.add(s1, v128.load(row, 16));
      s2 = f32x4.add(s2, v128.load(row, 32));
      s3 = f32x4.add(s3, v128.load(row, 48));
    }
    const sums = into + (<usize>column << 2);
    v128.store(sums, s0);
    v128.store(sums, s1, 16);
    v128.store(sums, s2, 32);
    v128.store(sums, s3, 48);
  }
  for (; column < width; column += 4) {
    const count = width - column;
    const first = matrix + (<usize>column << 2);
    let sum = f32x4.splat(0);
    if (count >= 4) {
      for (let row = first, end = first + size; row < end; row += stride) sum = f32x4.add(sum, v128.load(row));
      v128.store(into + (<usize>column << 2), sum);
    } else {
      for (let row = first, end = first + size; row < end; row += stride) sum = f32x4.add(sum, loadSome(row, count));
      storeSome(into + (<usize>column << 2), sum, count);
    }
  }
}

@inline
function addBiasThen(activation: i32, matrix: usize, rows: i32, width: i32, bias: usize, slope: f32): void {
  const leak = f32x4.splat(slope);
  const vectors = (<usize>width & ~3) << 2;
  const rest = width & 3;
  for (let row = 0; row < rows; row++) {
    const end = matrix + vectors;
    let from = bias;
    while (matrix < end) {
      v128.store(matrix, apply(activation, leak, f32x4.add(v128.load(matrix), v128.load(from))));
      matrix += 16;
      from += 16;
    }
    if (rest != 0) {
      storeSome(matrix, apply(activation, leak, f32x4.add(loadSome(matrix, rest), loadSome(from, rest))), rest);
      matrix += <usize>rest << 2;
    }
  }
}

@inline
function activateAll(activation: i32, from: usize, into: usize, count: i32, slope: f32): void {
  const leak = f32x4.splat(slope);
  const end = from + ((<usize>count & ~3) << 2);
  while (from < end) {
    v128.store(into, apply(activation, leak, v128.load(from)));
    from += 16;
    into += 16;
  }
  const rest = count & 3;
  if (rest != 0) storeSome(into, apply(activation, leak, loadSome(from, rest)), rest);
}

@inline
function backwardAll(activation: i32, gradient: usize, output: usize, count: i32, slope: f32): void {
  const leak = f32x4.splat(slope);
  const end = gradient + ((<usize>count & ~3) << 2);
  while (gradient < end) {
    v128.store(gradient, applyBackward(activation, leak, v128.load(gradient), v128.load(output)));
    gradient += 16;
    output += 16;
  }
  const rest = count & 3;
  if (rest != 0) {
    storeSome(gradient, applyBackward(activation, leak, loadSome(gradient, rest), loadSome(output, rest)), rest);
  }
}

@inline
function apply(activation: i32, leak: v128, x: v128): v128 {
  if (activation == RELU) return f32x4.max(x, f32x4.splat(0));
  if (activation == SIGMOID) return sigmoid(x);
  if (activation == TANH) return tanh(x);
  if (activation == LEAKY_RELU) return v128.bitselect(x, f32x4.mul(leak, x), f32x4.gt(x, f32x4.splat(0)));
  return x;
}

@inline
function applyBackward(activation: i32, leak: v128, g: v128, y: v128): v128 {
  if (activation == RELU) return v128.and(g, f32x4.gt(y, f32x4.splat(0)));
  if (activation == LEAKY_RELU) return v128.bitselect(g, f32x4.mul(leak, g), f32x4.gt(y, f32x4.splat(0)));
  if (activation == SIGMOID) return f32x4.mul(g, f32x4.mul(y, f32x4.sub(f32x4.splat(1), y)));
  return f32x4.mul(g, f32x4.sub(f32x4.splat(1), f32x4.mul(y, y)));
}
