import { expect, test } from 'vitest';
import { compileModel } from './compile-model.js';
import { initialWeights } from './initial-weights.js';
import type { InitSpec, LayerSpec } from './model-spec.js';
import { philox4x32 } from './philox.js';

const layers: readonly LayerSpec[] = [{ kind: 'dense', units: 101 }, { kind: 'relu' }, { kind: 'dense', units: 3 }];

const program = (init: InitSpec, hidden = layers) =>
  compileModel({ inputs: 50, outputs: 3, layers: hidden, loss: { kind: 'softmaxCrossEntropy' }, init });

const weightsOf = (init: InitSpec, seed: number, parameter: number) => {
  const compiled = program(init);
  const { offset, size } = compiled.parameters[parameter]!;
  return initialWeights(compiled, seed).subarray(offset, offset + size);
};

test.each<[InitSpec, number, number]>([
  ['auto', 0, Math.sqrt(6 / 50)],
  ['auto', 2, Math.sqrt(6 / 104)],
  ['he', 2, Math.sqrt(6 / 101)],
  ['glorot', 0, Math.sqrt(6 / 151)],
])('%s weights of parameter %i are uniform within %f', (init, parameter, limit) => {
  const weights = weightsOf(init, 3, parameter);
  const mean = weights.reduce((sum, weight) => sum + weight, 0) / weights.length;
  const variance = weights.reduce((sum, weight) => sum + weight * weight, 0) / weights.length;
  expect(Math.max(...weights)).toBeLessThan(limit * 1.0000001);
  expect(Math.max(...weights)).toBeGreaterThan(limit * 0.95);
  expect(Math.min(...weights)).toBeLessThan(-limit * 0.95);
  // Five standard errors of a uniform distribution's mean; its variance is limit²/3.
  expect(Math.abs(mean)).toBeLessThan((5 * limit) / Math.sqrt(3 * weights.length));
  expect(variance / (limit ** 2 / 3)).toBeGreaterThan(0.8);
  expect(variance / (limit ** 2 / 3)).toBeLessThan(1.2);
});

test('biases start at zero, and so does everything under zeros', () => {
  expect(weightsOf('auto', 3, 1).every((bias) => bias === 0)).toBe(true);
  expect(initialWeights(program('zeros'), 3).every((weight) => weight === 0)).toBe(true);
});

test('another seed gives other weights and the same seed the same', () => {
  expect(weightsOf('auto', 1, 0)).toEqual(weightsOf('auto', 1, 0));
  expect(weightsOf('auto', 1, 0)).not.toEqual(weightsOf('auto', 2, 0));
});

test('an element depends on seed, parameter and position only, as documented', () => {
  const element = 4 * 17 + 2;
  const word = philox4x32([17, 0, 2, 1], [9, 0])[2];
  const expected = Math.fround(Math.sqrt(6 / 101) * (((word >>> 8) + 0.5) / 2 ** 23 - 1));
  expect(weightsOf('he', 9, 2)[element]).toBe(expected);
});
