import { expect, test } from 'vitest';
import { classWeightsByLabel, resolveClassWeights } from './class-weights.js';

const data = { task: 'classification', classes: ['no', 'yes', 'perhaps'], classCounts: [60, 10, 20] } as const;

test('balanced classes weigh alike, and 1 in the mean over the training samples', () => {
  const weights = resolveClassWeights('balanced', data)!;
  expect(weights).toEqual([0.5, 3, 1.5]);
  const total = weights.reduce((sum, weight, index) => sum + weight * data.classCounts[index]!, 0);
  expect(total).toBe(90);
});

test('labels that are not named weigh 1, whatever objects inherit', () => {
  expect(resolveClassWeights({ yes: 4 }, data)).toEqual([1, 4, 1]);
  expect(resolveClassWeights({ yes: 0.25 }, { ...data, classes: ['constructor', 'yes'] })).toEqual([1, 0.25]);
  expect(resolveClassWeights(undefined, data)).toBeUndefined();
});

test('a label that is none, and a regression, are refused with what to do', () => {
  expect(() => resolveClassWeights({ Yes: 4 }, data)).toThrow(
    expect.objectContaining({
      code: 'CONFIG.CONFLICT',
      message: 'train.classWeights names "Yes", which is no label of the target; labels: no, yes, perhaps',
      hint: 'did you mean "yes"?',
    }),
  );
  expect(() => resolveClassWeights('balanced', { ...data, task: 'regression' })).toThrow(
    expect.objectContaining({ code: 'CONFIG.CONFLICT', hint: 'remove it' }),
  );
});

test('shown by label', () => {
  expect(classWeightsByLabel({ kind: 'hinge', classWeights: [2, 3] }, ['a', 'b'])).toEqual({ a: 2, b: 3 });
  expect(classWeightsByLabel({ kind: 'hinge' }, ['a', 'b'])).toBeUndefined();
});
