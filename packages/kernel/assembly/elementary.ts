/** The elementary functions of `src/plain/elementary.ts`, four at a time: the same operations in the same order. */
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
} from '../src/coefficients';

/** e^x for x <= 0. */
@inline
export function expOfNonPositive(x: v128): v128 {
  const shifted = f32x4.add(f32x4.mul(x, splat(LOG2_E)), splat(ROUNDING_SHIFT));
  const n = f32x4.sub(shifted, splat(ROUNDING_SHIFT));
  const r = f32x4.sub(f32x4.sub(x, f32x4.mul(n, splat(LN2_HIGH))), f32x4.mul(n, splat(LN2_LOW)));
  let q = f32x4.add(f32x4.mul(splat(EXP_4), r), splat(EXP_3));
  q = f32x4.add(f32x4.mul(q, r), splat(EXP_2));
  q = f32x4.add(f32x4.mul(q, r), splat(EXP_1));
  q = f32x4.add(f32x4.mul(q, r), splat(EXP_0));
  const power = f32x4.add(splat(1), f32x4.add(r, f32x4.mul(f32x4.mul(r, r), q)));
  // The lowest bits of `shifted` are n: moved into the exponent's place and biased, they are 2^n.
  const scale = i32x4.add(i32x4.shl(shifted, 23), i32x4.splat(0x3f800000));
  // Not "keep where x >= ...": a NaN, which compares with nothing, has to stay.
  return v128.andnot(f32x4.mul(power, scale), f32x4.lt(x, splat(EXP_UNDERFLOW)));
}

@inline
export function sigmoid(x: v128): v128 {
  const e = expOfNonPositive(f32x4.neg(f32x4.abs(x)));
  const one = splat(1);
  return f32x4.div(v128.bitselect(one, e, f32x4.ge(x, splat(0))), f32x4.add(one, e));
}

@inline
export function tanh(x: v128): v128 {
  const size = f32x4.abs(x);
  const square = f32x4.mul(x, x);
  let p = f32x4.add(f32x4.mul(splat(TANH_4), square), splat(TANH_3));
  p = f32x4.add(f32x4.mul(p, square), splat(TANH_2));
  p = f32x4.add(f32x4.mul(p, square), splat(TANH_1));
  p = f32x4.add(f32x4.mul(p, square), splat(TANH_0));
  const near = f32x4.add(x, f32x4.mul(f32x4.mul(x, square), p));
  const e = expOfNonPositive(f32x4.mul(splat(-2), size));
  const one = splat(1);
  const far = f32x4.sub(one, f32x4.div(f32x4.mul(splat(2), e), f32x4.add(one, e)));
  const signed = v128.bitselect(x, far, i32x4.splat(0x80000000));
  return v128.bitselect(near, signed, f32x4.lt(size, splat(TANH_POLYNOMIAL_END)));
}

/** e^(-x²/2). */
@inline
export function bell(x: v128): v128 {
  return expOfNonPositive(f32x4.mul(f32x4.mul(x, x), splat(-0.5)));
}

/** Φ(x), the share of a normal distribution below x; `e` is bell(x). */
@inline
export function normalCumulative(x: v128, e: v128): v128 {
  const one = splat(1);
  const t = f32x4.div(one, f32x4.add(one, f32x4.mul(splat(NORMAL_T), f32x4.abs(x))));
  let p = f32x4.add(f32x4.mul(splat(NORMAL_7), t), splat(NORMAL_6));
  p = f32x4.add(f32x4.mul(p, t), splat(NORMAL_5));
  p = f32x4.add(f32x4.mul(p, t), splat(NORMAL_4));
  p = f32x4.add(f32x4.mul(p, t), splat(NORMAL_3));
  p = f32x4.add(f32x4.mul(p, t), splat(NORMAL_2));
  p = f32x4.add(f32x4.mul(p, t), splat(NORMAL_1));
  p = f32x4.add(f32x4.mul(p, t), splat(NORMAL_0));
  const tail = f32x4.mul(f32x4.mul(p, t), e);
  return v128.bitselect(tail, f32x4.sub(one, tail), f32x4.lt(x, splat(0)));
}

/** Natural logarithm in double for x in [1, 2^53). */
export function log64(x: f64): f64 {
  let n: f64 = 0;
  let m = x;
  while (m >= Math.SQRT2) {
    m *= 0.5;
    n += 1;
  }
  const s = (m - 1) / (m + 1);
  const square = s * s;
  let series: f64 = 1.0 / 21.0;
  for (let odd: f64 = 19; odd >= 1; odd -= 2) series = series * square + 1 / odd;
  return n * Math.LN2 + 2 * s * series;
}

@inline
function splat(value: f64): v128 {
  return f32x4.splat(<f32>value);
}
