import { expect, test } from 'vitest';
import { compileModel } from './compile-model.js';
import type { LayerSpec, LossSpec, ModelSpec } from './model-spec.js';

/** Losses without settings of their own. */
type PlainLoss = Exclude<LossSpec['kind'], 'huber'>;

const model = (inputs: number, outputs: number, layers: readonly LayerSpec[], loss: PlainLoss): ModelSpec => ({
  inputs,
  outputs,
  layers,
  loss: { kind: loss },
  init: 'auto',
});

test('parameters lie in the order of the layers, weight before bias, without gaps', () => {
  const layers: LayerSpec[] = [{ kind: 'dense', units: 4 }, { kind: 'relu' }, { kind: 'dense', units: 3 }];
  const program = compileModel(model(5, 3, layers, 'softmaxCrossEntropy'));
  expect(program.parameters).toEqual([
    { name: 'layers.0.weight', shape: [4, 5], offset: 0, size: 20 },
    { name: 'layers.0.bias', shape: [4], offset: 20, size: 4 },
    { name: 'layers.2.weight', shape: [3, 4], offset: 24, size: 12 },
    { name: 'layers.2.bias', shape: [3], offset: 36, size: 3 },
  ]);
  expect(program.parameterCount).toBe(39);
});

test('a layer norm has a weight and a bias a number, in its place among the layers', () => {
  const layers: LayerSpec[] = [
    { kind: 'layerNorm', epsilon: 1e-5 },
    { kind: 'dense', units: 4 },
    { kind: 'layerNorm', epsilon: 1e-5 },
    { kind: 'dropout', rate: 0.5 },
    { kind: 'dense', units: 3 },
  ];
  const program = compileModel(model(5, 3, layers, 'hinge'));
  expect(program.parameters.map(({ name, shape, offset }) => [name, shape, offset])).toEqual([
    ['layers.0.weight', [5], 0],
    ['layers.0.bias', [5], 5],
    ['layers.1.weight', [4, 5], 10],
    ['layers.1.bias', [4], 30],
    ['layers.2.weight', [4], 34],
    ['layers.2.bias', [4], 38],
    ['layers.4.weight', [3, 4], 42],
    ['layers.4.bias', [3], 54],
  ]);
  expect(program.parameterCount).toBe(57);
});

test.each<[LayerSpec, RegExp]>([
  [{ kind: 'leakyRelu', slope: -0.1 }, /layers\[1\] leakyRelu: slope must be from 0 to 1, received -0\.1/],
  [{ kind: 'leakyRelu', slope: Number.NaN }, /slope .* received NaN/],
  [{ kind: 'dropout', rate: 1 }, /layers\[1\] dropout: rate must be at least 0 and below 1, received 1/],
  [{ kind: 'dropout', rate: -0.5 }, /received -0\.5/],
  [{ kind: 'layerNorm', epsilon: 0 }, /layers\[1\] layerNorm: epsilon must be a float32 above 0, received 0/],
  [{ kind: 'layerNorm', epsilon: 1e-50 }, /received 1e-50/],
  [{ kind: 'conv9d' } as unknown as LayerSpec, /layers\[1\]: this version knows no layer of kind "conv9d"/],
])('the layer %o is refused with its place and what is wrong', (layer, message) => {
  const layers: LayerSpec[] = [{ kind: 'dense', units: 4 }, layer, { kind: 'dense', units: 3 }];
  expect(() => compileModel(model(5, 3, layers, 'hinge'))).toThrow(RangeError);
  expect(() => compileModel(model(5, 3, layers, 'hinge'))).toThrow(message);
});

test.each<[LossSpec, RegExp]>([
  [{ kind: 'huber', delta: 0 }, /loss huber: delta must be a float32 above 0, received 0/],
  [{ kind: 'huber', delta: Number.POSITIVE_INFINITY }, /received Infinity/],
  [{ kind: 'softmaxCrossEntropy', labelSmoothing: 1 }, /softmaxCrossEntropy: labelSmoothing .* received 1/],
  [{ kind: 'binaryCrossEntropy', labelSmoothing: -1 }, /binaryCrossEntropy: labelSmoothing .* received -1/],
  [{ kind: 'focal' } as unknown as LossSpec, /this version knows no loss of kind "focal"/],
])('the loss %o is refused with what is wrong', (loss, message) => {
  const spec = model(5, 3, [{ kind: 'dense', units: 3 }], 'hinge');
  expect(() => compileModel({ ...spec, loss })).toThrow(message);
});

test('classification stores one target a sample and regression one an output', () => {
  const layers: LayerSpec[] = [{ kind: 'dense', units: 3 }];
  expect(compileModel(model(2, 3, layers, 'softmaxCrossEntropy')).targetCount).toBe(1);
  expect(compileModel(model(2, 3, layers, 'hinge')).targetCount).toBe(1);
  expect(compileModel(model(2, 3, layers, 'meanSquaredError')).targetCount).toBe(3);
  const huber = { ...model(2, 3, layers, 'hinge'), loss: { kind: 'huber', delta: 1 } } as const;
  expect(compileModel(huber).targetCount).toBe(3);
});

test('scratch memory grows with the samples and is a multiple of 64 bytes', () => {
  const program = compileModel(model(7, 1, [{ kind: 'dense', units: 1 }], 'meanSquaredError'));
  expect(program.scratchBytes(9)).toBeGreaterThan(program.scratchBytes(0));
  expect(program.scratchBytes(9) % 64).toBe(0);
});

test.each<[string, ModelSpec, RegExp]>([
  ['no layers', model(2, 1, [], 'meanSquaredError'), /at least a dense layer of 1 units/],
  ['no inputs', model(0, 1, [{ kind: 'dense', units: 1 }], 'meanSquaredError'), /inputs .* received 0/],
  ['an activation at the end', model(2, 1, [{ kind: 'relu' }], 'meanSquaredError'), /layers\[0\].*received relu/],
  [
    'a last layer of the wrong width',
    model(2, 3, [{ kind: 'relu' }, { kind: 'dense', units: 4 }], 'meanSquaredError'),
    /layers\[1\].*dense with 3 units.*received dense with 4 units/,
  ],
  [
    'a layer without units',
    model(
      2,
      3,
      [
        { kind: 'dense', units: 0 },
        { kind: 'dense', units: 3 },
      ],
      'meanSquaredError',
    ),
    /layers\[0\] dense: units .* received 0/,
  ],
  [
    'two logits under a binary loss',
    model(2, 2, [{ kind: 'dense', units: 2 }], 'binaryCrossEntropy'),
    /layers\[0\]: binaryCrossEntropy needs 1 output, received 2/,
  ],
  [
    'one logit under a softmax',
    model(2, 1, [{ kind: 'dense', units: 1 }], 'softmaxCrossEntropy'),
    /at least 2 outputs, received 1/,
  ],
])('%s is refused by layer and size', (_what, spec, message) => {
  expect(() => compileModel(spec)).toThrow(RangeError);
  expect(() => compileModel(spec)).toThrow(message);
});
