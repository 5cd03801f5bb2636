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

test('classification stores one target a sample and regression one an output', () => {
  const layers: LayerSpec[] = [{ kind: 'dense', units: 3 }];
  expect(compileModel(model(2, 3, layers, 'softmaxCrossEntropy')).targetCount).toBe(1);
  expect(compileModel(model(2, 3, layers, 'meanSquaredError')).targetCount).toBe(3);
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
