import type { MemoryViews } from '../linear-memory.js';
import { laneSum } from './lanes.js';

const { fround } = Math;

/** `Routines.layerNorm`. Source: Ba, Kiros and Hinton, "Layer Normalization", 2016. */
export function layerNorm(
  { floats }: MemoryViews,
  from: number,
  into: number,
  rows: number,
  width: number,
  weight: number,
  bias: number,
  epsilon: number,
  statistics: number,
): void {
  const floor = fround(epsilon);
  for (let row = 0; row < rows; row++) {
    const x = floats.subarray(from / 4 + row * width, from / 4 + (row + 1) * width);
    const mean = fround(laneSum(width, (j) => x[j]!) / width);
    const squares = laneSum(width, (j) => {
      const difference = fround(x[j]! - mean);
      return fround(difference * difference);
    });
    const scale = fround(1 / fround(Math.sqrt(fround(fround(squares / width) + floor))));
    for (let j = 0; j < width; j++) {
      const normal = fround(fround(x[j]! - mean) * scale);
      floats[into / 4 + row * width + j] = fround(normal * floats[weight / 4 + j]!) + floats[bias / 4 + j]!;
    }
    floats[statistics / 4 + 2 * row] = mean;
    floats[statistics / 4 + 2 * row + 1] = scale;
  }
}

/** `Routines.layerNormBackward`. */
export function layerNormBackward(
  { floats }: MemoryViews,
  gradient: number,
  input: number,
  rows: number,
  width: number,
  weight: number,
  statistics: number,
  weightGradient: number,
  biasGradient: number,
): void {
  const w = floats.subarray(weight / 4, weight / 4 + width);
  const weightSums = floats.subarray(weightGradient / 4, weightGradient / 4 + width).fill(0);
  const biasSums = floats.subarray(biasGradient / 4, biasGradient / 4 + width).fill(0);
  for (let row = 0; row < rows; row++) {
    const g = floats.subarray(gradient / 4 + row * width, gradient / 4 + (row + 1) * width);
    const x = floats.subarray(input / 4 + row * width, input / 4 + (row + 1) * width);
    const mean = floats[statistics / 4 + 2 * row]!;
    const scale = floats[statistics / 4 + 2 * row + 1]!;
    const normal = (j: number): number => fround(fround(x[j]! - mean) * scale);
    const towards = (j: number): number => fround(g[j]! * w[j]!);
    const meanTowards = fround(laneSum(width, towards) / width);
    const meanAlong = fround(laneSum(width, (j) => fround(towards(j) * normal(j))) / width);
    for (let j = 0; j < width; j++) {
      weightSums[j] = weightSums[j]! + fround(g[j]! * normal(j));
      biasSums[j] = biasSums[j]! + g[j]!;
      const rest = fround(fround(towards(j) - meanTowards) - fround(normal(j) * meanAlong));
      g[j] = rest * scale;
    }
  }
}
