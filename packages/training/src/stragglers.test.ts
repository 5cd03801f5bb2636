/** F12, F13: a slow worker is raced by a copy; where all are slow, nobody is. */
import { expect, test } from 'vitest';
import { workerId } from './identities.js';
import { isStraggler, patienceMs, UNKNOWN_PACE, withCopy, withDuration, withRace } from './pace.js';
import { runSimulation } from './simulated-cluster.fixture.js';
import { range } from './simulated-receipts.fixture.js';

const JOB = { train: 200, validation: 0, test: 0, batch: 4, microBatches: 4, epochs: 2 };
const SLOW = workerId('slow');

test('F12 what a far slower worker holds is given to another too, and the run ends the same', () => {
  const { outcome, copies, committed } = runSimulation({ ...JOB, seed: 1, workers: 4, faults: 0, slow: 2000 });
  expect(outcome.kind).toBe('finish');
  expect(committed.length).toBe(100);
  expect(copies).toContain('straggler');
});

test('F12 a lease that takes too long is given to another too', () => {
  const { outcome, copies } = runSimulation({ ...JOB, seed: 2, workers: 3, faults: 0, slow: 5000, grain: 'run' });
  expect(outcome.kind).toBe('finish');
  expect(copies).toContain('straggler');
});

test('F13 workers of one speed copy no more than one block in twenty, whatever the seed', () => {
  for (const seed of range(0, 50)) {
    const { copies, committed } = runSimulation({ ...JOB, seed, workers: 4, faults: 0 });
    expect(copies.length).toBeLessThanOrEqual(4 + (committed.length * 4) / 20);
  }
});

test('nobody is late before enough is known, nor within a quarter of a second', () => {
  expect(patienceMs(UNKNOWN_PACE)).toBeUndefined();
  const paced = range(0, 8).reduce((pace) => withDuration(pace, 10), UNKNOWN_PACE);
  expect(patienceMs(paced)).toBe(250);
  expect(patienceMs(range(0, 8).reduce((pace) => withDuration(pace, 1000), UNKNOWN_PACE))).toBe(2000);
});

test('F13 copies are bounded: four, and one for twenty results', () => {
  const paced = range(0, 20).reduce((pace) => withDuration(pace, 10), UNKNOWN_PACE);
  const after = (copies: number) => patienceMs(range(0, copies).reduce((pace) => withCopy(pace), paced));
  expect(after(4)).toBeDefined();
  expect(after(5)).toBeUndefined();
});

test('F12 three copies in a row that came first make a straggler, one result of its own clears it', () => {
  const beaten = range(0, 3).reduce((pace) => withRace(pace, SLOW, 'beaten'), UNKNOWN_PACE);
  expect(
    isStraggler(
      range(0, 2).reduce((pace) => withRace(pace, SLOW, 'beaten'), UNKNOWN_PACE),
      SLOW,
    ),
  ).toBe(false);
  expect(isStraggler(beaten, SLOW)).toBe(true);
  expect(isStraggler(withRace(beaten, SLOW, 'won'), SLOW)).toBe(false);
});
