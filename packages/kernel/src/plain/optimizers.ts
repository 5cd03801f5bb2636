/** The optimizer updates: one pass over memory each, element by element, every operation rounded to float32. */
import type { MemoryViews } from '../linear-memory.js';

const { fround, sqrt } = Math;

/** `Routines.sgd`. */
export function sgd(
  { floats }: MemoryViews,
  weights: number,
  gradient: number,
  count: number,
  factor: number,
  l2: number,
  rate: number,
): void {
  const [by, pull, size] = [fround(factor), fround(l2), fround(rate)];
  for (let i = 0; i < count; i++) {
    const w = floats[weights / 4 + i]!;
    const g = seen(floats[gradient / 4 + i]!, w, by, pull, l2);
    floats[weights / 4 + i] = w - fround(size * g);
  }
}

/** `Routines.momentum`. */
export function momentum(
  { floats }: MemoryViews,
  weights: number,
  gradient: number,
  velocity: number,
  count: number,
  factor: number,
  l2: number,
  rate: number,
  decay: number,
  nesterov: number,
): void {
  const [by, pull, size, keep] = [fround(factor), fround(l2), fround(rate), fround(decay)];
  for (let i = 0; i < count; i++) {
    const w = floats[weights / 4 + i]!;
    const g = seen(floats[gradient / 4 + i]!, w, by, pull, l2);
    const v = fround(fround(keep * floats[velocity / 4 + i]!) + g);
    const direction = nesterov === 0 ? v : fround(g + fround(keep * v));
    floats[velocity / 4 + i] = v;
    floats[weights / 4 + i] = w - fround(size * direction);
  }
}

/** `Routines.adagrad`. */
export function adagrad(
  { floats }: MemoryViews,
  weights: number,
  gradient: number,
  squares: number,
  count: number,
  factor: number,
  l2: number,
  rate: number,
  epsilon: number,
): void {
  const [by, pull, size, floor] = [fround(factor), fround(l2), fround(rate), fround(epsilon)];
  for (let i = 0; i < count; i++) {
    const w = floats[weights / 4 + i]!;
    const g = seen(floats[gradient / 4 + i]!, w, by, pull, l2);
    const s = fround(floats[squares / 4 + i]! + fround(g * g));
    floats[squares / 4 + i] = s;
    floats[weights / 4 + i] = w - fround(fround(size * g) / fround(fround(sqrt(s)) + floor));
  }
}

/** `Routines.rmsprop`. */
export function rmsprop(
  { floats }: MemoryViews,
  weights: number,
  gradient: number,
  second: number,
  velocity: number,
  count: number,
  factor: number,
  l2: number,
  rate: number,
  decay: number,
  epsilon: number,
  momentum: number,
): void {
  const [by, pull, size, floor, keep] = [fround(factor), fround(l2), fround(rate), fround(epsilon), fround(momentum)];
  const [keep2, take2] = [fround(decay), fround(1 - decay)];
  for (let i = 0; i < count; i++) {
    const w = floats[weights / 4 + i]!;
    const g = seen(floats[gradient / 4 + i]!, w, by, pull, l2);
    const v = fround(fround(keep2 * floats[second / 4 + i]!) + fround(fround(take2 * g) * g));
    floats[second / 4 + i] = v;
    let direction = fround(g / fround(fround(sqrt(v)) + floor));
    if (velocity !== 0) {
      direction = fround(fround(keep * floats[velocity / 4 + i]!) + direction);
      floats[velocity / 4 + i] = direction;
    }
    floats[weights / 4 + i] = w - fround(size * direction);
  }
}

/** `Routines.adam`. */
export function adam(
  { floats }: MemoryViews,
  weights: number,
  gradient: number,
  first: number,
  second: number,
  count: number,
  factor: number,
  l2: number,
  kept: number,
  stepSize: number,
  beta1: number,
  beta2: number,
  secondScale: number,
  epsilon: number,
): void {
  const [by, pull, stay, size] = [fround(factor), fround(l2), fround(kept), fround(stepSize)];
  const [keep1, take1, keep2, take2] = [fround(beta1), fround(1 - beta1), fround(beta2), fround(1 - beta2)];
  const [scale2, floor] = [fround(secondScale), fround(epsilon)];
  for (let i = 0; i < count; i++) {
    const w = floats[weights / 4 + i]!;
    const g = seen(floats[gradient / 4 + i]!, w, by, pull, l2);
    const m = fround(fround(keep1 * floats[first / 4 + i]!) + fround(take1 * g));
    const v = fround(fround(keep2 * floats[second / 4 + i]!) + fround(fround(take2 * g) * g));
    const divisor = fround(fround(fround(sqrt(v)) * scale2) + floor);
    floats[first / 4 + i] = m;
    floats[second / 4 + i] = v;
    floats[weights / 4 + i] = fround(stay * w) - fround(fround(size * m) / divisor);
  }
}

/** `Routines.lambDirection`. */
export function lambDirection(
  { floats }: MemoryViews,
  weights: number,
  gradient: number,
  first: number,
  second: number,
  count: number,
  factor: number,
  weightDecay: number,
  firstScale: number,
  beta1: number,
  beta2: number,
  secondScale: number,
  epsilon: number,
): void {
  const [by, pull, scale1, scale2] = [fround(factor), fround(weightDecay), fround(firstScale), fround(secondScale)];
  const [keep1, take1, keep2, take2] = [fround(beta1), fround(1 - beta1), fround(beta2), fround(1 - beta2)];
  const floor = fround(epsilon);
  for (let i = 0; i < count; i++) {
    const g = fround(floats[gradient / 4 + i]! * by);
    const m = fround(fround(keep1 * floats[first / 4 + i]!) + fround(take1 * g));
    const v = fround(fround(keep2 * floats[second / 4 + i]!) + fround(fround(take2 * g) * g));
    const ratio = fround(fround(scale1 * m) / fround(fround(fround(sqrt(v)) * scale2) + floor));
    floats[first / 4 + i] = m;
    floats[second / 4 + i] = v;
    floats[gradient / 4 + i] = ratio + fround(pull * floats[weights / 4 + i]!);
  }
}

/** The gradient as an optimizer sees it: clipped, and with the pull of L2 if there is any. */
function seen(gradient: number, weight: number, by: number, pull: number, l2: number): number {
  const g = fround(gradient * by);
  return l2 === 0 ? g : fround(g + fround(pull * weight));
}
