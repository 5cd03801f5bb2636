/**
 * Dropout with masks that are drawn where they are needed: Philox4x32-10 (`src/philox.ts`) on four counters side by side,
 * one a lane.
 *
 * Legend: c0..c3 the words of the four counters, k0 and k1 those of their key.
 */
import { loadSome, storeSome } from './vectors';

/** As in `src/philox.ts`. */
const NUM_ROUNDS = 10;
const MULTIPLIER_0: i32 = 0xd2511f53;
const MULTIPLIER_1: i32 = 0xcd9e8d57;
const WEYL_0: i32 = 0x9e3779b9;
const WEYL_1: i32 = 0xbb67ae85;

/** See `Routines.dropout`. */
export function dropout(
  from: usize,
  into: usize,
  rows: i32,
  width: i32,
  position: f64,
  key0: i32,
  key1: i32,
  threshold: i32,
  factor: f32,
): void {
  const least = i32x4.splat(threshold);
  const scale = f32x4.splat(factor);
  for (let row = 0; row < rows; row++) {
    const sample = <u64>position + <u64>row;
    for (let unit = 0; unit < width; unit += 16) {
      let c0 = i32x4.add(i32x4(0, 1, 2, 3), i32x4.splat(unit >> 2));
      let c1 = i32x4.splat(<i32>sample);
      let c2 = i32x4.splat(<i32>(sample >> 32));
      let c3 = i32x4.splat(0);
      let k0 = key0;
      let k1 = key1;
      for (let round = 0; round < NUM_ROUNDS; round++) {
        const multiplier0 = i32x4.splat(MULTIPLIER_0);
        const multiplier1 = i32x4.splat(MULTIPLIER_1);
        const nextC0 = v128.xor(v128.xor(upperHalves(c2, multiplier1), c1), i32x4.splat(k0));
        const nextC2 = v128.xor(v128.xor(upperHalves(c0, multiplier0), c3), i32x4.splat(k1));
        c1 = i32x4.mul(c2, multiplier1);
        c3 = i32x4.mul(c0, multiplier0);
        c0 = nextC0;
        c2 = nextC2;
        k0 += WEYL_0;
        k1 += WEYL_1;
      }
      const left = width - unit;
      if (left >= 16) {
        v128.store(into, kept(v128.load(from), c0, least, scale));
        v128.store(into, kept(v128.load(from, 16), c1, least, scale), 16);
        v128.store(into, kept(v128.load(from, 32), c2, least, scale), 32);
        v128.store(into, kept(v128.load(from, 48), c3, least, scale), 48);
        from += 64;
        into += 64;
      } else {
        keepSome(from, into, left, c0, least, scale);
        if (left > 4) keepSome(from + 16, into + 16, left - 4, c1, least, scale);
        if (left > 8) keepSome(from + 32, into + 32, left - 8, c2, least, scale);
        if (left > 12) keepSome(from + 48, into + 48, left - 12, c3, least, scale);
        from += <usize>left << 2;
        into += <usize>left << 2;
      }
    }
  }
}

/** Upper 32 bits of the 64-bit products of four pairs of words. */
@inline
function upperHalves(a: v128, b: v128): v128 {
  return v128.shuffle<i32>(i64x2.extmul_low_i32x4_u(a, b), i64x2.extmul_high_i32x4_u(a, b), 1, 3, 5, 7);
}

@inline
function kept(x: v128, word: v128, least: v128, scale: v128): v128 {
  return v128.and(f32x4.mul(x, scale), i32x4.ge_u(word, least));
}

/** The first `count` floats, at most four. */
@inline
function keepSome(from: usize, into: usize, count: i32, word: v128, least: v128, scale: v128): void {
  if (count >= 4) v128.store(into, kept(v128.load(from), word, least, scale));
  else storeSome(into, kept(loadSome(from, count), word, least, scale), count);
}
