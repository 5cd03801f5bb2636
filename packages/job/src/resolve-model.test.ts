import { expect, test } from 'vitest';
import { compileModel } from '#kernel';
import { RopeteamError } from '#training';
import { parameterCount } from './model-size.js';
import { parseJob } from './parse-job.js';
import { type ModelData, resolveModel } from './resolve-model.js';

const jobWith = (loss?: string, layers = '[{ dense: 8 }, relu]') =>
  parseJob(
    `apiVersion: ropeteam/v1\nname: x\ndata: { source: a.csv, target: y }\nmodel: { layers: ${layers}${loss === undefined ? '' : `, loss: ${loss}`} }\n`,
    'job.yaml',
  );

const classes = (count: number): ModelData => ({
  task: 'classification',
  featureCount: 5,
  targetCount: 1,
  classes: Array.from({ length: count }, (_, index) => `c${index}`),
});
const numbers = (targetCount: number): ModelData => ({ task: 'regression', featureCount: 5, targetCount, classes: [] });

test.each([
  ['more than two classes: one logit each', undefined, classes(10), 'softmaxCrossEntropy', 10],
  ['exactly two classes: one logit', undefined, classes(2), 'binaryCrossEntropy', 1],
  ['softmax asked for with two classes: two logits', 'softmaxCrossEntropy', classes(2), 'softmaxCrossEntropy', 2],
  ['one number', undefined, numbers(1), 'meanSquaredError', 1],
  ['three numbers: one output each', undefined, numbers(3), 'meanSquaredError', 3],
  ['a hinge of two classes: one margin', 'hinge', classes(2), 'hinge', 1],
  ['a hinge of more classes: one output each', 'hinge', classes(4), 'hinge', 4],
])('%s', (_what, loss, data, kind, outputs) => {
  expect(resolveModel(jobWith(loss), data)).toEqual({
    inputs: 5,
    outputs,
    layers: [{ kind: 'dense', units: 8 }, { kind: 'relu' }, { kind: 'dense', units: outputs }],
    loss: { kind },
    init: 'auto',
  });
});

test('settings of the loss stay with it, and smoothing by 0 is none', () => {
  const lossOf = (loss: string, data: ModelData) => resolveModel(jobWith(loss), data).loss;
  expect(lossOf('huber', numbers(2))).toEqual({ kind: 'huber', delta: 1 });
  expect(lossOf('{ huber: { delta: 0.5 } }', numbers(2))).toEqual({ kind: 'huber', delta: 0.5 });
  expect(lossOf('{ softmaxCrossEntropy: { labelSmoothing: 0.1 } }', classes(3))).toEqual({
    kind: 'softmaxCrossEntropy',
    labelSmoothing: 0.1,
  });
  expect(lossOf('{ binaryCrossEntropy: { labelSmoothing: 0 } }', classes(2))).toEqual({ kind: 'binaryCrossEntropy' });
});

test('every layer can be written, by its name where its settings have defaults', () => {
  const written =
    '[{ dense: 8 }, relu, leakyRelu, { leakyRelu: { slope: 0.2 } }, gelu, sigmoid, tanh, softmax, { dropout: 0.2 }, ' +
    'layerNorm, { layerNorm: { epsilon: 1e-6 } }]';
  expect(resolveModel(jobWith(undefined, written), numbers(1)).layers).toEqual([
    { kind: 'dense', units: 8 },
    { kind: 'relu' },
    { kind: 'leakyRelu', slope: 0.01 },
    { kind: 'leakyRelu', slope: 0.2 },
    { kind: 'gelu' },
    { kind: 'sigmoid' },
    { kind: 'tanh' },
    { kind: 'softmax' },
    { kind: 'dropout', rate: 0.2 },
    { kind: 'layerNorm', epsilon: 1e-5 },
    { kind: 'layerNorm', epsilon: 1e-6 },
    { kind: 'dense', units: 1 },
  ]);
});

test('parameters are counted as the kernel counts them', () => {
  const written = '[layerNorm, { dense: 8 }, layerNorm, gelu, { dropout: 0.5 }, { dense: 3 }, layerNorm]';
  const model = resolveModel(jobWith(undefined, written), numbers(2));
  expect(parameterCount(model.inputs, model.layers)).toBe(compileModel(model).parameterCount);
});

test('a model without hidden layers is its output layer', () => {
  expect(resolveModel(jobWith(undefined, '[]'), numbers(1)).layers).toEqual([{ kind: 'dense', units: 1 }]);
});

test.each([
  ['meanSquaredError', classes(3), 'model.loss', /loss for numbers, the target has 3 classes/, /remove model\.loss/],
  ['binaryCrossEntropy', classes(3), 'model.loss', /tells two classes apart, the target has 3/, /softmaxCrossEntropy/],
  ['softmaxCrossEntropy', numbers(1), 'model.loss', /loss for classes, the target is a number/, /meanSquaredError/],
  ['binaryCrossEntropy', numbers(2), 'model.loss', /the target is 2 numbers/, /meanSquaredError/],
  ['huber', classes(3), 'model.loss', /huber is a loss for numbers, the target has 3 classes/, /remove model\.loss/],
  ['hinge', numbers(1), 'model.loss', /hinge is a loss for classes, the target is a number/, /meanSquaredError/],
  [undefined, classes(1), 'data.target', /one class, "c0"; there is nothing to tell apart/, /two different labels/],
])('%s for data it does not suit is refused with a way out', (loss, data, key, words, hint) => {
  const error = refusal(() => resolveModel(jobWith(loss), data));
  expect([error.code, error.facts]).toEqual(['CONFIG.CONFLICT', { key }]);
  expect(error.message).toMatch(words);
  expect(error.hint).toMatch(hint);
});

test('a model whose first layer is too wide for its inputs is refused before anything is allocated', () => {
  const error = refusal(() =>
    resolveModel(jobWith(undefined, '[{ dense: 1048576 }]'), { ...numbers(1), featureCount: 300 }),
  );
  expect(error.code).toBe('MODEL.TOO_LARGE');
  expect(error.facts).toEqual({ bytes: 4 * (301 * 1_048_576 + 1_048_577) });
});

test('a target that turns out to be labels cannot be scaled', () => {
  const job = parseJob(
    'apiVersion: ropeteam/v1\nname: x\ndata: { source: a.csv, target: y, scaleTarget: minmax }\nmodel: { layers: [] }\n',
    'job.yaml',
  );
  expect(resolveModel(job, numbers(1)).outputs).toBe(1);
  const error = refusal(() => resolveModel(job, classes(2)));
  expect([error.code, error.facts, error.hint]).toEqual([
    'CONFIG.CONFLICT',
    { key: 'data.scaleTarget' },
    'remove data.scaleTarget, or set data.task: regression',
  ]);
});

function refusal(action: () => unknown): RopeteamError {
  try {
    action();
  } catch (error) {
    if (error instanceof RopeteamError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}
