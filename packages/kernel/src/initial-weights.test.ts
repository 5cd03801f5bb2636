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

test.each<[InitSpec, number, number]>([
  ['heNormal', 0, Math.sqrt(2 / 50)],
  ['glorotNormal', 0, Math.sqrt(2 / 151)],
])('%s weights of parameter %i are normal with a deviation of %f', (init, parameter, deviation) => {
  const weights = weightsOf(init, 3, parameter).map((weight) => weight / deviation);
  const moment = (power: number): number => weights.reduce((sum, z) => sum + z ** power, 0) / weights.length;
  /** Six standard errors: the variance of z^n is (2n-1)!! - ((n-1)!!)² for even n, (2n-1)!! for odd. */
  const bound = (variance: number): number => 6 * Math.sqrt(variance / weights.length);
  expect(Math.abs(moment(1))).toBeLessThan(bound(1));
  expect(Math.abs(moment(2) - 1)).toBeLessThan(bound(2));
  expect(Math.abs(moment(3))).toBeLessThan(bound(15));
  expect(Math.abs(moment(4) - 3)).toBeLessThan(bound(96));
  const shares = [-1.5, -0.5, 0, 1].map((z) => weights.filter((weight) => weight < z).length / weights.length);
  for (const [i, share] of [0.0668, 0.3085, 0.5, 0.8413].entries()) {
    expect(Math.abs(shares[i]! - share)).toBeLessThan(bound(0.25));
  }
  const neighbours = weights.reduce((sum, z, i) => sum + z * (weights[i + 1] ?? 0), 0) / weights.length;
  expect(Math.abs(neighbours)).toBeLessThan(bound(1));
});

test('torch draws weights and biases within 1 / sqrt(inputs)', () => {
  for (const [parameter, inputs] of [
    [0, 50],
    [1, 50],
    [2, 101],
    [3, 101],
  ] as const) {
    const values = weightsOf('torch', 3, parameter).map(Math.abs);
    expect(Math.max(...values)).toBeLessThan(1 / Math.sqrt(inputs));
    expect(Math.max(...values)).toBeGreaterThan(0);
  }
  expect(Math.max(...weightsOf('torch', 3, 1))).toBeGreaterThan(0.9 / Math.sqrt(50));
});

test.each<[string, readonly LayerSpec[], number]>([
  ['a leaky relu', [{ kind: 'leakyRelu', slope: 0.1 }], 6 / 50],
  ['a gelu', [{ kind: 'gelu' }], 6 / 50],
  [
    'a relu behind dropout and layer norm',
    [{ kind: 'dropout', rate: 0.1 }, { kind: 'layerNorm', epsilon: 1e-5 }, { kind: 'relu' }],
    6 / 50,
  ],
  ['a softmax', [{ kind: 'softmax' }], 6 / 151],
  ['another dense layer', [], 6 / 151],
])('auto knows what comes next: %s', (_what, behind, square) => {
  const compiled = program('auto', [{ kind: 'dense', units: 101 }, ...behind, { kind: 'dense', units: 3 }]);
  const largest = Math.max(...initialWeights(compiled, 3).subarray(0, compiled.parameters[0]!.size));
  expect(largest / Math.sqrt(square)).toBeGreaterThan(0.99);
  expect(largest / Math.sqrt(square)).toBeLessThan(1.0000001);
});

test.each<InitSpec>(['auto', 'heNormal', 'torch', 'zeros'])('under %s a layer norm starts as the identity', (init) => {
  const compiled = program(init, [
    { kind: 'layerNorm', epsilon: 1e-5 },
    { kind: 'dense', units: 3 },
  ]);
  const weights = initialWeights(compiled, 3);
  expect([...weights.subarray(0, 100)]).toEqual([...new Array<number>(50).fill(1), ...new Array<number>(50).fill(0)]);
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
