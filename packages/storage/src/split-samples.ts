/** Which samples of a file are for training, which for validation and which for test. */
import { PHILOX_DOMAIN, type PhiloxKey, philox4x32, philoxKey } from '#kernel';
import type { SplitName } from '#training';

export interface SplitRequest {
  /** N. */
  readonly samples: number;
  /** Class index of each sample [N], or undefined to split without regard to classes. */
  readonly classes?: Uint32Array;
  /** Shares of N in [0, 1). */
  readonly validation: number;
  readonly test: number;
  readonly seed: number;
}

/**
 * Sample indexes of each part, ascending; together they are `[0, N)`. A function of the arguments alone.
 *
 * A part gets `round(share · N)` samples, at least one if its share is not zero and training keeps one. Each class gives
 * its proportional number, rounded so that the parts add up (largest remainder), and keeps one for training if it can.
 * Which samples of a class those are is drawn: the ones with the smallest random words of the seed.
 */
export function splitSamples(request: SplitRequest): Readonly<Record<SplitName, Uint32Array>> {
  const { samples, seed } = request;
  const classes = request.classes ?? new Uint32Array(samples);
  const counts = countClasses(classes);
  const validationCount = partSize(request.validation, samples, samples - 1);
  const testCount = partSize(request.test, samples, samples - 1 - validationCount);
  const validation = allot(counts, counts, validationCount);
  const left = counts.map((count, index) => count - validation[index]!);
  const test = allot(counts, left, testCount);

  const keys = drawKeys(samples, philoxKey(seed));
  const part = new Uint8Array(samples); // 0 training, 1 validation, 2 test
  for (const [index, members] of membersByClass(classes, counts).entries()) {
    const sorted = Float64Array.from(members, (sample) => keys[sample]!).sort();
    const inValidation = validation[index]!;
    const inTest = test[index]!;
    const validationBelow = sorted[inValidation] ?? Number.POSITIVE_INFINITY;
    const testBelow = sorted[inValidation + inTest] ?? Number.POSITIVE_INFINITY;
    for (const sample of members) {
      const key = keys[sample]!;
      part[sample] = key < validationBelow ? 1 : key < testBelow ? 2 : 0;
    }
  }
  const pick = (wanted: number) => Uint32Array.from(indexesWhere(part, wanted));
  return { train: pick(0), validation: pick(1), test: pick(2) };
}

function partSize(share: number, samples: number, most: number): number {
  return share === 0 ? 0 : Math.max(0, Math.min(most, Math.max(1, Math.round(share * samples))));
}

/** Shares `total` out in proportion to `counts` without exceeding `available`; the last one available goes last. */
function allot(counts: readonly number[], available: readonly number[], total: number): readonly number[] {
  const samples = counts.reduce((sum, count) => sum + count, 0);
  const exact = counts.map((count) => (count * total) / samples);
  const given = exact.map((share, index) => Math.min(Math.floor(share), Math.max(0, available[index]! - 1)));
  const order = exact
    .map((share, index) => ({ index, remainder: share - Math.floor(share) }))
    .sort((a, b) => b.remainder - a.remainder || a.index - b.index);
  let missing = total - given.reduce((sum, count) => sum + count, 0);
  for (const kept of [1, 0]) {
    for (let gave = true; missing > 0 && gave; ) {
      gave = false;
      for (const { index } of order) {
        if (missing === 0) break;
        if (given[index]! + kept >= available[index]!) continue;
        given[index]!++;
        missing--;
        gave = true;
      }
    }
  }
  return given;
}

/**
 * 53 random bits for each sample. Should two samples of a class ever draw the same at a part's edge, both go to the next
 * part: one sample fewer here, and still the same on every machine.
 */
function drawKeys(samples: number, key: PhiloxKey): Float64Array {
  const keys = new Float64Array(samples);
  for (let sample = 0; sample < samples; sample++) {
    const [high, low] = philox4x32([sample, 0, 0, PHILOX_DOMAIN.splitSamples], key);
    keys[sample] = high * 2 ** 21 + (low >>> 11);
  }
  return keys;
}

function countClasses(classes: Uint32Array): number[] {
  const counts: number[] = [];
  for (const index of classes) {
    while (counts.length <= index) counts.push(0);
    counts[index]!++;
  }
  return counts;
}

function membersByClass(classes: Uint32Array, counts: readonly number[]): readonly Uint32Array[] {
  const members = counts.map((count) => new Uint32Array(count));
  const filled = counts.map(() => 0);
  for (let sample = 0; sample < classes.length; sample++) {
    const index = classes[sample]!;
    members[index]![filled[index]!++] = sample;
  }
  return members;
}

function* indexesWhere(values: Uint8Array, wanted: number): Generator<number> {
  for (let index = 0; index < values.length; index++) if (values[index] === wanted) yield index;
}
