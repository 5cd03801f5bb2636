/** F25: a mean gradient far outside of what it was. */
import { expect, test } from 'vitest';
import { normOutlier, withNorm } from './norm-watch.js';

const lately = Array.from({ length: 40 }, (_, step) => 2 + Math.sin(step) / 4).reduce(
  withNorm,
  [] as readonly number[],
);

test('F25 a gradient a thousand times too long is told of at the step it comes', () => {
  // One of eight workers sends its share times a thousand.
  expect(normOutlier(lately, 2 * (7 / 8 + 1000 / 8))).toMatchObject({ usual: expect.closeTo(2, 0) });
});

test('what training does by itself is no outlier: no history, a little longer, much shorter', () => {
  expect(normOutlier(lately.slice(0, 10), 1000)).toBeUndefined();
  expect(normOutlier(lately, 4)).toBeUndefined();
  expect(normOutlier(lately, 0.001)).toBeUndefined();
  expect(normOutlier(lately, Number.NaN)).toBeUndefined();
});

test('norms that never varied do not make a figure that is no number', () => {
  const still = Array.from({ length: 30 }, () => 1).reduce(withNorm, [] as readonly number[]);
  expect(normOutlier(still, 50)?.deviations).toBe(1e6);
});
