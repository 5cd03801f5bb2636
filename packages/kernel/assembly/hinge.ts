/** The hinge losses: what is missing to a margin of 1. */
import { isFirst, storeSums } from './losses';
import { largestOf } from './softmax';
import { firstLanes, joinLanes, loadSome, storeSome } from './vectors';

/** See `Routines.hinge`. */
export function hinge(logits: usize, targets: usize, rows: i32, gradient: usize, sums: usize): void {
  let lossSum: f64 = 0;
  let correctCount: f64 = 0;
  for (let row = 0; row < rows; row++) {
    const offset = (<usize>row) << 2;
    const logit = load<f32>(logits + offset);
    const label = load<f32>(targets + offset);
    const valid = label == 0 || label == 1;
    const sign = 2 * <f64>label - 1;
    const shortfall = 1 - sign * <f64>logit;
    lossSum += valid ? max<f64>(0, shortfall) : <f64>NaN;
    if ((logit > 0 ? <f32>1 : <f32>0) == label) correctCount += 1;
    if (gradient != 0) {
      const towards = shortfall > 0 ? -sign : shortfall <= 0 ? 0 : <f64>NaN;
      store<f32>(gradient + offset, valid ? <f32>towards : <f32>NaN);
    }
  }
  storeSums(sums, lossSum, correctCount, 0, 0, 0);
}

/** See `Routines.multiClassHinge`. */
export function multiClassHinge(
  logits: usize,
  targets: usize,
  rows: i32,
  width: i32,
  gradient: usize,
  sums: usize,
): void {
  const stride = (<usize>width) << 2;
  const share = <f32>(1.0 / <f64>width);
  let lossSum: f64 = 0;
  let correctCount: f64 = 0;
  for (let row = 0; row < rows; row++) {
    const label = load<f32>(targets);
    const valid = label >= 0 && label < <f32>width;
    const target = valid ? <i32>label : 0;
    const logit = load<f32>(logits + ((<usize>target) << 2));
    const base = <f32>1 - logit;
    const largest = largestOf(logits, width);
    const total = sumOfShortfalls(logits, width, target, base);
    lossSum += valid ? <f64>total / <f64>width : <f64>NaN;
    if (valid && logit == largest && isFirst(logits, (<usize>target) << 2, largest)) correctCount += 1;
    if (gradient != 0) {
      const count = markShortfalls(logits, width, target, valid ? base : <f32>NaN, share, gradient);
      store<f32>(gradient + ((<usize>target) << 2), -(count * share));
      gradient += stride;
    }
    logits += stride;
    targets += 4;
  }
  storeSums(sums, lossSum, correctCount, 0, 0, 0);
}

/** base + z_j for j = first, first + 1, …, but 0 for the target. */
@inline
function shortfalls(z: v128, first: i32, target: i32, base: f32): v128 {
  const index = i32x4.add(i32x4(0, 1, 2, 3), i32x4.splat(first));
  return v128.andnot(f32x4.add(f32x4.splat(base), z), i32x4.eq(index, i32x4.splat(target)));
}

/** Σ_{j ≠ target} max(0, base + z_j) in lanes. */
function sumOfShortfalls(logits: usize, width: i32, target: i32, base: f32): f32 {
  const zero = f32x4.splat(0);
  let lanes = zero;
  let j = 0;
  for (; j + 4 <= width; j += 4) {
    lanes = f32x4.add(lanes, f32x4.max(shortfalls(v128.load(logits), j, target, base), zero));
    logits += 16;
  }
  const rest = width - j;
  if (rest != 0) {
    const short = f32x4.max(shortfalls(loadSome(logits, rest), j, target, base), zero);
    lanes = f32x4.add(lanes, v128.and(short, firstLanes(rest)));
  }
  return joinLanes(lanes);
}

/** Writes `share` where something is missing, 0 where nothing is, NaN for a NaN; returns how many are short, or NaN. */
function markShortfalls(logits: usize, width: i32, target: i32, base: f32, share: f32, into: usize): f32 {
  let lanes = f32x4.splat(0);
  let j = 0;
  for (; j + 4 <= width; j += 4) {
    const short = shortfalls(v128.load(logits), j, target, base);
    v128.store(into, whereShort(short, share));
    lanes = f32x4.add(lanes, whereShort(short, 1));
    logits += 16;
    into += 16;
  }
  const rest = width - j;
  if (rest != 0) {
    const short = shortfalls(loadSome(logits, rest), j, target, base);
    storeSome(into, whereShort(short, share), rest);
    lanes = f32x4.add(lanes, v128.and(whereShort(short, 1), firstLanes(rest)));
  }
  return joinLanes(lanes);
}

@inline
function whereShort(short: v128, value: f32): v128 {
  const marked = v128.and(f32x4.splat(value), f32x4.gt(short, f32x4.splat(0)));
  return v128.bitselect(short, marked, f32x4.ne(short, short));
}
