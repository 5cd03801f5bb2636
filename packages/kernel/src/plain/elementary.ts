/** The elementary functions of the kernel in float32 (the logarithm in double), every operation rounded. */
import {
  EXP_0,
  EXP_1,
  EXP_2,
  EXP_3,
  EXP_4,
  EXP_UNDERFLOW,
  LN2_HIGH,
  LN2_LOW,
  LOG2_E,
  NORMAL_0,
  NORMAL_1,
  NORMAL_2,
  NORMAL_3,
  NORMAL_4,
  NORMAL_5,
  NORMAL_6,
  NORMAL_7,
  NORMAL_T,
  ROUNDING_SHIFT,
  TANH_0,
  TANH_1,
  TANH_2,
  TANH_3,
  TANH_4,
  TANH_POLYNOMIAL_END,
} from '../coefficients.js';

const { fround } = Math;

/** 2^-n for n in 0..126, all normal float32. */
const NEGATIVE_POWERS_OF_2 = negativePowersOf2();

/** e^x for x <= 0; 0 below EXP_UNDERFLOW; NaN stays NaN. */
export function expOfNonPositive(x: number): number {
  if (Number.isNaN(x)) return x;
  if (x < EXP_UNDERFLOW) return 0;
  const n = fround(fround(fround(x * LOG2_E) + ROUNDING_SHIFT) - ROUNDING_SHIFT);
  const r = fround(fround(x - fround(n * LN2_HIGH)) - fround(n * LN2_LOW));
  let q = fround(fround(EXP_4 * r) + EXP_3);
  q = fround(fround(q * r) + EXP_2);
  q = fround(fround(q * r) + EXP_1);
  q = fround(fround(q * r) + EXP_0);
  const power = fround(1 + fround(r + fround(fround(r * r) * q)));
  return fround(power * NEGATIVE_POWERS_OF_2[-n]!);
}

/** 1 / (1 + e^-x), from e^-|x| so that neither end overflows or cancels. */
export function sigmoid(x: number): number {
  const e = expOfNonPositive(-Math.abs(x));
  return fround((x >= 0 ? 1 : e) / fround(1 + e));
}

export function tanh(x: number): number {
  const size = Math.abs(x);
  if (size < TANH_POLYNOMIAL_END) {
    const square = fround(x * x);
    let p = fround(fround(TANH_4 * square) + TANH_3);
    p = fround(fround(p * square) + TANH_2);
    p = fround(fround(p * square) + TANH_1);
    p = fround(fround(p * square) + TANH_0);
    return fround(x + fround(fround(x * square) * p));
  }
  const e = expOfNonPositive(fround(-2 * size));
  const value = fround(1 - fround(fround(2 * e) / fround(1 + e)));
  return x < 0 ? -value : value;
}

/** e^(-x²/2). */
export function bell(x: number): number {
  return expOfNonPositive(fround(fround(x * x) * -0.5));
}

/** Φ(x), the share of a normal distribution below x; `e` is bell(x), which its derivative needs as well. */
export function normalCumulative(x: number, e: number): number {
  const t = fround(1 / fround(1 + fround(NORMAL_T * Math.abs(x))));
  let p = fround(fround(NORMAL_7 * t) + NORMAL_6);
  p = fround(fround(p * t) + NORMAL_5);
  p = fround(fround(p * t) + NORMAL_4);
  p = fround(fround(p * t) + NORMAL_3);
  p = fround(fround(p * t) + NORMAL_2);
  p = fround(fround(p * t) + NORMAL_1);
  p = fround(fround(p * t) + NORMAL_0);
  const tail = fround(fround(p * t) * e);
  return x < 0 ? tail : fround(1 - tail);
}

/**
 * Natural logarithm in double for x in [1, 2⁵³): x = 2^n · m with m in [sqrt ½, sqrt 2), and
 * log m = 2 · artanh s = 2·(s + s³/3 + s⁵/5 + …), s = (m - 1) / (m + 1). The series ends below 3e-17.
 */
export function log64(x: number): number {
  let n = 0;
  let m = x;
  while (m >= Math.SQRT2) {
    m *= 0.5;
    n++;
  }
  const s = (m - 1) / (m + 1);
  const square = s * s;
  let series = 1 / 21;
  for (let odd = 19; odd >= 1; odd -= 2) series = series * square + 1 / odd;
  return n * Math.LN2 + 2 * s * series;
}

function negativePowersOf2(): Float32Array {
  const powers = new Float32Array(127);
  for (let n = 0, power = 1; n < powers.length; n++, power /= 2) powers[n] = power;
  return powers;
}
