import fc from 'fast-check';
import { expect, test } from 'vitest';
import { autoMicroBatches, microBatchRange } from './micro-batches.js';

test.each([
  [1, 10, 1],
  [63, 10, 1],
  [64, 10, 2],
  [127, 1023, 2],
  [255, 10, 4],
  [256, 10, 4],
  [1024, 1023, 4],
  [2048, 2, 8],
  [256, 1024, 8],
  [1024, 4810, 32],
  [256, 32_767, 8],
  [256, 32_768, 4],
  [256, 262_143, 4],
  [256, 262_144, 2],
  [128, 46_000_000, 1],
  [1_000_000, 10, 64],
])('a batch of %i for %i parameters is cut into %i', (batch, parameterCount, expected) => {
  expect(autoMicroBatches(batch, parameterCount)).toBe(expected);
});

test('micro-batches cover a batch in order, once, in sizes that differ by at most one', () => {
  fc.assert(
    fc.property(fc.nat(2 ** 40), fc.nat(5000), fc.nat(6), (first, samples, power) => {
      const microBatches = 2 ** power;
      let position = first;
      for (let index = 0; index < microBatches; index++) {
        const { begin, end } = microBatchRange(first, first + samples, microBatches, index);
        expect(begin).toBe(position);
        expect(end - begin).toBeGreaterThanOrEqual(Math.floor(samples / microBatches));
        expect(end - begin).toBeLessThanOrEqual(Math.ceil(samples / microBatches));
        position = end;
      }
      expect(position).toBe(first + samples);
    }),
  );
});
