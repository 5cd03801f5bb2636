/** float32 to bfloat16 and back, eight at a time. bfloat16 is the upper half of a float32. */

/** See `Routines.toBfloat16`. */
export function toBfloat16(from: usize, into: usize, count: i32): void {
  const end = from + ((<usize>count & ~7) << 2);
  while (from < end) {
    // Both halves are whole numbers below 2^16, which narrowing leaves as they are.
    v128.store(into, i16x8.narrow_i32x4_u(upperHalves(v128.load(from)), upperHalves(v128.load(from, 16))));
    from += 32;
    into += 16;
  }
  for (let rest = count & 7; rest > 0; rest--) {
    v128.store_lane<u16>(into, upperHalves(v128.load32_zero(from)), 0);
    from += 4;
    into += 2;
  }
}

/** Rounds to nearest, ties to even, by adding half of what is cut off less the tie; a NaN gets its quiet bit instead. */
@inline
function upperHalves(bits: v128): v128 {
  const odd = v128.and(i32x4.shr_u(bits, 16), i32x4.splat(1));
  const rounded = i32x4.add(bits, i32x4.add(odd, i32x4.splat(0x7fff)));
  const quiet = v128.or(bits, i32x4.splat(0x400000));
  return i32x4.shr_u(v128.bitselect(quiet, rounded, f32x4.ne(bits, bits)), 16);
}

/** See `Routines.roundToBfloat16`. */
export function roundToBfloat16(from: usize, into: usize, count: i32): void {
  const end = from + ((<usize>count & ~3) << 2);
  while (from < end) {
    v128.store(into, i32x4.shl(upperHalves(v128.load(from)), 16));
    from += 16;
    into += 16;
  }
  for (let rest = count & 3; rest > 0; rest--) {
    v128.store_lane<u32>(into, i32x4.shl(upperHalves(v128.load32_zero(from)), 16), 0);
    from += 4;
    into += 4;
  }
}

/** See `Routines.fromBfloat16`. */
export function fromBfloat16(from: usize, into: usize, count: i32): void {
  const end = from + ((<usize>count & ~7) << 1);
  while (from < end) {
    const halves = v128.load(from);
    v128.store(into, lowFloats(halves));
    v128.store(into, highFloats(halves), 16);
    from += 16;
    into += 32;
  }
  for (let rest = count & 7; rest > 0; rest--) {
    store<u32>(into, <u32>load<u16>(from) << 16);
    from += 2;
    into += 4;
  }
}

/** See `Routines.foldBfloat16`. */
export function foldBfloat16(into: usize, right: usize, count: i32): void {
  const end = into + ((<usize>count & ~7) << 1);
  while (into < end) {
    const left = v128.load(into);
    const other = v128.load(right);
    const low = f32x4.add(lowFloats(left), lowFloats(other));
    const high = f32x4.add(highFloats(left), highFloats(other));
    v128.store(into, i16x8.narrow_i32x4_u(upperHalves(low), upperHalves(high)));
    into += 16;
    right += 16;
  }
  for (let rest = count & 7; rest > 0; rest--) {
    const left = i32x4.splat(<i32>load<u16>(into) << 16);
    const other = i32x4.splat(<i32>load<u16>(right) << 16);
    v128.store_lane<u16>(into, upperHalves(f32x4.add(left, other)), 0);
    into += 2;
    right += 2;
  }
}

@inline
function lowFloats(halves: v128): v128 {
  return i32x4.shl(i32x4.extend_low_i16x8_u(halves), 16);
}

@inline
function highFloats(halves: v128): v128 {
  return i32x4.shl(i32x4.extend_high_i16x8_u(halves), 16);
}
