import { expect, test } from 'vitest';
import { parseJob } from './parse-job.js';
import { job, type RefusedEdit, refusalOf } from './refused-edit.test-support.js';

const edits: readonly RefusedEdit[] = [
  [
    'more replicas than samples in a batch',
    'epochs: 30',
    'localSteps: { steps: 9, replicas: 512 }',
    'CONFIG.CONFLICT',
    '12:37+3',
    /replicas is 512, more than the 256 samples of train\.batch/,
    /share it/,
  ],
  [
    'a cut finer than a replica’s share',
    'microBatches: auto',
    'microBatches: 4\n  localSteps: { steps: 9, replicas: 128 }',
    'CONFIG.CONFLICT',
    '14:17+1',
    /microBatches is 4, more than the 2 samples each of 128 replicas/,
    /leave microBatches out/,
  ],
  [
    'replicas that are no power of two',
    'epochs: 30',
    'localSteps: { steps: 9, replicas: 3 }',
    'CONFIG.RANGE',
    '12:37+1',
    /replicas must be a power of two from 1 to 1024/,
    /^$/,
  ],
  [
    'rounds of no steps',
    'epochs: 30',
    'localSteps: { steps: 0 }',
    'CONFIG.RANGE',
    '12:24+1',
    /steps must be a whole number from 1 to 4096/,
    /^$/,
  ],
];

test.each(edits)('local steps are refused for %s', (...edit) => {
  const [, , , code, place, words, hint] = edit;
  const error = refusalOf(edit);
  expect({ code: error.code, place: error.place }).toEqual({ code, place });
  expect(error.message).toMatch(words);
  expect(error.hint).toMatch(hint);
});

test('local steps name their number alone, and have four replicas and a gentle momentum then', () => {
  const { train } = parseJob(job.replace('epochs: 30', 'localSteps: { steps: 9 }'), 'job.yaml');
  expect(train.localSteps).toEqual({ steps: 9, replicas: 4, outer: { learningRate: 0.7, momentum: 0.5 } });
  expect(parseJob(job, 'job.yaml').train).not.toHaveProperty('localSteps');
});
