/** Which samples of a file are for training, which for validation and which for test. */
import { PHILOX_DOMAIN, type PhiloxKey, philox4x32, philoxKey } from '#kernel';
import type { SplitName } from '#training';

export type ClassIndexes = Uint8Array | Uint16Array | Uint32Array;

export interface SplitRequest {
  /** N. */
  readonly samples: number;
  /** Class index of each sample [N], or undefined to split without regard to classes. */
  readonly classes?: ClassIndexes;
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
  const classes = request.classes ?? new Uint8Array(samples);
  const counts = countClasses(classes);
  const validationCount = partSize(request.validation, samples, samples - 1);
  const testCount = partSize(request.test, samples, samples - 1 - validationCount);
  const validation = allot(counts, counts, validationCount);
  const left = counts.map((count, index) => count - validation[index]!);
  const test = allot(counts, left, testCount);

  const part = new Uint8Array(samples); // 0 training, 1 validation, 2 test
  const sizes = [samples, 0, 0];
  if (validationCount + testCount > 0) {
    const keyOf = keysOf(samples, philoxKey(seed));
    const drawn = counts.map((_, index) => validation[index]! + test[index]!);
    const smallest = smallestKeys(classes, counts, drawn, keyOf);
    for (let sample = 0; sample < samples; sample++) {
      const index = classes[sample]!;
      const sorted = smallest[index]!;
      const own = keyOf(sample);
      const validationBelow = sorted[validation[index]!] ?? Number.POSITIVE_INFINITY;
      const testBelow = sorted[drawn[index]!] ?? Number.POSITIVE_INFINITY;
      const chosen = own < validationBelow ? 1 : own < testBelow ? 2 : 0;
      part[sample] = chosen;
      sizes[0]!--;
      sizes[chosen]!++;
    }
  }
  const pick = (wanted: number): Uint32Array => {
    const indexes = new Uint32Array(sizes[wanted]!);
    for (let sample = 0, at = 0; sample < samples; sample++) if (part[sample] === wanted) indexes[at++] = sample;
    return indexes;
  };
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

/** Up to so many keys are kept, 32 MB, instead of worked out twice: drawing them is a third of a split. */
const MOST_KEPT_KEYS = 2 ** 22;

function keysOf(samples: number, key: PhiloxKey): (sample: number) => number {
  if (samples > MOST_KEPT_KEYS) return (sample) => drawKey(sample, key);
  const keys = new Float64Array(samples);
  for (let sample = 0; sample < samples; sample++) keys[sample] = drawKey(sample, key);
  return (sample) => keys[sample]!;
}

/** Of 2⁵³ equally likely ones. */
const MOST_KEY = 2 ** 53;

/**
 * By class, the smallest keys of its samples, sorted: one more than are drawn, or all there are.
 *
 * Hardly one is kept that is not among the smallest: a split of 100 million samples would else take a gigabyte. How many lie
 * below a bound is a matter of chance; too few, and the bound goes up.
 */
function smallestKeys(
  classes: ClassIndexes,
  counts: readonly number[],
  drawn: readonly number[],
  keyOf: (sample: number) => number,
): readonly Float64Array[] {
  for (let generosity = 1; ; generosity *= 4) {
    const bounds = counts.map((count, index) => {
      const wanted = drawn[index]! + 1;
      return (MOST_KEY * (wanted + generosity * (8 + 6 * Math.sqrt(wanted)))) / Math.max(1, count);
    });
    const found = counts.map(
      (count, index) => new Float64Array(Math.min(count, Math.ceil((bounds[index]! / MOST_KEY) * count * 1.5) + 64)),
    );
    const sizes = counts.map(() => 0);
    for (let sample = 0; sample < classes.length; sample++) {
      const index = classes[sample]!;
      const own = keyOf(sample);
      if (own < bounds[index]! && sizes[index]! < found[index]!.length) found[index]![sizes[index]!++] = own;
    }
    const isEnough = counts.every(
      (count, index) =>
        sizes[index] === count || (sizes[index]! > drawn[index]! && sizes[index]! < found[index]!.length),
    );
    if (isEnough) return found.map((keys, index) => keys.subarray(0, sizes[index]).sort());
  }
}

/**
 * 53 random bits for each sample. Should two samples of a class ever draw the same at a part's edge, both go to the next
 * part: one sample fewer here, and still the same on every machine.
 */
function drawKey(sample: number, key: PhiloxKey): number {
  const [high, low] = philox4x32([sample, 0, 0, PHILOX_DOMAIN.splitSamples], key);
  return high * 2 ** 21 + (low >>> 11);
}

function countClasses(classes: ClassIndexes): number[] {
  const counts: number[] = [];
  for (const index of classes) {
    while (counts.length <= index) counts.push(0);
    counts[index]!++;
  }
  return counts;
}

/** An array of class indexes, each as narrow as they are. */
export function classIndexes(samples: number, classes: number): ClassIndexes {
  if (classes <= 2 ** 8) return new Uint8Array(samples);
  return classes <= 2 ** 16 ? new Uint16Array(samples) : new Uint32Array(samples);
}
