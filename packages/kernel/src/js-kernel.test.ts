import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Batch64, gradient64 } from './gradient-float64.js';
import { createJsKernel } from './js-kernel.js';
import { allLosses, anyModel, runCase, type TestCase, testCase, testDraws, weighted } from './kernel.fixture.js';
import type { LayerSpec, LossSpec, ModelSpec } from './model-spec.js';

const memory = { buffer: new ArrayBuffer(8 << 20) };
const kernel = createJsKernel(memory);

const batch64 = (given: TestCase): Batch64 => ({
  samples: given.samples,
  features: Float64Array.from(given.features),
  targets: Float64Array.from(given.targets),
  draws: given.draws ?? testDraws,
});

const hiddenLayers: Readonly<Record<string, readonly LayerSpec[]>> = {
  'no hidden layer': [],
  relu: [{ kind: 'dense', units: 7 }, { kind: 'relu' }],
  sigmoid: [{ kind: 'dense', units: 7 }, { kind: 'sigmoid' }],
  tanh: [{ kind: 'dense', units: 7 }, { kind: 'tanh' }],
  'two dense layers in a row': [
    { kind: 'dense', units: 6 },
    { kind: 'dense', units: 5 },
  ],
  'leaky relu': [
    { kind: 'dense', units: 7 },
    { kind: 'leakyRelu', slope: 0.2 },
  ],
  gelu: [{ kind: 'dense', units: 7 }, { kind: 'gelu' }],
  softmax: [{ kind: 'dense', units: 7 }, { kind: 'softmax' }],
  dropout: [{ kind: 'dense', units: 19 }, { kind: 'tanh' }, { kind: 'dropout', rate: 0.4 }],
  'layer norm': [
    { kind: 'dense', units: 7 },
    { kind: 'layerNorm', epsilon: 1e-5 },
  ],
  'layer norm, gelu and dropout right on the features': [
    { kind: 'layerNorm', epsilon: 1e-3 },
    { kind: 'gelu' },
    { kind: 'dropout', rate: 0.2 },
  ],
  'a block of a transformer': [
    { kind: 'dense', units: 6 },
    { kind: 'layerNorm', epsilon: 1e-3 },
    { kind: 'gelu' },
    { kind: 'dropout', rate: 0.3 },
    { kind: 'dense', units: 5 },
    { kind: 'leakyRelu', slope: 0.01 },
    { kind: 'layerNorm', epsilon: 1e-3 },
  ],
  'activations before and upon each other': [
    { kind: 'tanh' },
    { kind: 'dense', units: 6 },
    { kind: 'sigmoid' },
    { kind: 'tanh' },
  ],
};

const lossOutputs = allLosses.flatMap((loss): readonly (readonly [LossSpec, number])[] => {
  if (loss.kind === 'hinge')
    return [
      [loss, 1],
      [loss, 4],
    ];
  return [[loss, loss.kind === 'binaryCrossEntropy' ? 1 : 4]];
});
const weightedLosses = lossOutputs
  .map(([loss, outputs]) => [weighted(loss, outputs), outputs] as const)
  .filter(([loss]) => 'classWeights' in loss);

const combinations = Object.entries(hiddenLayers).flatMap(([name, hidden]) =>
  [...lossOutputs, ...weightedLosses].map(([loss, outputs]) => {
    const layers: LayerSpec[] = [...hidden, { kind: 'dense', units: outputs }];
    const spec: ModelSpec = { inputs: 5, outputs, layers, loss, init: 'auto' };
    return { name, loss: `${JSON.stringify(loss)} of ${outputs}`, spec };
  }),
);

describe.each(combinations)('$name under $loss', ({ spec }) => {
  test('the gradient in doubles agrees with central differences', () => {
    const given = testCase(spec, 6, 21);
    const batch = batch64(given);
    const weights = Float64Array.from(given.weights);
    const { gradient } = gradient64(spec, weights, batch);
    const h = 6e-6;
    for (const [p, weight] of given.weights.entries()) {
      weights[p] = weight + h;
      const above = gradient64(spec, weights, batch).lossSum;
      weights[p] = weight - h;
      const below = gradient64(spec, weights, batch).lossSum;
      weights[p] = weight;
      const difference = Math.abs((above - below) / (2 * h) - gradient[p]!);
      expect(difference, `parameter ${p}`).toBeLessThanOrEqual(1e-6 * Math.max(1e-2, Math.abs(gradient[p]!)));
    }
  });

  test('the kernel gives the gradient in doubles to float32 precision', () => {
    expectClose(testCase(spec, 33, 22));
  });
});

test('any model gives the gradient in doubles to float32 precision', () => {
  fc.assert(
    fc.property(anyModel(40), fc.integer({ min: 0, max: 20 }), fc.nat(1000), (spec, samples, seed) => {
      expectClose(testCase(spec, samples, seed));
    }),
    // Always the same cases: within rounding of the edge of a relu or hinge there are two right answers.
    { numRuns: 100, seed: 5 },
  );
});

test('a relu at exactly 0 and a dead one pass no gradient on', () => {
  const spec: ModelSpec = {
    inputs: 1,
    outputs: 1,
    layers: [{ kind: 'dense', units: 2 }, { kind: 'relu' }, { kind: 'dense', units: 1 }],
    loss: { kind: 'meanSquaredError' },
    init: 'zeros',
  };
  const given = { ...testCase(spec, 1, 1), weights: Float32Array.of(0, -1, 0, 0, 1, 1, 0) };
  const { gradient } = runCase(kernel, memory, 64, { ...given, features: Float32Array.of(1) });
  expect([...gradient.subarray(0, 4)]).toEqual([0, 0, 0, 0]);
});

describe('what an evaluation counts', () => {
  const evaluate = (loss: LossSpec, outputs: number, logits: number[], targets: number[]) => {
    const layers: LayerSpec[] = [{ kind: 'dense', units: outputs }];
    const spec: ModelSpec = { inputs: outputs, outputs, layers, loss, init: 'zeros' };
    const base = testCase(spec, logits.length / outputs, 1);
    const identity = base.weights.map((_, i) => (i < outputs * outputs && i % (outputs + 1) === 0 ? 1 : 0));
    const given = { ...base, weights: identity, features: Float32Array.from(logits) };
    return runCase(kernel, memory, 64, { ...given, targets: Float32Array.from(targets) });
  };

  test('the first of several largest logits is the prediction', () => {
    const { sums } = evaluate({ kind: 'softmaxCrossEntropy' }, 3, [1, 2, 2, 1, 2, 2, 3, 1, 0], [1, 2, 0]);
    expect(sums.correctCount).toBe(2);
  });

  test('a logit above 0 predicts label 1 and a logit of 0 label 0', () => {
    const { sums } = evaluate({ kind: 'binaryCrossEntropy' }, 1, [0.5, 0, -1, 2], [1, 0, 1, 0]);
    expect(sums.correctCount).toBe(2);
  });

  test('large logits of either sign neither overflow nor lose the loss', () => {
    const binary = evaluate({ kind: 'binaryCrossEntropy' }, 1, [500, -500], [0, 0]);
    expect(binary.sums.lossSum).toBe(500);
    const softmax = evaluate({ kind: 'softmaxCrossEntropy' }, 2, [1000, -1000], [1]);
    expect(softmax.sums.lossSum).toBe(2000);
    expect(softmax.gradient.every(Number.isFinite)).toBe(true);
  });

  test('regression sums are those of all outputs, the loss is a mean over them', () => {
    const { sums } = evaluate({ kind: 'meanSquaredError' }, 2, [1, 2, 3, 4], [1, 0, 0, 6]);
    expect(sums).toEqual({
      sampleCount: 2,
      lossSum: 2 + 6.5,
      correctCount: 0,
      squaredErrorSum: 17,
      targetSum: 7,
      targetSquareSum: 37,
    });
  });

  test.each([
    ['softmaxCrossEntropy' as const, 3, [0, 1, 2], 3],
    ['softmaxCrossEntropy' as const, 3, [0, 1, 2], -1],
    ['binaryCrossEntropy' as const, 1, [1], 2],
    ['hinge' as const, 1, [1], 2],
    ['hinge' as const, 3, [0, 1, 2], 3],
  ])(
    'under %s of %i outputs, a label outside the classes poisons loss and gradient',
    (kind, outputs, logits, label) => {
      const { sums, gradient } = evaluate({ kind }, outputs, logits, [label]);
      expect(sums.lossSum).toBeNaN();
      expect(gradient.every(Number.isNaN)).toBe(true);
    },
  );
});

test('no samples give a gradient of zeros and sums of zero', () => {
  const spec: ModelSpec = {
    inputs: 3,
    outputs: 2,
    layers: [{ kind: 'dense', units: 2 }],
    loss: { kind: 'softmaxCrossEntropy' },
    init: 'auto',
  };
  const { sums, gradient } = runCase(kernel, memory, 64, testCase(spec, 0, 1));
  expect(Object.values(sums)).toEqual([0, 0, 0, 0, 0, 0]);
  expect(gradient.every((value) => Object.is(value, 0))).toBe(true);
});

test('views follow a memory that has grown', () => {
  const growing = { buffer: new ArrayBuffer(128) };
  const young = createJsKernel(growing);
  young.scale(64, 4, 2);
  growing.buffer = new ArrayBuffer(1024);
  new Float32Array(growing.buffer).fill(3);
  young.scale(512, 4, 2);
  expect(new Float32Array(growing.buffer)[128]).toBe(6);
});

/** Each parameter's gradient within 1e-5 of the truth, relative to the largest of its tensor. */
function expectClose(given: TestCase): void {
  const truth = gradient64(given.program.spec, Float64Array.from(given.weights), batch64(given));
  const { sums, gradient } = runCase(kernel, memory, 64, given);
  expect(Math.abs(sums.lossSum - truth.lossSum)).toBeLessThanOrEqual(1e-5 * Math.max(1, truth.lossSum));
  for (const { name, offset, size } of given.program.parameters) {
    const expected = truth.gradient.subarray(offset, offset + size);
    const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const error = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - gradient[offset + i]!)), 0);
    expect(error, name).toBeLessThanOrEqual(1e-5 * Math.max(largest, 0.1));
  }
}
