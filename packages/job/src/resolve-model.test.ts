import { expect, test } from 'vitest';
import { RopeteamError } from '#training';
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
])('%s', (_what, loss, data, kind, outputs) => {
  expect(resolveModel(jobWith(loss), data)).toEqual({
    inputs: 5,
    outputs,
    layers: [{ kind: 'dense', units: 8 }, { kind: 'relu' }, { kind: 'dense', units: outputs }],
    loss: { kind },
    init: 'auto',
  });
});

test('a model without hidden layers is its output layer', () => {
  expect(resolveModel(jobWith(undefined, '[]'), numbers(1)).layers).toEqual([{ kind: 'dense', units: 1 }]);
});

test.each([
  ['meanSquaredError', classes(3), 'model.loss', /loss for numbers, the target has 3 classes/, /remove model\.loss/],
  ['binaryCrossEntropy', classes(3), 'model.loss', /tells two classes apart, the target has 3/, /softmaxCrossEntropy/],
  ['softmaxCrossEntropy', numbers(1), 'model.loss', /loss for classes, the target is a number/, /meanSquaredError/],
  ['binaryCrossEntropy', numbers(2), 'model.loss', /the target is 2 numbers/, /meanSquaredError/],
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

function refusal(action: () => unknown): RopeteamError {
  try {
    action();
  } catch (error) {
    if (error instanceof RopeteamError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}
