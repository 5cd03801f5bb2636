/** The cut of a run into rounds, whatever job and data are. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { learningRateAt, microBatchRange } from '#kernel';
import { fence, runId } from './identities.js';
import type { JobSpec } from './job-spec.js';
import {
  averageTerms,
  coordinatorUpdate,
  effectiveCut,
  localStepsBefore,
  rateOfStep,
  ratesOfRound,
} from './local-steps.js';
import { type RunShape, samplesOfStep, shapeRun } from './run-shape.js';

type Train = JobSpec['train'];

const OPTIMIZER = { kind: 'sgd', learningRate: 0.5 } as const;
const TRAIN: Omit<Train, 'batch' | 'limit'> = {
  microBatches: 'auto',
  wire: 'float32',
  metric: 'loss',
  keep: 'last',
  onNonFinite: 'stop',
  verify: 0,
  optimizer: OPTIMIZER,
  schedule: { warmup: 3, after: { kind: 'linear', to: 0 } },
  stop: {},
  shuffle: true,
  seed: 7,
};

const limits = fc.oneof(
  fc.record({ kind: fc.constant('epochs' as const), epochs: fc.integer({ min: 1, max: 4 }) }),
  fc.record({ kind: fc.constant('steps' as const), steps: fc.integer({ min: 1, max: 200 }) }),
);

const jobs = fc
  .record({
    samples: fc.integer({ min: 1, max: 3000 }),
    batch: fc.integer({ min: 1, max: 400 }),
    steps: fc.integer({ min: 1, max: 40 }),
    replicas: fc.constantFrom(1, 2, 4, 8),
    limit: limits,
  })
  .map(({ samples, batch, steps, replicas, limit }) => {
    const outer = { learningRate: 0.7, momentum: 0.9 };
    const train: Train = { ...TRAIN, limit, batch, localSteps: { steps, replicas, outer } };
    return { train, samples, shape: shapeOf(train, samples) };
  });

function shapeOf(train: Train, samples: number): RunShape & { readonly local: NonNullable<RunShape['local']> } {
  const shape = shapeRun(runId('run'), fence(1), train, { train: samples, validation: 0, test: 0 }, 1000);
  const { local } = shape;
  if (local === undefined) throw new Error('a job with local steps has rounds');
  return { ...shape, local };
}

/** Sizes of the local batches of one replica in one round, as a worker cuts them. */
function batchesOf({ local, microBatches, ...shape }: ReturnType<typeof shapeOf>, round: number, replica: number) {
  const { firstPosition, endPosition } = samplesOfStep(shape, round);
  const { begin, end } = microBatchRange(firstPosition, endPosition, microBatches, replica);
  const sizes: number[] = [];
  for (let at = begin; at < end; at += local.batch) sizes.push(Math.min(local.batch, end - at));
  return { begin, end, sizes };
}

test('the replicas of an epoch’s rounds meet each of its samples once, and none makes more than H steps', () => {
  fc.assert(
    fc.property(jobs, ({ shape, samples }) => {
      let next = 0;
      for (let round = 0; round < shape.stepsPerEpoch; round++) {
        for (let replica = 0; replica < shape.microBatches; replica++) {
          const { begin, end, sizes } = batchesOf(shape, round, replica);
          expect(begin).toBe(next);
          expect(sizes.length).toBeLessThanOrEqual(shape.local.steps);
          next = end;
        }
      }
      expect(next).toBe(samples);
    }),
  );
});

test('learning rates go on from one round to the next without a gap, to the end of the schedule', () => {
  fc.assert(
    fc.property(jobs, ({ train, shape, samples }) => {
      const { batch, microBatches, local } = shape;
      const settings = { ...local, optimizer: train.optimizer, schedule: train.schedule };
      const plan = { batch, microBatches, local: settings, dataset: { samples: { train: samples } } };
      const rates: number[] = [];
      for (let round = 0; round < shape.steps; round++) {
        const { firstPosition, endPosition } = samplesOfStep(shape, round);
        const own = ratesOfRound(plan, round, endPosition - firstPosition);
        const most = Math.max(
          ...Array.from({ length: microBatches }, (_, r) => batchesOf(shape, round, r).sizes.length),
        );
        expect(own).toHaveLength(most);
        expect(rateOfStep(train, shape, round)).toBe(own[0]);
        rates.push(...own);
      }
      const { totalSteps } = local;
      expect(totalSteps).toBe(localStepsBefore(local, shape.stepsPerEpoch, shape.steps));
      expect(rates.length).toBeLessThanOrEqual(totalSteps);
      const expected = rates.map((_, step) => learningRateAt(train.schedule, train.optimizer, step, totalSteps));
      expect(rates).toEqual(expected);
    }),
  );
});

test('a limit of local steps is reached, and overshot by less than a round', () => {
  fc.assert(
    fc.property(jobs, ({ train, shape }) => {
      if (train.limit.kind !== 'steps') return;
      const { local, stepsPerEpoch, steps } = shape;
      expect(local.totalSteps).toBeGreaterThanOrEqual(Math.min(train.limit.steps, local.totalSteps));
      expect(localStepsBefore(local, stepsPerEpoch, steps - 1)).toBeLessThan(train.limit.steps);
      expect(steps).toBeGreaterThan(0);
    }),
  );
});

test('the effective job cuts its samples as the job it was made of', () => {
  fc.assert(
    fc.property(jobs, ({ train, shape, samples }) => {
      expect(shapeOf({ ...train, ...effectiveCut(shape) }, samples)).toEqual(shape);
    }),
  );
});

test('a batch that every replica has a share of keeps its samples in a local step', () => {
  const train: Train = {
    ...TRAIN,
    batch: 256,
    limit: { kind: 'epochs', epochs: 8 },
    localSteps: { steps: 59, replicas: 4, outer: { learningRate: 0.7, momentum: 0.9 } },
  };
  const shape = shapeOf(train, 60_000);
  expect(shape).toMatchObject({ batch: 59 * 256, microBatches: 4, stepsPerEpoch: 4, steps: 32 });
  expect(shape.local).toMatchObject({ batch: 64, stepsPerEpoch: 235, totalSteps: 1880 });
});

test('the mean is over replicas, unclipped, and the outer optimizer takes it', () => {
  const outer = { learningRate: 0.6, momentum: 0.8 };
  const plain: Train = { ...TRAIN, batch: 8, limit: { kind: 'epochs', epochs: 1 }, clipNorm: 1, l2: 0.1 };
  const train: Train = { ...plain, localSteps: { steps: 2, replicas: 2, outer } };
  expect(coordinatorUpdate(train)).toEqual({ optimizer: { kind: 'momentum', ...outer, nesterov: true } });
  expect(averageTerms(train, shapeOf(train, 100), 0, 16)).toEqual({ divisor: 2, learningRate: 0.6 });
  expect(coordinatorUpdate(plain)).toEqual({ optimizer: OPTIMIZER, l2: 0.1 });
  const shape = shapeRun(runId('run'), fence(1), plain, { train: 100, validation: 0, test: 0 }, 1000);
  expect(averageTerms(plain, shape, 0, 16)).toEqual({ divisor: 16, learningRate: 0.125, clipNorm: 1 });
});
