import { expect, test } from 'vitest';
import { fence, runId } from './identities.js';
import { positionFrom, progressOf } from './run-progress.js';
import type { RunShape } from './run-shape.js';
import { newRun } from './run-state.js';

const shape: RunShape = {
  run: runId('r'),
  fence: fence(1),
  samples: { train: 8, validation: 0, test: 0 },
  batch: 4,
  microBatches: 2,
  stepsPerEpoch: 2,
  steps: 6,
  epochs: 3,
  limitedBy: 'epochs',
};
const fresh = newRun({ shape, rules: {}, task: 'regression', targetCount: 1 });

test('what a checkpoint keeps of a run goes through JSON unchanged, losses that are not yet known included', () => {
  const state = {
    ...fresh,
    judging: true,
    epochSums: { ...fresh.epochSums, sampleCount: 4, lossSum: 0.1 + 0.2 },
    lastEpoch: { epoch: 0, train: { loss: 0.5 } },
    stop: { ...fresh.stop, bestTrainLoss: 0.25 },
  };
  const { epochSums, stop, judging, lastEpoch } = state;
  const position = positionFrom(2, JSON.parse(JSON.stringify(progressOf(state))));
  expect(position).toEqual({ version: 2, epochSums, stop, judging, lastEpoch });
  expect(position.stop.bestWatched).toBe(Number.POSITIVE_INFINITY);
});

test('the rule that ended a run is kept, the wish of its user is not', () => {
  expect(progressOf({ ...fresh, stoppedBy: 'patience' })).toHaveProperty('stoppedBy', 'patience');
  expect(progressOf({ ...fresh, stoppedBy: 'user' })).not.toHaveProperty('stoppedBy');
});

test('progress that lacks figures is refused', () => {
  expect(() => positionFrom(2, { judging: false, epochSums: {}, stop: {} })).toThrow(RangeError);
  expect(() => positionFrom(2, {})).toThrow(RangeError);
});
