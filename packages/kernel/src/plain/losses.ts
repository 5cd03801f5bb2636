import type { MemoryViews } from '../linear-memory.js';
import { expOfNonPositive, log64, sigmoid } from './elementary.js';
import { laneSum } from './lanes.js';
import { largestOf, sumOfExponentials } from './softmax.js';

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

/** `Routines.huber`. */
export function huber(
  { floats, doubles }: MemoryViews,
  predictions: number,
  targets: number,
  rows: number,
  width: number,
  delta: number,
  gradient: number,
  sums: number,
): void {
  const share = fround(1 / width);
  const limit = fround(delta);
  let lossSum = 0;
  let squaredErrorSum = 0;
  let targetSum = 0;
  let targetSquareSum = 0;
  for (let row = 0; row < rows; row++) {
    let rowSum = 0;
    for (let column = 0; column < width; column++) {
      const i = row * width + column;
      const target = floats[targets / 4 + i]!;
      const error = floats[predictions / 4 + i]! - target;
      const size = Math.abs(error);
      rowSum += size <= delta ? 0.5 * error * error : delta * (size - 0.5 * delta);
      squaredErrorSum += error * error;
      targetSum += target;
      targetSquareSum += target * target;
      if (gradient !== 0) floats[gradient / 4 + i] = Math.min(Math.max(fround(error), -limit), limit) * share;
    }
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
  smoothing: number,
  gradient: number,
  sums: number,
): void {
  let lossSum = 0;
  let correctCount = 0;
  for (let row = 0; row < rows; row++) {
    const logit = floats[logits / 4 + row]!;
    const label = floats[targets / 4 + row]!;
    const valid = label === 0 || label === 1;
    const target = label * (1 - smoothing) + smoothing / 2;
    const margin = Math.max(logit, 0) - logit * target;
    lossSum += valid ? margin + log64(1 + expOfNonPositive(-Math.abs(logit))) : Number.NaN;
    if ((logit > 0 ? 1 : 0) === label) correctCount++;
    if (gradient !== 0) floats[gradient / 4 + row] = valid ? sigmoid(logit) - fround(target) : Number.NaN;
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
  smoothing: number,
  gradient: number,
  sums: number,
): void {
  const spread = fround(smoothing / width);
  const ofTarget = fround(1 - smoothing);
  let lossSum = 0;
  let correctCount = 0;
  for (let row = 0; row < rows; row++) {
    const z = floats.subarray(logits / 4 + row * width, logits / 4 + (row + 1) * width);
    const label = floats[targets / 4 + row]!;
    const valid = label >= 0 && label < width;
    const target = Math.trunc(label);
    const largest = largestOf(z);
    const total = sumOfExponentials(z, largest);
    lossSum += valid ? log64(total) - expectedLogit(z, z[target]!, largest, smoothing) : Number.NaN;
    if (valid && z[target] === largest && z.indexOf(largest) === target) correctCount++;
    if (gradient === 0) continue;
    const first = gradient / 4 + row * width;
    for (let j = 0; j < width; j++) {
      const probability = fround(expOfNonPositive(fround(z[j]! - largest)) / total);
      const others = fround(probability - spread);
      floats[first + j] = valid ? others - (j === target ? ofTarget : 0) : Number.NaN;
    }
  }
  doubles.set([lossSum, correctCount, 0, 0, 0], sums / 8);
}

/** The logit less the largest, expected under the smoothed target. */
function expectedLogit(z: Float32Array, ofTarget: number, largest: number, smoothing: number): number {
  const sharp = ofTarget - largest;
  if (smoothing === 0) return sharp; // 0 times a logit of -Infinity would be NaN
  const sum = laneSum(z.length, (j) => fround(z[j]! - largest));
  return (1 - smoothing) * sharp + smoothing * (sum / z.length);
}
