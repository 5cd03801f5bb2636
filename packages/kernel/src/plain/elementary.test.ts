import { expect, test } from 'vitest';
import { cumulative64 } from '../layer-float64.js';
import { bell, expOfNonPositive, log64, normalCumulative, sigmoid, tanh } from './elementary.js';

/** Units in the last place of float32 between a result and the double it should be. */
function ulps(result: number, truth: number): number {
  const exponent = Math.max(-126, Math.floor(Math.log2(Math.abs(truth))));
  return Math.abs(result - truth) / 2 ** (exponent - 23);
}

function worst(begin: number, end: number, own: (x: number) => number, truth: (x: number) => number): number {
  let most = 0;
  const points = 200_000;
  for (let i = 0; i <= points; i++) {
    const x = Math.fround(begin + ((end - begin) * i) / points);
    most = Math.max(most, ulps(own(x), truth(x)));
  }
  return most;
}

test('exp is within 1 unit in the last place on all it is defined for', () => {
  expect(worst(-87.3, 0, expOfNonPositive, Math.exp)).toBeLessThan(1);
});

test('tanh is within 2 units in the last place', () => {
  expect(worst(-10, 10, tanh, Math.tanh)).toBeLessThan(2);
  expect(worst(-0.7, 0.7, tanh, Math.tanh)).toBeLessThan(2);
  expect(worst(-1e-3, 1e-3, tanh, Math.tanh)).toBeLessThan(1);
});

test('sigmoid is within 3 units in the last place', () => {
  expect(worst(-87, 87, sigmoid, (x) => 1 / (1 + Math.exp(-x)))).toBeLessThan(3);
});

test('the share of a normal distribution below x is within 10 units in the last place where it counts', () => {
  const own = (x: number): number => normalCumulative(x, bell(x));
  expect(worst(-3, 6, own, cumulative64)).toBeLessThan(10);
  // Further down the rounding of x²/2 shows: 2e-6 of what is left, which is below 1e-3 and falls fast.
  for (let x = -13; x < -3; x += 0.01) {
    const truth = cumulative64(Math.fround(x));
    expect(Math.abs(own(Math.fround(x)) - truth) / truth).toBeLessThan(1e-5);
  }
});

test('the logarithm is within 3e-16 of its size or 2e-16, and exact at 1', () => {
  expect(log64(1)).toBe(0);
  for (let x = 1.0001; x < 1e9; x *= 1.01) {
    expect(Math.abs(log64(x) - Math.log(x))).toBeLessThan(Math.max(3e-16 * Math.log(x), 2e-16));
  }
});

test('the ends are what the limits are', () => {
  expect([expOfNonPositive(0), expOfNonPositive(-88), expOfNonPositive(Number.NEGATIVE_INFINITY)]).toEqual([1, 0, 0]);
  expect([tanh(1e9), tanh(-1e9), tanh(Number.POSITIVE_INFINITY)]).toEqual([1, -1, 1]);
  expect([sigmoid(1e9), sigmoid(-1e9), sigmoid(0)]).toEqual([1, 0, 0.5]);
  const ends = [1e30, -1e30, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  expect(ends.map((x) => normalCumulative(x, bell(x)))).toEqual([1, 0, 1, 0]);
  expect(normalCumulative(0, 1)).toBeCloseTo(0.5, 6);
});

test('NaN stays NaN', () => {
  for (const own of [expOfNonPositive, sigmoid, tanh, log64, bell]) expect(own(Number.NaN)).toBeNaN();
});
