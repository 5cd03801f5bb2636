/** float32 to int8 with a scale a group, and back. */
import { INT8_GROUP, INT8_LARGEST, INT8_SMALLEST } from '../src/int8-format';

/** See `Routines.toInt8`. */
export function toInt8(from: usize, into: usize, scales: usize, count: i32): void {
  while (count > 0) {
    const group = min(count, INT8_GROUP);
    groupToInt8(from, into, scales, group);
    from += <usize>INT8_GROUP << 2;
    into += INT8_GROUP;
    scales += 4;
    count -= INT8_GROUP;
  }
}

function groupToInt8(from: usize, into: usize, scale: usize, count: i32): void {
  const largest = largestSize(from, count);
  const codable = largest >= <f32>INT8_SMALLEST && largest < Infinity;
  if (!codable) {
    store<f32>(scale, largest < <f32>INT8_SMALLEST ? <f32>0 : <f32>NaN);
    memory.fill(into, 0, count);
    return;
  }
  const step = largest / <f32>INT8_LARGEST;
  store<f32>(scale, step);
  const perStep = <f32>1 / step;
  const by = f32x4.splat(perStep);
  const end = from + ((<usize>count & ~15) << 2);
  while (from < end) {
    const low = i16x8.narrow_i32x4_s(codes(v128.load(from), by), codes(v128.load(from, 16), by));
    const high = i16x8.narrow_i32x4_s(codes(v128.load(from, 32), by), codes(v128.load(from, 48), by));
    v128.store(into, i8x16.narrow_i16x8_s(low, high));
    from += 64;
    into += 16;
  }
  for (let rest = count & 15; rest > 0; rest--) {
    store<i8>(into, <i8>(<i32>nearest<f32>(load<f32>(from) * perStep)));
    from += 4;
    into++;
  }
}

@inline
function codes(values: v128, by: v128): v128 {
  return i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(values, by)));
}

/** The largest absolute value; NaN if there is one. */
function largestSize(from: usize, count: i32): f32 {
  let first = f32x4.splat(0);
  let second = first;
  const end = from + ((<usize>count & ~7) << 2);
  while (from < end) {
    first = f32x4.max(first, f32x4.abs(v128.load(from)));
    second = f32x4.max(second, f32x4.abs(v128.load(from, 16)));
    from += 32;
  }
  const both = f32x4.max(first, second);
  let largest = max<f32>(
    max<f32>(f32x4.extract_lane(both, 0), f32x4.extract_lane(both, 1)),
    max<f32>(f32x4.extract_lane(both, 2), f32x4.extract_lane(both, 3)),
  );
  for (let rest = count & 7; rest > 0; rest--) {
    largest = max<f32>(largest, abs<f32>(load<f32>(from)));
    from += 4;
  }
  return largest;
}

/** See `Routines.foldInt8`. */
export function foldInt8(into: usize, codes: usize, scales: usize, count: i32): void {
  while (count > 0) {
    foldGroup(into, codes, load<f32>(scales), min(count, INT8_GROUP));
    into += <usize>INT8_GROUP << 2;
    codes += INT8_GROUP;
    scales += 4;
    count -= INT8_GROUP;
  }
}

function foldGroup(into: usize, codes: usize, scale: f32, count: i32): void {
  const by = f32x4.splat(scale);
  const end = into + ((<usize>count & ~15) << 2);
  while (into < end) {
    const sixteen = v128.load(codes);
    const low = i16x8.extend_low_i8x16_s(sixteen);
    const high = i16x8.extend_high_i8x16_s(sixteen);
    addScaled(into, i32x4.extend_low_i16x8_s(low), by);
    addScaled(into + 16, i32x4.extend_high_i16x8_s(low), by);
    addScaled(into + 32, i32x4.extend_low_i16x8_s(high), by);
    addScaled(into + 48, i32x4.extend_high_i16x8_s(high), by);
    into += 64;
    codes += 16;
  }
  for (let rest = count & 15; rest > 0; rest--) {
    store<f32>(into, load<f32>(into) + scale * <f32>load<i8>(codes));
    into += 4;
    codes++;
  }
}

@inline
function addScaled(into: usize, four: v128, by: v128): void {
  v128.store(into, f32x4.add(v128.load(into), f32x4.mul(by, f32x4.convert_i32x4_s(four))));
}
