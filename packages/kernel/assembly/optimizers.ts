/** The optimizer updates: weights, gradient and state are each read once and written once. */
import { loadSome, storeSome } from './vectors';

/** See `Routines.sgd`. */
export function sgd(weights: usize, gradient: usize, count: i32, rate: f64): void {
  const by = f32x4.splat(<f32>rate);
  const end = weights + ((<usize>count & ~3) << 2);
  while (weights < end) {
    v128.store(weights, f32x4.sub(v128.load(weights), f32x4.mul(by, v128.load(gradient))));
    weights += 16;
    gradient += 16;
  }
  const rest = count & 3;
  if (rest == 0) return;
  storeSome(weights, f32x4.sub(loadSome(weights, rest), f32x4.mul(by, loadSome(gradient, rest))), rest);
}

/** See `Routines.momentum`. */
export function momentum(
  weights: usize,
  gradient: usize,
  velocity: usize,
  count: i32,
  rate: f64,
  decay: f64,
  nesterov: i32,
): void {
  const by = f32x4.splat(<f32>rate);
  const keep = f32x4.splat(<f32>decay);
  const end = weights + ((<usize>count & ~3) << 2);
  while (weights < end) {
    const g = v128.load(gradient);
    const v = f32x4.add(f32x4.mul(keep, v128.load(velocity)), g);
    const direction = nesterov == 0 ? v : f32x4.add(g, f32x4.mul(keep, v));
    v128.store(velocity, v);
    v128.store(weights, f32x4.sub(v128.load(weights), f32x4.mul(by, direction)));
    weights += 16;
    gradient += 16;
    velocity += 16;
  }
  const rest = count & 3;
  if (rest == 0) return;
  const g = loadSome(gradient, rest);
  const v = f32x4.add(f32x4.mul(keep, loadSome(velocity, rest)), g);
  const direction = nesterov == 0 ? v : f32x4.add(g, f32x4.mul(keep, v));
  storeSome(velocity, v, rest);
  storeSome(weights, f32x4.sub(loadSome(weights, rest), f32x4.mul(by, direction)), rest);
}

/** See `Routines.adam`. */
export function adam(
  weights: usize,
  gradient: usize,
  first: usize,
  second: usize,
  count: i32,
  stepSize: f64,
  beta1: f64,
  beta2: f64,
  secondScale: f64,
  epsilon: f64,
): void {
  const size = f32x4.splat(<f32>stepSize);
  const keep1 = f32x4.splat(<f32>beta1);
  const take1 = f32x4.splat(<f32>(1 - beta1));
  const keep2 = f32x4.splat(<f32>beta2);
  const take2 = f32x4.splat(<f32>(1 - beta2));
  const scale2 = f32x4.splat(<f32>secondScale);
  const floor = f32x4.splat(<f32>epsilon);
  const end = weights + ((<usize>count & ~3) << 2);
  while (weights < end) {
    const g = v128.load(gradient);
    const m = f32x4.add(f32x4.mul(keep1, v128.load(first)), f32x4.mul(take1, g));
    const v = f32x4.add(f32x4.mul(keep2, v128.load(second)), f32x4.mul(f32x4.mul(take2, g), g));
    const divisor = f32x4.add(f32x4.mul(f32x4.sqrt(v), scale2), floor);
    v128.store(first, m);
    v128.store(second, v);
    v128.store(weights, f32x4.sub(v128.load(weights), f32x4.div(f32x4.mul(size, m), divisor)));
    weights += 16;
    gradient += 16;
    first += 16;
    second += 16;
  }
  const rest = count & 3;
  if (rest == 0) return;
  const g = loadSome(gradient, rest);
  const m = f32x4.add(f32x4.mul(keep1, loadSome(first, rest)), f32x4.mul(take1, g));
  const v = f32x4.add(f32x4.mul(keep2, loadSome(second, rest)), f32x4.mul(f32x4.mul(take2, g), g));
  const divisor = f32x4.add(f32x4.mul(f32x4.sqrt(v), scale2), floor);
  storeSome(first, m, rest);
  storeSome(second, v, rest);
  storeSome(weights, f32x4.sub(loadSome(weights, rest), f32x4.div(f32x4.mul(size, m), divisor)), rest);
}
