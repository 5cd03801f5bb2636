import fc from 'fast-check';
import { expect, test } from 'vitest';
import { splitSamples } from './split-samples.js';

const request = fc.record({
  classes: fc.array(fc.nat(4), { minLength: 1, maxLength: 300 }),
  validation: fc.double({ min: 0, max: 0.45, noNaN: true }),
  test: fc.double({ min: 0, max: 0.45, noNaN: true }),
  seed: fc.maxSafeNat(),
});

test('the parts are disjoint, ascending and together all samples', () => {
  fc.assert(
    fc.property(request, ({ classes, ...rest }) => {
      const parts = splitSamples({ samples: classes.length, classes: Uint32Array.from(classes), ...rest });
      for (const part of Object.values(parts)) expect([...part]).toEqual([...part].sort((a, b) => a - b));
      const all = [...parts.train, ...parts.validation, ...parts.test].sort((a, b) => a - b);
      expect(all).toEqual(classes.map((_, index) => index));
    }),
  );
});

test('every class gives each part its share, to within one sample beyond what it must keep for training', () => {
  const sizes = fc.array(fc.integer({ min: 12, max: 90 }), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(sizes, fc.double({ min: 0, max: 0.4, noNaN: true }), request, (counts, share, rest) => {
      // Interleaved as in a file that is sorted by nothing: neighbours are of different classes.
      const classes = counts
        .flatMap((count, label) => Array.from({ length: count }, (_, index) => ({ label, at: index / count })))
        .sort((a, b) => a.at - b.at)
        .map(({ label }) => label);
      const parts = splitSamples({
        samples: classes.length,
        classes: Uint32Array.from(classes),
        validation: share,
        test: 0.4 - share,
        seed: rest.seed,
      });
      for (const part of [parts.validation, parts.test]) {
        for (const [label, count] of counts.entries()) {
          const got = part.reduce((sum, sample) => sum + Number(classes[sample] === label), 0);
          expect(Math.abs(got - (count * part.length) / classes.length)).toBeLessThan(1 + 1e-9);
        }
      }
    }),
    { numRuns: 400 },
  );
});

test('part sizes are the rounded shares, and a share that is not zero gets a sample', () => {
  const sizes = (samples: number, validation: number, test: number): number[] =>
    Object.values(splitSamples({ samples, validation, test, seed: 1 })).map((part) => part.length);
  expect(sizes(1797, 0.1, 0.1)).toEqual([1437, 180, 180]);
  expect(sizes(10, 0.01, 0.01)).toEqual([8, 1, 1]);
  expect(sizes(3, 0.1, 0.1)).toEqual([1, 1, 1]);
  expect(sizes(2, 0.1, 0.1)).toEqual([1, 1, 0]);
  expect(sizes(10, 0, 0)).toEqual([10, 0, 0]);
});

test('a class with one sample stays in training', () => {
  for (let seed = 0; seed < 50; seed++) {
    const classes = Uint32Array.from([...Array.from({ length: 30 }, () => 0), 1, 2]);
    const { train } = splitSamples({ samples: 32, classes, validation: 0.2, test: 0.2, seed });
    expect([...train]).toEqual(expect.arrayContaining([30, 31]));
  }
});

test('the same seed splits alike, another one differently', () => {
  const split = (seed: number) => splitSamples({ samples: 500, validation: 0.2, test: 0.1, seed });
  expect(split(7)).toEqual(split(7));
  expect(split(7).validation).not.toEqual(split(8).validation);
  expect([...splitSamples({ samples: 12, validation: 0.25, test: 0.25, seed: 7 }).validation]).toEqual([4, 5, 11]);
});

test('over many seeds every sample is chosen equally often', () => {
  const counts = new Float64Array(20);
  for (let seed = 0; seed < 4000; seed++) {
    for (const sample of splitSamples({ samples: 20, validation: 0.25, test: 0, seed }).validation) counts[sample]!++;
  }
  const expected = 4000 * 0.25;
  const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  expect(chiSquare).toBeLessThan(50); // 19 degrees of freedom: exceeded with probability 1e-4
});
