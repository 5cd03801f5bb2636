import fc from 'fast-check';
import { expect, test } from 'vitest';
import { cosineOfHalfTurns, learningRateAt } from './learning-rate.js';
import type { OptimizerSpec, ScheduleSpec } from './model-spec.js';
import { optimizerSlots } from './optimizer-slots.js';

const sgd: OptimizerSpec = { kind: 'sgd', learningRate: 0.5 };
const rateAt = (after: ScheduleSpec['after'], step: number, warmup = 0) =>
  learningRateAt({ warmup, after }, sgd, step, warmup + 10);

test('warm-up rises in equal parts and the step after it has the full rate', () => {
  const rates = [0, 1, 2, 3, 4].map((step) => rateAt({ kind: 'constant' }, step, 4));
  expect(rates).toEqual([0.1, 0.2, 0.3, 0.4, 0.5].map((rate) => expect.closeTo(rate, 15)));
});

test('each schedule starts at the full rate once the warm-up is over', () => {
  const schedules: ScheduleSpec['after'][] = [
    { kind: 'constant' },
    { kind: 'step', every: 3, factor: 0.5 },
    { kind: 'exponential', factor: 0.9 },
    { kind: 'linear', to: 0.2 },
    { kind: 'cosine', to: 0.2 },
  ];
  for (const after of schedules) expect(rateAt(after, 7, 7)).toBe(0.5);
});

test('each schedule has the value of its formula', () => {
  expect(rateAt({ kind: 'step', every: 3, factor: 0.5 }, 5)).toBe(0.25);
  expect(rateAt({ kind: 'step', every: 3, factor: 0.5 }, 6)).toBe(0.125);
  expect(rateAt({ kind: 'exponential', factor: 0.9 }, 5)).toBeCloseTo(0.5 * 0.9 ** 5, 15);
  expect(rateAt({ kind: 'linear', to: 0.2 }, 5)).toBeCloseTo(0.3, 15);
  expect(rateAt({ kind: 'cosine', to: 0.2 }, 5)).toBeCloseTo(0.3, 15);
  expect(rateAt({ kind: 'cosine', to: 0.2 }, 2)).toBeCloseTo(0.1 + 0.2 * (1 + Math.cos(Math.PI / 5)), 15);
});

test('linear and cosine stay at their end once the steps are over', () => {
  expect(rateAt({ kind: 'linear', to: 0.2 }, 25)).toBeCloseTo(0.1, 15);
  expect(rateAt({ kind: 'cosine', to: 0 }, 25)).toBe(0);
});

test('the own cosine is within 3e-16 of the built-in one', () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1, noNaN: true }), (x) => {
      expect(Math.abs(cosineOfHalfTurns(x) - Math.cos(Math.PI * x))).toBeLessThan(3e-16);
    }),
  );
});

test('plain SGD keeps no state, momentum one vector, Adam two', () => {
  const momentum: OptimizerSpec = { kind: 'momentum', learningRate: 1, momentum: 0.9, nesterov: false };
  const adam: OptimizerSpec = { kind: 'adam', learningRate: 1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
  expect([sgd, momentum, adam].map(optimizerSlots)).toEqual([0, 1, 2]);
});
