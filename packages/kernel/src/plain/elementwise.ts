/** Folding, scaling and square sums, element by element. */
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

/** `Routines.scaleSquareSum`. */
export function scaleSquareSum(views: MemoryViews, values: number, count: number, factor: number): number {
  scale(views, values, count, factor);
  return squareSum(views, values, count);
}
