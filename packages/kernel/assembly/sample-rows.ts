/** Which samples a micro-batch has, and where their rows go. */
import { loadSome, storeSome } from './vectors';

/** As in `src/sample-permutation.ts`. */
const ORDER_KEYS = 16;
const MULTIPLIER_0: i32 = 0x9e3779b1;
const MULTIPLIER_1: i32 = 0x85ebca77;

/** See `Routines.sampleIndexes`. Four positions side by side; those that have arrived wait for those that have not. */
export function sampleIndexes(keys: usize, bits: i32, samples: i32, first: i32, count: i32, into: usize): void {
  const last = i32x4.splat(samples - 1); // 2^32 samples are 0 in 32 bits
  const rightBits = bits >> 1;
  const leftMask = i32x4.splat((1 << (bits - rightBits)) - 1);
  const rightMask = i32x4.splat((1 << rightBits) - 1);
  for (; count > 0; count -= 4) {
    // Lanes beyond the last position have to begin inside the range too: from outside, not every walk comes back.
    let value = i32x4.min_u(i32x4.add(i32x4(0, 1, 2, 3), i32x4.splat(first)), last);
    let arrived = i32x4.splat(0);
    do {
      let left = i32x4.shr_u(value, rightBits);
      let right = v128.and(value, rightMask);
      for (let key = keys; key < keys + (ORDER_KEYS << 2); key += 16) {
        left = v128.xor(left, v128.and(mix(right, key), leftMask));
        right = v128.xor(right, v128.and(mix(left, key + 8), rightMask));
      }
      const next = v128.or(i32x4.shl(left, rightBits), right);
      value = v128.bitselect(value, next, arrived);
      arrived = i32x4.le_u(value, last);
    } while (!i32x4.all_true(arrived));
    if (count >= 4) v128.store(into, value);
    else storeSome(into, value, count);
    first += 4;
    into += 16;
  }
}

/** Keyed hash of four halves, under the two key words at `key`. */
@inline
function mix(half: v128, key: usize): v128 {
  let hash = i32x4.mul(v128.xor(half, v128.load32_splat(key)), i32x4.splat(MULTIPLIER_0));
  hash = v128.xor(hash, i32x4.shr_u(hash, 15));
  hash = i32x4.mul(v128.xor(hash, v128.load32_splat(key, 4)), i32x4.splat(MULTIPLIER_1));
  return v128.xor(hash, i32x4.shr_u(hash, 16));
}

/** See `Routines.gatherRows`. */
export function gatherRows(from: usize, width: i32, indexes: usize, count: i32, into: usize): void {
  if (width >= 4) gatherWide(from, <usize>width << 2, indexes, count, into);
  else if (width == 1) gatherSingle(from, indexes, count, into);
  else gatherNarrow(from, width, indexes, count, into);
}

function gatherSingle(from: usize, indexes: usize, count: i32, into: usize): void {
  for (; count > 0; count--) {
    store<i32>(into, load<i32>(from + (<usize>load<u32>(indexes) << 2)));
    indexes += 4;
    into += 4;
  }
}

function gatherNarrow(from: usize, width: i32, indexes: usize, count: i32, into: usize): void {
  const bytes = <usize>width << 2;
  for (; count > 0; count--) {
    storeSome(into, loadSome(from + <usize>load<u32>(indexes) * bytes, width), width);
    indexes += 4;
    into += bytes;
  }
}

/**
 * Four rows side by side: rows lie anywhere, and the processor waits for four of them at a time instead of one (rows of
 * 100 floats in 400 MB: 99 instead of 123 ns each; of 784 in 188 MB: 390 instead of 620).
 */
function gatherWide(from: usize, bytes: usize, indexes: usize, count: i32, into: usize): void {
  for (; count >= 4; count -= 4) {
    const row0 = from + <usize>load<u32>(indexes) * bytes;
    const row1 = from + <usize>load<u32>(indexes, 4) * bytes;
    const row2 = from + <usize>load<u32>(indexes, 8) * bytes;
    const row3 = from + <usize>load<u32>(indexes, 12) * bytes;
    for (let offset: usize = 0; offset + 16 <= bytes; offset += 16) {
      copyFour(row0 + offset, row1 + offset, row2 + offset, row3 + offset, bytes, into + offset);
    }
    const last = bytes - 16; // may overlap the vector before
    if (bytes & 15) copyFour(row0 + last, row1 + last, row2 + last, row3 + last, bytes, into + last);
    indexes += 16;
    into += bytes << 2;
  }
  for (; count > 0; count--) {
    memory.copy(into, from + <usize>load<u32>(indexes) * bytes, bytes);
    indexes += 4;
    into += bytes;
  }
}

/** One vector of each of four rows, to places `bytes` apart. */
@inline
function copyFour(row0: usize, row1: usize, row2: usize, row3: usize, bytes: usize, into: usize): void {
  const vector0 = v128.load(row0);
  const vector1 = v128.load(row1);
  const vector2 = v128.load(row2);
  const vector3 = v128.load(row3);
  v128.store(into, vector0);
  v128.store(into + bytes, vector1);
  v128.store(into + 2 * bytes, vector2);
  v128.store(into + 3 * bytes, vector3);
}
