/** Gradients in int8 with a scale a group, and back. */
import { INT8_DRAWN_TOGETHER, INT8_GROUP, INT8_LARGEST, INT8_SMALLEST } from '../src/int8-format';
import { draw, word0, word1, word2, word3 } from './philox';
import { loadSome } from './vectors';

/** See `Routines.toInt8`. */
export function toInt8(from: usize, into: usize, scales: usize, count: i32, first: i32, key0: i32, key1: i32): void {
  while (count > 0) {
    roundGroup(from, into, 0, 0, into, scales, min(count, INT8_GROUP), first, key0, key1, false);
    from += <usize>INT8_GROUP << 2;
    into += INT8_GROUP;
    scales += 4;
    count -= INT8_GROUP;
    first += INT8_GROUP;
  }
}

/** See `Routines.foldInt8`. */
export function foldInt8(
  into: usize,
  scales: usize,
  right: usize,
  rightScales: usize,
  count: i32,
  first: i32,
  key0: i32,
  key1: i32,
): void {
  while (count > 0) {
    const leftScale = load<f32>(scales);
    const group = min(count, INT8_GROUP);
    roundGroup(into, right, leftScale, load<f32>(rightScales), into, scales, group, first, key0, key1, true);
    into += INT8_GROUP;
    scales += 4;
    right += INT8_GROUP;
    rightScales += 4;
    count -= INT8_GROUP;
    first += INT8_GROUP;
  }
}

/**
 * One group, of floats at `from`, or of sums of codes at `from` and at `right`. Sums are made twice, once to find the
 * largest: that is cheaper than memory to keep them in.
 */
@inline
function roundGroup(
  from: usize,
  right: usize,
  leftScale: f32,
  rightScale: f32,
  into: usize,
  scale: usize,
  count: i32,
  first: i32,
  key0: i32,
  key1: i32,
  adds: bool,
): void {
  const leftBy = f32x4.splat(leftScale);
  const rightBy = f32x4.splat(rightScale);
  const whole = count & ~3;
  let sizes = f32x4.splat(0);
  let i: i32 = 0;
  for (; i < whole; i += 4) sizes = f32x4.max(sizes, f32x4.abs(four(from, right, i, leftBy, rightBy, adds)));
  if (i < count) sizes = f32x4.max(sizes, f32x4.abs(some(from, right, i, count - i, leftBy, rightBy, adds)));
  const largest = max<f32>(
    max<f32>(f32x4.extract_lane(sizes, 0), f32x4.extract_lane(sizes, 1)),
    max<f32>(f32x4.extract_lane(sizes, 2), f32x4.extract_lane(sizes, 3)),
  );
  const codable = largest >= <f32>INT8_SMALLEST && largest < Infinity;
  if (!codable) {
    store<f32>(scale, largest < <f32>INT8_SMALLEST ? <f32>0 : <f32>NaN);
    memory.fill(into, 0, count);
    return;
  }
  const step = largest / <f32>INT8_LARGEST;
  store<f32>(scale, step);
  const by = f32x4.splat(<f32>1 / step);
  for (let begin: i32 = 0; begin < count; begin += INT8_DRAWN_TOGETHER) {
    const counter = i32x4.splat((first + begin) >> 3);
    const none = i32x4.splat(0);
    draw(i32x4.add(counter, i32x4(0, 1, 2, 3)), none, none, none, key0, key1);
    if (count - begin >= INT8_DRAWN_TOGETHER) {
      const a = rounded(four(from, right, begin, leftBy, rightBy, adds), by, lower(word0));
      const b = rounded(four(from, right, begin + 4, leftBy, rightBy, adds), by, lower(word1));
      const c = rounded(four(from, right, begin + 8, leftBy, rightBy, adds), by, lower(word2));
      const d = rounded(four(from, right, begin + 12, leftBy, rightBy, adds), by, lower(word3));
      const e = rounded(four(from, right, begin + 16, leftBy, rightBy, adds), by, upper(word0));
      const f = rounded(four(from, right, begin + 20, leftBy, rightBy, adds), by, upper(word1));
      const g = rounded(four(from, right, begin + 24, leftBy, rightBy, adds), by, upper(word2));
      const h = rounded(four(from, right, begin + 28, leftBy, rightBy, adds), by, upper(word3));
      v128.store(into + begin, sixteen(a, b, c, d));
      v128.store(into + begin, sixteen(e, f, g, h), 16);
    } else {
      for (let at = begin; at < count; at += 4) {
        const word = wordOf((at - begin) >> 2);
        const values = some(from, right, at, count - at, leftBy, rightBy, adds);
        const codes = rounded(values, by, word);
        storeCodes(into + at, sixteen(codes, codes, codes, codes), count - at);
      }
    }
  }
}

/** Values at `i` to `i + 3`. */
@inline
function four(from: usize, right: usize, i: i32, leftBy: v128, rightBy: v128, adds: bool): v128 {
  if (!adds) return v128.load(from + (<usize>i << 2));
  const left = widened(v128.load32_zero(from + <usize>i));
  const other = widened(v128.load32_zero(right + <usize>i));
  return f32x4.add(f32x4.mul(leftBy, left), f32x4.mul(rightBy, other));
}

/** The first `left` of them, at most four; zeros behind. */
@inline
function some(from: usize, right: usize, i: i32, left: i32, leftBy: v128, rightBy: v128, adds: bool): v128 {
  if (left >= 4) return four(from, right, i, leftBy, rightBy, adds);
  if (!adds) return loadSome(from + (<usize>i << 2), left);
  const own = widened(loadCodes(from + <usize>i, left));
  const other = widened(loadCodes(right + <usize>i, left));
  return f32x4.add(f32x4.mul(leftBy, own), f32x4.mul(rightBy, other));
}

/** The four int8 in the first lane as floats. */
@inline
function widened(codes: v128): v128 {
  return f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(codes)));
}

@inline
function loadCodes(address: usize, count: i32): v128 {
  let codes = i8x16.splat(0);
  codes = v128.load_lane<i8>(address, codes, 0);
  if (count > 1) codes = v128.load_lane<i8>(address, codes, 1, 1);
  if (count > 2) codes = v128.load_lane<i8>(address, codes, 2, 2);
  return codes;
}

@inline
function storeCodes(address: usize, codes: v128, count: i32): void {
  v128.store_lane<i8>(address, codes, 0);
  if (count > 1) v128.store_lane<i8>(address, codes, 1, 1);
  if (count > 2) v128.store_lane<i8>(address, codes, 2, 2);
  if (count > 3) v128.store_lane<i8>(address, codes, 3, 3);
}

/** The draws of four values: lower halves of the words first, then the upper ones. */
function wordOf(four: i32): v128 {
  const index = four & 3;
  const word = index == 0 ? word0 : index == 1 ? word1 : index == 2 ? word2 : word3;
  return four < 4 ? lower(word) : upper(word);
}

@inline
function lower(words: v128): v128 {
  return v128.and(words, i32x4.splat(0xffff));
}

@inline
function upper(words: v128): v128 {
  return i32x4.shr_u(words, 16);
}

/** ⌊x · by + (draw + ½) / 2^16⌋ */
@inline
function rounded(values: v128, by: v128, draws: v128): v128 {
  const share = f32x4.add(f32x4.mul(f32x4.convert_i32x4_s(draws), f32x4.splat(1.52587890625e-5)), f32x4.splat(7.62939453125e-6));
  return i32x4.trunc_sat_f32x4_s(f32x4.floor(f32x4.add(f32x4.mul(values, by), share)));
}

/** Within -127..127: narrowing sees to the upper end. */
@inline
function sixteen(a: v128, b: v128, c: v128, d: v128): v128 {
  const codes = i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d));
  return i8x16.max_s(codes, i8x16.splat(-127));
}

/** See `Routines.fromInt8`. */
export function fromInt8(codes: usize, scales: usize, into: usize, count: i32): void {
  while (count > 0) {
    const group = min(count, INT8_GROUP);
    const scale = load<f32>(scales);
    const by = f32x4.splat(scale);
    const whole = group & ~3;
    let i: i32 = 0;
    for (; i < whole; i += 4) {
      v128.store(into + (<usize>i << 2), f32x4.mul(by, widened(v128.load32_zero(codes + <usize>i))));
    }
    for (; i < group; i++) store<f32>(into + (<usize>i << 2), scale * <f32>load<i8>(codes + <usize>i));
    codes += INT8_GROUP;
    scales += 4;
    into += <usize>INT8_GROUP << 2;
    count -= INT8_GROUP;
  }
}
