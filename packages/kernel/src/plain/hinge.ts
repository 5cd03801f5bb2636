import type { MemoryViews } from '../linear-memory.js';
import { laneSum } from './lanes.js';
import { largestOf } from './softmax.js';

const { fround } = Math;

/** `Routines.hinge`. */
export function hinge(
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
    const sign = 2 * label - 1;
    const shortfall = 1 - sign * logit;
    lossSum += valid ? Math.max(0, shortfall) : Number.NaN;
    if ((logit > 0 ? 1 : 0) === label) correctCount++;
    if (gradient !== 0) floats[gradient / 4 + row] = valid ? whereShort(shortfall, -sign) : Number.NaN;
  }
  doubles.set([lossSum, correctCount, 0, 0, 0], sums / 8);
}

/** `Routines.multiClassHinge`. */
export function multiClassHinge(
  { floats, doubles }: MemoryViews,
  logits: number,
  targets: number,
  rows: number,
  width: number,
  gradient: number,
  sums: number,
): void {
  const share = fround(1 / width);
  let lossSum = 0;
  let correctCount = 0;
  for (let row = 0; row < rows; row++) {
    const z = floats.subarray(logits / 4 + row * width, logits / 4 + (row + 1) * width);
    const label = floats[targets / 4 + row]!;
    const valid = label >= 0 && label < width;
    const target = valid ? Math.trunc(label) : 0;
    const largest = largestOf(z);
    const base = fround(1 - z[target]!);
    const shortfall = (j: number): number => (j === target ? 0 : fround(base + z[j]!));
    const total = laneSum(width, (j) => Math.max(shortfall(j), 0));
    lossSum += valid ? total / width : Number.NaN;
    if (valid && z[target] === largest && z.indexOf(largest) === target) correctCount++;
    if (gradient === 0) continue;
    const first = gradient / 4 + row * width;
    for (let j = 0; j < width; j++) floats[first + j] = valid ? whereShort(shortfall(j), share) : Number.NaN;
    if (!valid) continue;
    const count = laneSum(width, (j) => whereShort(shortfall(j), 1));
    floats[first + target] = -fround(count * share);
  }
  doubles.set([lossSum, correctCount, 0, 0, 0], sums / 8);
}

/** `value` where something is missing to the margin, 0 where nothing is, NaN where that is not known. */
function whereShort(shortfall: number, value: number): number {
  return shortfall > 0 ? value : shortfall <= 0 ? 0 : Number.NaN;
}
