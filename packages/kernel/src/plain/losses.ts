import type { MemoryViews } from '../linear-memory.js';
import { expOfNonPositive, log64, sigmoid } from './elementary.js';

const { fround } = Math;

/** `Routines.meanSquaredError`. */
export function meanSquaredError(
  { floats, doubles }: MemoryViews,
  predictions: number,
  targets: number,
  rows: number,
  width: number,
  gradient: number,
  sums: number,
): void {
  const slope = fround(2 / width);
  let lossSum = 0;
  let squaredErrorSum = 0;
  let targetSum = 0;
  let targetSquareSum = 0;
  for (let row = 0; row < rows; row++) {
    let rowSum = 0;
    for (let column = 0; column < width; column++) {
      const i = row * width + column;
      const prediction = floats[predictions / 4 + i]!;
      const target = floats[targets / 4 + i]!;
      const error = prediction - target;
      rowSum += error * error;
      targetSum += target;
      targetSquareSum += target * target;
      if (gradient !== 0) floats[gradient / 4 + i] = fround(error) * slope;
    }
    squaredErrorSum += rowSum;
    lossSum += rowSum / width;
  }
  doubles.set([lossSum, 0, squaredErrorSum, targetSum, targetSquareSum], sums / 8);
}

/** `Routines.binaryCrossEntropy`. */
export function binaryCrossEntropy(
  { floats, doubles }: MemoryViews,
  logits: number,
  targets: number,
  rows: number,
  gradient: number,
  sums: number,
): void {
  let lossSum = 0;
  let correctCount = 0;
  for (let row = 0; row < rows; row++) {
    const logit = floats[logits / 4 + row]!;
    const label = floats[targets / 4 + row]!;
    const valid = label === 0 || label === 1;
    const margin = Math.max(logit, 0) - logit * label;
    lossSum += valid ? margin + log64(1 + expOfNonPositive(-Math.abs(logit))) : Number.NaN;
    if ((logit > 0 ? 1 : 0) === label) correctCount++;
    if (gradient !== 0) floats[gradient / 4 + row] = valid ? sigmoid(logit) - label : Number.NaN;
  }
  doubles.set([lossSum, correctCount, 0, 0, 0], sums / 8);
}

/** `Routines.softmaxCrossEntropy`. */
export function softmaxCrossEntropy(
  { floats, doubles }: MemoryViews,
  logits: number,
  targets: number,
  rows: number,
  width: number,
  gradient: number,
  sums: number,
): void {
  let lossSum = 0;
  let correctCount = 0;
  for (let row = 0; row < rows; row++) {
    const z = floats.subarray(logits / 4 + row * width, logits / 4 + (row + 1) * width);
    const label = floats[targets / 4 + row]!;
    const valid = label >= 0 && label < width;
    const target = Math.trunc(label);
    const largest = z.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
    const total = sumOfExponentials(z, largest);
    lossSum += valid ? log64(total) - (z[target]! - largest) : Number.NaN;
    if (valid && z[target] === largest && z.indexOf(largest) === target) correctCount++;
    if (gradient === 0) continue;
    const first = gradient / 4 + row * width;
    for (let j = 0; j < width; j++) {
      const probability = fround(expOfNonPositive(fround(z[j]! - largest)) / total);
      floats[first + j] = valid ? probability - (j === target ? 1 : 0) : Number.NaN;
    }
  }
  doubles.set([lossSum, correctCount, 0, 0, 0], sums / 8);
}

/** Σ_j e^(z_j - largest) in four lanes by j mod 4. */
function sumOfExponentials(z: Float32Array, largest: number): number {
  const lanes = new Float32Array(4);
  for (let j = 0; j < z.length; j++) {
    lanes[j % 4] = lanes[j % 4]! + expOfNonPositive(fround(z[j]! - largest));
  }
  return fround(fround(lanes[0]! + lanes[1]!) + fround(lanes[2]! + lanes[3]!));
}
