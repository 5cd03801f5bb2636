import type { MemoryViews } from '../linear-memory.js';
import { expOfNonPositive } from './elementary.js';
import { laneSum } from './lanes.js';

const { fround } = Math;

/** `Routines.softmax`. */
export function softmax({ floats }: MemoryViews, from: number, into: number, rows: number, width: number): void {
  for (let row = 0; row < rows; row++) {
    const z = floats.subarray(from / 4 + row * width, from / 4 + (row + 1) * width);
    const y = floats.subarray(into / 4 + row * width, into / 4 + (row + 1) * width);
    const largest = largestOf(z);
    const total = sumOfExponentials(z, largest);
    for (let j = 0; j < width; j++) y[j] = expOfNonPositive(fround(z[j]! - largest)) / total;
  }
}

/** `Routines.softmaxBackward`. */
export function softmaxBackward(
  { floats }: MemoryViews,
  gradient: number,
  output: number,
  rows: number,
  width: number,
): void {
  for (let row = 0; row < rows; row++) {
    const g = floats.subarray(gradient / 4 + row * width, gradient / 4 + (row + 1) * width);
    const y = floats.subarray(output / 4 + row * width, output / 4 + (row + 1) * width);
    const product = laneSum(width, (j) => fround(g[j]! * y[j]!));
    for (let j = 0; j < width; j++) g[j] = y[j]! * fround(g[j]! - product);
  }
}

/** NaN if any value is. */
export function largestOf(values: Float32Array): number {
  return values.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
}

/** Σ_j e^(z_j - largest) in lanes. */
export function sumOfExponentials(z: Float32Array, largest: number): number {
  return laneSum(z.length, (j) => expOfNonPositive(fround(z[j]! - largest)));
}
