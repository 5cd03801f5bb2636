import fc from 'fast-check';
import { expect, test } from 'vitest';
import { samplePermutation } from './sample-permutation.js';

const orderOf = (seed: number, epoch: number, samples: number): number[] => {
  const sampleAt = samplePermutation(seed, epoch, samples);
  return Array.from({ length: samples }, (_, position) => sampleAt(position));
};

const isBijection = (order: readonly number[]): boolean => {
  const seen = new Uint8Array(order.length);
  for (const sample of order) seen[sample] = 1; // a sample outside the range leaves a hole, and so does one twice
  return seen.every((mark) => mark === 1);
};

test('every sample count up to 300 is visited exactly once an epoch', () => {
  for (let samples = 1; samples <= 300; samples++) {
    expect(isBijection(orderOf(samples, 3, samples)), `${samples} samples`).toBe(true);
  }
});

test('any seed, epoch and sample count visit every sample exactly once', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.nat(1e6), fc.integer({ min: 1, max: 40_000 }), (seed, epoch, samples) => {
      expect(isBijection(orderOf(seed, epoch, samples))).toBe(true);
    }),
    { numRuns: 40 },
  );
});

test('beyond 2^32 samples, positions still go to different samples inside the range', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.integer({ min: 2 ** 32, max: 2 ** 50 }), (seed, samples) => {
      const sampleAt = samplePermutation(seed, 0, samples);
      const stride = Math.floor(samples / 2000);
      const found = Array.from({ length: 2000 }, (_, index) => sampleAt(index * stride));
      expect(new Set(found).size).toBe(2000);
      expect(found.every((sample) => Number.isInteger(sample) && sample >= 0 && sample < samples)).toBe(true);
      const mean = found.reduce((sum, sample) => sum + sample / samples, 0) / 2000;
      expect(Math.abs(mean - 0.5)).toBeLessThan(6 / Math.sqrt(12 * 2000));
    }),
    { numRuns: 25 },
  );
});

test('another epoch and another seed give another order', () => {
  const order = orderOf(1, 0, 1000);
  for (const other of [orderOf(1, 1, 1000), orderOf(2, 0, 1000), orderOf(2 ** 32 + 1, 0, 1000)]) {
    const samePlaces = order.filter((sample, position) => other[position] === sample).length;
    expect(samePlaces).toBeLessThan(10); // one is expected of unrelated orders
  }
});

test('neighbours do not stay neighbours and positions say nothing about samples', () => {
  const samples = 50_000;
  const order = orderOf(11, 4, samples);
  const centre = (samples - 1) / 2;
  let product = 0;
  let adjacent = 0;
  for (let position = 0; position < samples; position++) {
    product += (position - centre) * (order[position]! - centre);
    if (position > 0 && Math.abs(order[position]! - order[position - 1]!) === 1) adjacent++;
  }
  const correlation = product / ((samples * (samples * samples - 1)) / 12);
  expect(Math.abs(correlation)).toBeLessThan(5 / Math.sqrt(samples));
  expect(adjacent).toBeLessThan(20); // two are expected
});

test('over many epochs each sample of a few comes to each position equally often', () => {
  const samples = 5;
  const epochs = 5000;
  const counts = new Float64Array(samples * samples);
  for (let epoch = 0; epoch < epochs; epoch++) {
    for (const [position, sample] of orderOf(7, epoch, samples).entries()) counts[position * samples + sample]!++;
  }
  const expected = epochs / samples;
  const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  expect(chiSquare).toBeLessThan(45); // 16 degrees of freedom: exceeded with probability 1.4e-4
});

test('over many epochs all 24 orders of four samples occur equally often', () => {
  const counts = new Map<string, number>();
  const epochs = 12_000;
  for (let epoch = 0; epoch < epochs; epoch++) {
    const order = orderOf(13, epoch, 4).join('');
    counts.set(order, (counts.get(order) ?? 0) + 1);
  }
  const chiSquare = [...counts.values()].reduce((sum, count) => sum + (count - 500) ** 2 / 500, 0);
  expect(counts.size).toBe(24);
  expect(chiSquare).toBeLessThan(58); // 23 degrees of freedom: exceeded with probability 7e-5
});

test('the order of an epoch is the one recorded here, on every engine and in every release', () => {
  expect(orderOf(7, 0, 10)).toEqual([6, 1, 8, 4, 5, 9, 7, 2, 0, 3]);
  expect([0, 1, 2].map(samplePermutation(7, 1, 2 ** 40))).toEqual([321796700705, 232364114159, 1042683584253]);
});

test.each([-1, 0.5, 10, Number.NaN])('position %s of 10 samples is refused', (position) => {
  expect(() => samplePermutation(1, 0, 10)(position)).toThrow(RangeError);
});

test.each([0, -3, 1.5, 2 ** 53])('%s samples are refused', (samples) => {
  expect(() => samplePermutation(1, 0, samples)).toThrow(RangeError);
});
