/** Philox4x32-10 (`src/philox.ts`) on four counters side by side, one a lane. */

const NUM_ROUNDS = 10;
const MULTIPLIER_0: i32 = 0xd2511f53;
const MULTIPLIER_1: i32 = 0xcd9e8d57;
const WEYL_0: i32 = 0x9e3779b9;
const WEYL_1: i32 = 0xbb67ae85;

/** What `draw` drew: the first word of each of the four counters, their second words, and so on. */
export let word0: v128 = i32x4.splat(0);
export let word1: v128 = i32x4.splat(0);
export let word2: v128 = i32x4.splat(0);
export let word3: v128 = i32x4.splat(0);

/** Sets `word0` to `word3`: an instance serves one thread, and globals are its own. */
@inline
export function draw(c0: v128, c1: v128, c2: v128, c3: v128, k0: i32, k1: i32): void {
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
  word0 = c0;
  word1 = c1;
  word2 = c2;
  word3 = c3;
}

/** Upper 32 bits of the 64-bit products of four pairs of words. */
@inline
function upperHalves(a: v128, b: v128): v128 {
  return v128.shuffle<i32>(i64x2.extmul_low_i32x4_u(a, b), i64x2.extmul_high_i32x4_u(a, b), 1, 3, 5, 7);
}
