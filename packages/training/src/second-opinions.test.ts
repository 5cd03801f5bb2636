/** F22, F27: blocks that two workers compute, in the simulated cluster. */
import { expect, test } from 'vitest';
import { runSimulation } from './simulated-cluster.fixture.js';
import { range } from './simulated-receipts.fixture.js';

const JOB = { train: 100, validation: 0, test: 0, batch: 4, microBatches: 4, epochs: 4 };

test('F27 with verify at 5 % a lying worker is named within 100 steps in 99 of 100 runs, and nobody else ever', () => {
  const runs = range(0, 200).map((seed) =>
    runSimulation({ ...JOB, seed, workers: 3, faults: 0, verify: 0.05, liar: true }),
  );
  for (const { outcome, named, steps } of runs) {
    expect(steps).toBe(100);
    expect(outcome.kind === 'fail' ? outcome.error.message : 'finish').toBe('finish');
    expect(named.filter((worker) => worker !== 'w0')).toEqual([]);
  }
  expect(runs.filter(({ named }) => named.length > 0).length).toBeGreaterThanOrEqual(198);
});

test('F27 without verify a lie is not noticed while no block comes twice: that is what the setting is for', () => {
  const { named } = runSimulation({ ...JOB, seed: 1, workers: 3, faults: 0, liar: true });
  expect(named).toEqual([]);
});

test.each(['run', 'mixed'] as const)('F27 leases are compared too (grain %s)', (grain) => {
  const { outcome, named } = runSimulation({ ...JOB, seed: 5, workers: 3, faults: 0, grain, verify: 1, liar: true });
  expect(outcome.kind).toBe('finish');
  expect(named).toContain('w0');
});

test('one worker alone is believed, and the run does not wait for a second', () => {
  const { outcome, copies } = runSimulation({ ...JOB, seed: 2, workers: 1, faults: 0, verify: 1 });
  expect(outcome.kind).toBe('finish');
  expect(copies).toEqual([]);
});

test('F22 a mean that is not finite once is computed by others, and no policy is asked', () => {
  const flipped = { ...JOB, seed: 3, workers: 3, faults: 0, flips: 7 };
  const { outcome, skipped, copies } = runSimulation({ ...flipped, nonFinite: { steps: [], policy: 'stop' } });
  expect(outcome.kind).toBe('finish');
  expect(skipped).toEqual([]);
  expect(copies).toContain('nonfinite');
});

test.each(['step', 'run', 'mixed'] as const)(
  'F37 what is not finite twice is left out with skip (grain %s)',
  (grain) => {
    const of = { ...JOB, seed: 4, workers: 3, faults: 0.1, grain };
    const { outcome, skipped } = runSimulation({ ...of, nonFinite: { steps: [3, 4, 60], policy: 'skip' } });
    expect(outcome.kind).toBe('finish');
    expect(skipped).toEqual([3, 4, 60]);
  },
);

test('F37 eleven steps in a row that are not finite end the run, skip or not', () => {
  const steps = range(30, 41);
  const { outcome } = runSimulation({ ...JOB, seed: 4, workers: 2, faults: 0, nonFinite: { steps, policy: 'skip' } });
  expect(outcome).toMatchObject({ kind: 'fail', error: { code: 'RUN.NONFINITE', facts: { step: 40 } } });
});

test.each(['step', 'run'] as const)('F37 stop ends the run at the step itself (grain %s)', (grain) => {
  const nonFinite = { steps: [17], policy: 'stop' } as const;
  const { outcome, committed } = runSimulation({ ...JOB, seed: 6, workers: 2, faults: 0, grain, nonFinite });
  expect(outcome).toMatchObject({ kind: 'fail', error: { code: 'RUN.NONFINITE', facts: { step: 17 } } });
  expect(committed.length).toBe(17);
});
