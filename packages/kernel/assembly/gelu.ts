/** gelu(x) = x · Φ(x) and its way back, which needs x itself. */
import { NORMAL_PEAK } from '../src/coefficients';
import { bell, normalCumulative } from './elementary';
import { loadSome, storeSome } from './vectors';

/** See `Routines.gelu`. */
export function gelu(from: usize, into: usize, count: i32): void {
  const end = from + ((<usize>count & ~3) << 2);
  while (from < end) {
    v128.store(into, geluOf(v128.load(from)));
    from += 16;
    into += 16;
  }
  const rest = count & 3;
  if (rest != 0) storeSome(into, geluOf(loadSome(from, rest)), rest);
}

/** See `Routines.geluBackward`. */
export function geluBackward(gradient: usize, input: usize, count: i32): void {
  const end = gradient + ((<usize>count & ~3) << 2);
  while (gradient < end) {
    v128.store(gradient, f32x4.mul(v128.load(gradient), derivative(v128.load(input))));
    gradient += 16;
    input += 16;
  }
  const rest = count & 3;
  if (rest != 0) {
    storeSome(gradient, f32x4.mul(loadSome(gradient, rest), derivative(loadSome(input, rest))), rest);
  }
}

@inline
function geluOf(x: v128): v128 {
  return f32x4.mul(x, normalCumulative(x, bell(x)));
}

/** Φ(x) + x · φ(x). */
@inline
function derivative(x: v128): v128 {
  const e = bell(x);
  return f32x4.add(normalCumulative(x, e), f32x4.mul(f32x4.mul(x, e), f32x4.splat(<f32>NORMAL_PEAK)));
}
