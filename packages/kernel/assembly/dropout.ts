/** Dropout with masks that are drawn where they are needed. */
import { draw, word0, word1, word2, word3 } from './philox';
import { loadSome, storeSome } from './vectors';

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
      const c0 = i32x4.add(i32x4(0, 1, 2, 3), i32x4.splat(unit >> 2));
      draw(c0, i32x4.splat(<i32>sample), i32x4.splat(<i32>(sample >> 32)), i32x4.splat(0), key0, key1);
      const left = width - unit;
      if (left >= 16) {
        v128.store(into, kept(v128.load(from), word0, least, scale));
        v128.store(into, kept(v128.load(from, 16), word1, least, scale), 16);
        v128.store(into, kept(v128.load(from, 32), word2, least, scale), 32);
        v128.store(into, kept(v128.load(from, 48), word3, least, scale), 48);
        from += 64;
        into += 64;
      } else {
        keepSome(from, into, left, word0, least, scale);
        if (left > 4) keepSome(from + 16, into + 16, left - 4, word1, least, scale);
        if (left > 8) keepSome(from + 32, into + 32, left - 8, word2, least, scale);
        if (left > 12) keepSome(from + 48, into + 48, left - 12, word3, least, scale);
        from += <usize>left << 2;
        into += <usize>left << 2;
      }
    }
  }
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
