import fc from 'fast-check';
import { expect, test } from 'vitest';
import { WINDOW_STEPS } from './announce-steps.js';
import { runSimulation } from './simulated-cluster.fixture.js';
import type { Simulated } from './simulation-options.fixture.js';

const job = fc.record({
  train: fc.integer({ min: 1, max: 200 }),
  validation: fc.integer({ min: 0, max: 3 }).map((parts) => parts * 3000),
  test: fc.integer({ min: 0, max: 40 }),
  batch: fc.integer({ min: 1, max: 64 }),
  microBatches: fc.constantFrom(1, 2, 4, 8),
  epochs: fc.integer({ min: 1, max: 4 }),
});

const GRAINS = ['step', 'run', 'mixed'] as const;

function committedSteps(result: Simulated): readonly number[] {
  return result.committed.map(({ step }) => step);
}

test('whatever workers do, every step commits once, in order, with every micro-batch exactly once', () => {
  fc.assert(
    fc.property(job, fc.integer(), fc.integer({ min: 1, max: 5 }), (shape, seed, workers) => {
      const result = runSimulation({ ...shape, seed, workers, faults: 0.15, grain: GRAINS[Math.abs(seed) % 3]! });
      expect(result.outcome.kind).toBe('finish');
      expect(committedSteps(result)).toEqual(Array.from({ length: result.steps }, (_, step) => step));
      for (const { covered } of result.committed) {
        expect(covered).toEqual(Array.from({ length: shape.microBatches }, (_, micro) => micro));
      }
    }),
    { numRuns: 400 },
  );
});

test('the end of a run and its metrics do not depend on faults or on the number of workers', () => {
  fc.assert(
    fc.property(job, fc.integer(), fc.integer({ min: 1, max: 6 }), (shape, seed, workers) => {
      const keep = seed % 2 === 0 ? { keep: 'best' as const } : {};
      const calm = runSimulation({ ...shape, ...keep, seed: 1, workers: 1, faults: 0 });
      const grain = GRAINS[Math.abs(seed) % 3]!;
      const rough = runSimulation({
        ...shape,
        ...keep,
        seed,
        workers,
        faults: 0.2,
        forgets: seed % 3 === 0,
        grain,
        lies: true,
      });
      expect(rough.outcome).toEqual(calm.outcome);
      expect(rough.epochs).toEqual(calm.epochs);
    }),
    { numRuns: 200 },
  );
});

test('without faults the queue never has to be filled again', () => {
  fc.assert(
    fc.property(job, fc.integer(), fc.integer({ min: 1, max: 5 }), (shape, seed, workers) => {
      // One move of one worker is found with a chance of 1 in 10 for each worker: e^-40 to miss it so often.
      const quietEvents = 400 * workers;
      for (const grain of GRAINS) {
        expect(runSimulation({ ...shape, seed, workers, faults: 0, quietEvents, grain }).stalls).toBe(0);
      }
    }),
    { numRuns: 100 },
  );
});

test('no step is announced further ahead than the window, nor after the last', () => {
  const result = runSimulation({
    ...{ train: 100, validation: 0, test: 10, batch: 10, microBatches: 4, epochs: 2 },
    ...{ seed: 3, workers: 3, faults: 0 },
  });
  expect(result.furthestAhead).toBeLessThanOrEqual(WINDOW_STEPS);
  expect(result.lastAnnounced).toBe(19);
});

test('a user’s stop ends the run at the step it has reached and says so', () => {
  const result = runSimulation({
    ...{ train: 100, validation: 10, test: 10, batch: 10, microBatches: 4, epochs: 50 },
    ...{ seed: 3, workers: 2, faults: 0, stopAfterSteps: 7 },
  });
  expect(result.outcome).toMatchObject({ kind: 'finish', stoppedBy: 'user' });
  expect(result.committed.length).toBeLessThanOrEqual(8);
});

test('an item that fails on every worker fails the run and names the rows', () => {
  const result = runSimulation({
    ...{ train: 100, validation: 0, test: 0, batch: 10, microBatches: 4, epochs: 2 },
    ...{ seed: 3, workers: 2, faults: 0, poison: '4.0-2' },
  });
  expect(result.outcome).toMatchObject({ kind: 'fail', error: { code: 'RUN.POISON_BLOCK' } });
  expect(result.outcome.kind === 'fail' && result.outcome.error.message).toMatch(/block 0-2 of step 4/);
});

test('with grain run every step is committed by a lease, and none crosses the end of an epoch', () => {
  fc.assert(
    fc.property(job, fc.integer(), fc.integer({ min: 1, max: 4 }), (shape, seed, workers) => {
      const result = runSimulation({ ...shape, seed, workers, faults: 0.03, grain: 'run' });
      expect(result.leased).toBe(result.steps);
      expect(result.epochs.map(({ epoch }) => epoch)).toEqual(
        Array.from({ length: shape.epochs }, (_, epoch) => epoch),
      );
    }),
    { numRuns: 100 },
  );
});

test('a lease that fails on every worker fails the run and names the steps', () => {
  const result = runSimulation({
    ...{ train: 100, validation: 0, test: 0, batch: 10, microBatches: 4, epochs: 2 },
    ...{ seed: 3, workers: 2, faults: 0, grain: 'run', poison: '3.lease-6' },
  });
  expect(result.outcome.kind === 'fail' && result.outcome.error.message).toMatch(/steps 3\.\.5 \(epoch 1\)/);
});
