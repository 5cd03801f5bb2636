/**
 * The optimizer updates: weights, gradient and state are each read once and written once. Every routine is one function
 * of four numbers at a time, called with `count` 4 in the loop and with what is left over at the end.
 */
import { loadSome, storeSome } from './vectors';

/** See `Routines.sgd`. */
export function sgd(weights: usize, gradient: usize, count: i32, factor: f64, l2: f64, rate: f64): void {
  const by = splat(factor);
  const pull = splat(l2);
  const pulls = l2 != 0;
  const size = splat(rate);
  const end = weights + ((<usize>count & ~3) << 2);
  while (weights < end) {
    sgdFour(weights, gradient, 4, by, pull, pulls, size);
    weights += 16;
    gradient += 16;
  }
  if ((count & 3) != 0) sgdFour(weights, gradient, count & 3, by, pull, pulls, size);
}

@inline
function sgdFour(weights: usize, gradient: usize, count: i32, by: v128, pull: v128, pulls: bool, size: v128): void {
  const w = load4(weights, count);
  const g = seen(load4(gradient, count), w, by, pull, pulls);
  store4(weights, f32x4.sub(w, f32x4.mul(size, g)), count);
}

/** See `Routines.momentum`. */
export function momentum(
  weights: usize,
  gradient: usize,
  velocity: usize,
  count: i32,
  factor: f64,
  l2: f64,
  rate: f64,
  decay: f64,
  nesterov: i32,
): void {
  const by = splat(factor);
  const pull = splat(l2);
  const pulls = l2 != 0;
  const size = splat(rate);
  const keep = splat(decay);
  const end = weights + ((<usize>count & ~3) << 2);
  while (weights < end) {
    momentumFour(weights, gradient, velocity, 4, by, pull, pulls, size, keep, nesterov);
    weights += 16;
    gradient += 16;
    velocity += 16;
  }
  if ((count & 3) != 0) momentumFour(weights, gradient, velocity, count & 3, by, pull, pulls, size, keep, nesterov);
}

@inline
function momentumFour(
  weights: usize,
  gradient: usize,
  velocity: usize,
  count: i32,
  by: v128,
  pull: v128,
  pulls: bool,
  size: v128,
  keep: v128,
  nesterov: i32,
): void {
  const w = load4(weights, count);
  const g = seen(load4(gradient, count), w, by, pull, pulls);
  const v = f32x4.add(f32x4.mul(keep, load4(velocity, count)), g);
  const direction = nesterov == 0 ? v : f32x4.add(g, f32x4.mul(keep, v));
  store4(velocity, v, count);
  store4(weights, f32x4.sub(w, f32x4.mul(size, direction)), count);
}

/** See `Routines.adagrad`. */
export function adagrad(
  weights: usize,
  gradient: usize,
  squares: usize,
  count: i32,
  factor: f64,
  l2: f64,
  rate: f64,
  epsilon: f64,
): void {
  const by = splat(factor);
  const pull = splat(l2);
  const pulls = l2 != 0;
  const size = splat(rate);
  const floor = splat(epsilon);
  const end = weights + ((<usize>count & ~3) << 2);
  while (weights < end) {
    adagradFour(weights, gradient, squares, 4, by, pull, pulls, size, floor);
    weights += 16;
    gradient += 16;
    squares += 16;
  }
  if ((count & 3) != 0) adagradFour(weights, gradient, squares, count & 3, by, pull, pulls, size, floor);
}

@inline
function adagradFour(
  weights: usize,
  gradient: usize,
  squares: usize,
  count: i32,
  by: v128,
  pull: v128,
  pulls: bool,
  size: v128,
  floor: v128,
): void {
  const w = load4(weights, count);
  const g = seen(load4(gradient, count), w, by, pull, pulls);
  const s = f32x4.add(load4(squares, count), f32x4.mul(g, g));
  store4(squares, s, count);
  store4(weights, f32x4.sub(w, f32x4.div(f32x4.mul(size, g), f32x4.add(f32x4.sqrt(s), floor))), count);
}

/** See `Routines.rmsprop`. */
export function rmsprop(
  weights: usize,
  gradient: usize,
  second: usize,
  velocity: usize,
  count: i32,
  factor: f64,
  l2: f64,
  rate: f64,
  decay: f64,
  epsilon: f64,
  momentum: f64,
): void {
  const by = splat(factor);
  const pull = splat(l2);
  const pulls = l2 != 0;
  const size = splat(rate);
  const keep2 = splat(decay);
  const take2 = splat(1 - decay);
  const floor = splat(epsilon);
  const keep = splat(momentum);
  const moves = velocity != 0;
  const end = weights + ((<usize>count & ~3) << 2);
  while (weights < end) {
    rmspropFour(weights, gradient, second, velocity, 4, by, pull, pulls, size, keep2, take2, floor, keep, moves);
    weights += 16;
    gradient += 16;
    second += 16;
    velocity += 16;
  }
  const rest = count & 3;
  if (rest == 0) return;
  rmspropFour(weights, gradient, second, velocity, rest, by, pull, pulls, size, keep2, take2, floor, keep, moves);
}

@inline
function rmspropFour(
  weights: usize,
  gradient: usize,
  second: usize,
  velocity: usize,
  count: i32,
  by: v128,
  pull: v128,
  pulls: bool,
  size: v128,
  keep2: v128,
  take2: v128,
  floor: v128,
  keep: v128,
  moves: bool,
): void {
  const w = load4(weights, count);
  const g = seen(load4(gradient, count), w, by, pull, pulls);
  const v = f32x4.add(f32x4.mul(keep2, load4(second, count)), f32x4.mul(f32x4.mul(take2, g), g));
  store4(second, v, count);
  let direction = f32x4.div(g, f32x4.add(f32x4.sqrt(v), floor));
  if (moves) {
    direction = f32x4.add(f32x4.mul(keep, load4(velocity, count)), direction);
    store4(velocity, direction, count);
  }
  store4(weights, f32x4.sub(w, f32x4.mul(size, direction)), count);
}

/** See `Routines.adam`. */
export function adam(
  weights: usize,
  gradient: usize,
  first: usize,
  second: usize,
  count: i32,
  factor: f64,
  l2: f64,
  kept: f64,
  stepSize: f64,
  beta1: f64,
  beta2: f64,
  secondScale: f64,
  epsilon: f64,
): void {
  const by = splat(factor);
  const pull = splat(l2);
  const pulls = l2 != 0;
  const stay = splat(kept);
  const size = splat(stepSize);
  const keep1 = splat(beta1);
  const take1 = splat(1 - beta1);
  const keep2 = splat(beta2);
  const take2 = splat(1 - beta2);
  const scale2 = splat(secondScale);
  const floor = splat(epsilon);
  const end = weights + ((<usize>count & ~3) << 2);
  while (weights < end) {
    adamFour(
      weights,
      gradient,
      first,
      second,
      4,
      by,
      pull,
      pulls,
      stay,
      size,
      keep1,
      take1,
      keep2,
      take2,
      scale2,
      floor,
    );
    weights += 16;
    gradient += 16;
    first += 16;
    second += 16;
  }
  const rest = count & 3;
  if (rest == 0) return;
  adamFour(
    weights,
    gradient,
    first,
    second,
    rest,
    by,
    pull,
    pulls,
    stay,
    size,
    keep1,
    take1,
    keep2,
    take2,
    scale2,
    floor,
  );
}

@inline
function adamFour(
  weights: usize,
  gradient: usize,
  first: usize,
  second: usize,
  count: i32,
  by: v128,
  pull: v128,
  pulls: bool,
  stay: v128,
  size: v128,
  keep1: v128,
  take1: v128,
  keep2: v128,
  take2: v128,
  scale2: v128,
  floor: v128,
): void {
  const w = load4(weights, count);
  const g = seen(load4(gradient, count), w, by, pull, pulls);
  const m = f32x4.add(f32x4.mul(keep1, load4(first, count)), f32x4.mul(take1, g));
  const v = f32x4.add(f32x4.mul(keep2, load4(second, count)), f32x4.mul(f32x4.mul(take2, g), g));
  const divisor = f32x4.add(f32x4.mul(f32x4.sqrt(v), scale2), floor);
  store4(first, m, count);
  store4(second, v, count);
  store4(weights, f32x4.sub(f32x4.mul(stay, w), f32x4.div(f32x4.mul(size, m), divisor)), count);
}

/** See `Routines.lambDirection`. */
export function lambDirection(
  weights: usize,
  gradient: usize,
  first: usize,
  second: usize,
  count: i32,
  factor: f64,
  weightDecay: f64,
  firstScale: f64,
  beta1: f64,
  beta2: f64,
  secondScale: f64,
  epsilon: f64,
): void {
  const by = splat(factor);
  const pull = splat(weightDecay);
  const scale1 = splat(firstScale);
  const keep1 = splat(beta1);
  const take1 = splat(1 - beta1);
  const keep2 = splat(beta2);
  const take2 = splat(1 - beta2);
  const scale2 = splat(secondScale);
  const floor = splat(epsilon);
  const end = weights + ((<usize>count & ~3) << 2);
  while (weights < end) {
    lambFour(weights, gradient, first, second, 4, by, pull, scale1, keep1, take1, keep2, take2, scale2, floor);
    weights += 16;
    gradient += 16;
    first += 16;
    second += 16;
  }
  const rest = count & 3;
  if (rest == 0) return;
  lambFour(weights, gradient, first, second, rest, by, pull, scale1, keep1, take1, keep2, take2, scale2, floor);
}

@inline
function lambFour(
  weights: usize,
  gradient: usize,
  first: usize,
  second: usize,
  count: i32,
  by: v128,
  pull: v128,
  scale1: v128,
  keep1: v128,
  take1: v128,
  keep2: v128,
  take2: v128,
  scale2: v128,
  floor: v128,
): void {
  const g = f32x4.mul(load4(gradient, count), by);
  const m = f32x4.add(f32x4.mul(keep1, load4(first, count)), f32x4.mul(take1, g));
  const v = f32x4.add(f32x4.mul(keep2, load4(second, count)), f32x4.mul(f32x4.mul(take2, g), g));
  const ratio = f32x4.div(f32x4.mul(scale1, m), f32x4.add(f32x4.mul(f32x4.sqrt(v), scale2), floor));
  store4(first, m, count);
  store4(second, v, count);
  store4(gradient, f32x4.add(ratio, f32x4.mul(pull, load4(weights, count))), count);
}

/** The gradient as an optimizer sees it: clipped, and with the pull of L2 if there is any. */
@inline
function seen(gradient: v128, weights: v128, by: v128, pull: v128, pulls: bool): v128 {
  const g = f32x4.mul(gradient, by);
  return pulls ? f32x4.add(g, f32x4.mul(pull, weights)) : g;
}

@inline
function splat(value: f64): v128 {
  return f32x4.splat(<f32>value);
}

/** `count` is a constant 4 where it matters, so that nothing is asked in the loop. */
@inline
function load4(address: usize, count: i32): v128 {
  return count == 4 ? v128.load(address) : loadSome(address, count);
}

@inline
function store4(address: usize, vector: v128, count: i32): void {
  if (count == 4) v128.store(address, vector);
  else storeSome(address, vector, count);
}
