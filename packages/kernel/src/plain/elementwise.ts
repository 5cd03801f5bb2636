/** Folding, scaling and the optimizers: one pass over memory each, element by element. */
import type { MemoryViews } from '../linear-memory.js';

const { fround } = Math;

/** `Routines.fold`. */
export function fold({ floats }: MemoryViews, into: number, right: number, count: number): void {
  const a = into / 4;
  const b = right / 4;
  for (let i = 0; i < count; i++) floats[a + i] = floats[a + i]! + floats[b + i]!;
}

/** `Routines.scale`. */
export function scale({ floats }: MemoryViews, values: number, count: number, factor: number): void {
  const rounded = fround(factor);
  for (let i = values / 4; i < values / 4 + count; i++) floats[i] = floats[i]! * rounded;
}

/** `Routines.squareSum`. */
export function squareSum({ floats }: MemoryViews, values: number, count: number): number {
  const lanes = new Float64Array(4);
  for (let i = 0; i < count; i++) {
    const value = floats[values / 4 + i]!;
    lanes[i % 4] = lanes[i % 4]! + value * value;
  }
  return lanes[0]! + lanes[1]! + (lanes[2]! + lanes[3]!);
}

/** `Routines.sgd`. */
export function sgd({ floats }: MemoryViews, weights: number, gradient: number, count: number, rate: number): void {
  const rounded = fround(rate);
  for (let i = 0; i < count; i++) {
    const w = weights / 4 + i;
    floats[w] = floats[w]! - fround(rounded * floats[gradient / 4 + i]!);
  }
}

/** `Routines.momentum`. */
export function momentum(
  { floats }: MemoryViews,
  weights: number,
  gradient: number,
  velocity: number,
  count: number,
  rate: number,
  decay: number,
  nesterov: number,
): void {
  const roundedRate = fround(rate);
  const roundedDecay = fround(decay);
  for (let i = 0; i < count; i++) {
    const g = floats[gradient / 4 + i]!;
    const v = fround(fround(roundedDecay * floats[velocity / 4 + i]!) + g);
    const direction = nesterov === 0 ? v : fround(g + fround(roundedDecay * v));
    const w = weights / 4 + i;
    floats[velocity / 4 + i] = v;
    floats[w] = floats[w]! - fround(roundedRate * direction);
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
  stepSize: number,
  beta1: number,
  beta2: number,
  secondScale: number,
  epsilon: number,
): void {
  const size = fround(stepSize);
  const keep1 = fround(beta1);
  const take1 = fround(1 - beta1);
  const keep2 = fround(beta2);
  const take2 = fround(1 - beta2);
  const scale2 = fround(secondScale);
  const floor = fround(epsilon);
  for (let i = 0; i < count; i++) {
    const g = floats[gradient / 4 + i]!;
    const m = fround(fround(keep1 * floats[first / 4 + i]!) + fround(take1 * g));
    const v = fround(fround(keep2 * floats[second / 4 + i]!) + fround(fround(take2 * g) * g));
    const divisor = fround(fround(fround(Math.sqrt(v)) * scale2) + floor);
    const w = weights / 4 + i;
    floats[first / 4 + i] = m;
    floats[second / 4 + i] = v;
    floats[w] = floats[w]! - fround(fround(size * m) / divisor);
  }
}
