/** Layer normalization by rows and its way back. */
import { firstLanes, joinLanes, loadSome, storeSome } from './vectors';

/** See `Routines.layerNorm`. */
export function layerNorm(
  from: usize,
  into: usize,
  rows: i32,
  width: i32,
  weight: usize,
  bias: usize,
  epsilon: f32,
  statistics: usize,
): void {
  const vectors = (<usize>width & ~3) << 2;
  const rest = width & 3;
  for (let row = 0; row < rows; row++) {
    const mean = sum(from, width) / <f32>width;
    const variance = sumOfSquares(from, width, mean) / <f32>width;
    const scale = <f32>1 / sqrt<f32>(variance + epsilon);
    const means = f32x4.splat(mean);
    const scales = f32x4.splat(scale);
    let w = weight;
    let b = bias;
    const end = from + vectors;
    while (from < end) {
      const normal = f32x4.mul(f32x4.sub(v128.load(from), means), scales);
      v128.store(into, f32x4.add(f32x4.mul(normal, v128.load(w)), v128.load(b)));
      from += 16;
      into += 16;
      w += 16;
      b += 16;
    }
    if (rest != 0) {
      const normal = f32x4.mul(f32x4.sub(loadSome(from, rest), means), scales);
      storeSome(into, f32x4.add(f32x4.mul(normal, loadSome(w, rest)), loadSome(b, rest)), rest);
      from += <usize>rest << 2;
      into += <usize>rest << 2;
    }
    store<f32>(statistics, mean);
    store<f32>(statistics, scale, 4);
    statistics += 8;
  }
}

/** See `Routines.layerNormBackward`. Each row is read twice: for its two means, and to be overwritten. */
export function layerNormBackward(
  gradient: usize,
  input: usize,
  rows: i32,
  width: i32,
  weight: usize,
  statistics: usize,
  weightGradient: usize,
  biasGradient: usize,
): void {
  memory.fill(weightGradient, 0, (<usize>width) << 2);
  memory.fill(biasGradient, 0, (<usize>width) << 2);
  const vectors = (<usize>width & ~3) << 2;
  const rest = width & 3;
  const restBytes = <usize>rest << 2;
  for (let row = 0; row < rows; row++) {
    const mean = f32x4.splat(load<f32>(statistics));
    const scale = f32x4.splat(load<f32>(statistics, 4));
    let towardsLanes = f32x4.splat(0);
    let alongLanes = towardsLanes;
    for (let i: usize = 0; i < vectors; i += 16) {
      const g = v128.load(gradient + i);
      const normal = f32x4.mul(f32x4.sub(v128.load(input + i), mean), scale);
      const towards = f32x4.mul(g, v128.load(weight + i));
      towardsLanes = f32x4.add(towardsLanes, towards);
      alongLanes = f32x4.add(alongLanes, f32x4.mul(towards, normal));
      v128.store(weightGradient + i, f32x4.add(v128.load(weightGradient + i), f32x4.mul(g, normal)));
      v128.store(biasGradient + i, f32x4.add(v128.load(biasGradient + i), g));
    }
    if (rest != 0) {
      const present = firstLanes(rest);
      const g = loadSome(gradient + vectors, rest);
      const normal = v128.and(f32x4.mul(f32x4.sub(loadSome(input + vectors, rest), mean), scale), present);
      const towards = f32x4.mul(g, loadSome(weight + vectors, rest));
      towardsLanes = f32x4.add(towardsLanes, towards);
      alongLanes = f32x4.add(alongLanes, f32x4.mul(towards, normal));
      addSome(weightGradient + vectors, f32x4.mul(g, normal), rest);
      addSome(biasGradient + vectors, g, rest);
    }
    const meanTowards = f32x4.splat(joinLanes(towardsLanes) / <f32>width);
    const meanAlong = f32x4.splat(joinLanes(alongLanes) / <f32>width);
    for (let i: usize = 0; i < vectors; i += 16) {
      const normal = f32x4.mul(f32x4.sub(v128.load(input + i), mean), scale);
      const towards = f32x4.mul(v128.load(gradient + i), v128.load(weight + i));
      v128.store(gradient + i, backOf(towards, normal, meanTowards, meanAlong, scale));
    }
    if (rest != 0) {
      const normal = f32x4.mul(f32x4.sub(loadSome(input + vectors, rest), mean), scale);
      const towards = f32x4.mul(loadSome(gradient + vectors, rest), loadSome(weight + vectors, rest));
      storeSome(gradient + vectors, backOf(towards, normal, meanTowards, meanAlong, scale), rest);
    }
    gradient += vectors + restBytes;
    input += vectors + restBytes;
    statistics += 8;
  }
}

@inline
function backOf(towards: v128, normal: v128, meanTowards: v128, meanAlong: v128, scale: v128): v128 {
  return f32x4.mul(f32x4.sub(f32x4.sub(towards, meanTowards), f32x4.mul(normal, meanAlong)), scale);
}

@inline
function addSome(address: usize, vector: v128, count: i32): void {
  storeSome(address, f32x4.add(loadSome(address, count), vector), count);
}

/** Σ_j x_j in lanes. */
@inline
function sum(values: usize, count: i32): f32 {
  let lanes = f32x4.splat(0);
  const end = values + ((<usize>count & ~3) << 2);
  while (values < end) {
    lanes = f32x4.add(lanes, v128.load(values));
    values += 16;
  }
  const rest = count & 3;
  if (rest != 0) lanes = f32x4.add(lanes, loadSome(values, rest));
  return joinLanes(lanes);
}

/** Σ_j (x_j - mean)² in lanes. */
@inline
function sumOfSquares(values: usize, count: i32, mean: f32): f32 {
  const means = f32x4.splat(mean);
  let lanes = f32x4.splat(0);
  const end = values + ((<usize>count & ~3) << 2);
  while (values < end) {
    const difference = f32x4.sub(v128.load(values), means);
    lanes = f32x4.add(lanes, f32x4.mul(difference, difference));
    values += 16;
  }
  const rest = count & 3;
  if (rest != 0) {
    const difference = v128.and(f32x4.sub(loadSome(values, rest), means), firstLanes(rest));
    lanes = f32x4.add(lanes, f32x4.mul(difference, difference));
  }
  return joinLanes(lanes);
}
