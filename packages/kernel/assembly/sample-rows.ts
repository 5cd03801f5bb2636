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
  const bytes = <usize>width << 2;
  if (width == 1) {
    for (const end = indexes + (<usize>count << 2); indexes < end; indexes += 4) {
      store<i32>(into, load<i32>(from + (<usize>load<u32>(indexes) << 2)));
      into += 4;
    }
    return;
  }
  for (const end = indexes + (<usize>count << 2); indexes < end; indexes += 4) {
    const row = from + <usize>load<u32>(indexes) * bytes;
    if (width < 4) storeSome(into, loadSome(row, width), width);
    else copyVectors(row, bytes, into);
    into += bytes;
  }
}

/** At least one vector; the last one may overlap the one before. */
@inline
function copyVectors(from: usize, bytes: usize, into: usize): void {
  let offset: usize = 0;
  for (; offset + 64 <= bytes; offset += 64) {
    v128.store(into + offset, v128.load(from + offset));
    v128.store(into + offset, v128.load(from + offset, 16), 16);
    v128.store(into + offset, v128.load(from + offset, 32), 32);
    v128.store(into + offset, v128.load(from + offset, 48), 48);
  }
  for (; offset + 16 <= bytes; offset += 16) v128.store(into + offset, v128.load(from + offset));
  if (offset < bytes) v128.store(into + bytes - 16, v128.load(from + bytes - 16));
}
