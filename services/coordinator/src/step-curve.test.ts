import { expect, test } from 'vitest';
import type { StepRow } from '../page/messages.js';
import { type StepCommitted, StepCurve } from './step-curve.js';

const phases = { broadcastMs: 1, computeMs: 2, uploadMs: 0, waitMs: 0, averageMs: 1, commitMs: 0 };
const committed = (step: number, loss = 1 + (step % 7)): StepCommitted => ({
  ...{ event: 'step_committed', time: '2026-01-01T00:00:00.000Z', run: 'r', step, epoch: 0, loss },
  ...{ learningRate: 0.1, gradientNorm: 1, samples: 8, durationMs: 4, workers: 1, phases },
});

/** What a page does with rows. */
function applied(rows: readonly StepRow[], curve: StepCurve, seen: number): readonly StepRow[] {
  const news = curve.since(seen);
  return news === undefined ? rows : [...rows.filter(([step = 0]) => step < news.from), ...news.rows];
}

test('100,000 steps are 2,000 points at the most, no peak and no dip is lost, and the newest step is there', () => {
  const curve = new StepCurve();
  const losses = new Map([
    [54_321, 99],
    [77_777, 0.001],
  ]);
  for (let step = 0; step < 100_000; step++) curve.add(committed(step, losses.get(step) ?? 1), step);
  const rows = curve.since(0)?.rows ?? [];
  expect(rows.length).toBeLessThanOrEqual(2_000);
  expect(rows.length).toBeGreaterThan(500);
  for (const [step, loss] of losses) expect(rows.find(([at]) => at === step)?.[1]).toBe(loss);
  expect(rows.at(-1)?.[0]).toBeGreaterThan(99_800);
  expect(rows.map(([step]) => step)).toEqual(rows.map(([step = 0]) => step).toSorted((a, b) => a - b));
});

test('a page that follows, however it is cut off and comes back, has what one that opens late has', () => {
  const curve = new StepCurve();
  let rows: readonly StepRow[] = [];
  let seen = 0;
  for (let number = 0; number < 5_000; number++) {
    curve.add(committed(number), number);
    // Now and then, in no rhythm with the columns.
    if ((number * 7919) % 61 === 0) {
      rows = applied(rows, curve, seen);
      seen = number + 1;
    }
  }
  expect(applied(rows, curve, seen)).toEqual(curve.since(0)?.rows);
});

test('there is nothing new for whoever has seen all', () => {
  const curve = new StepCurve();
  curve.add(committed(0), 3);
  expect(curve.since(4)).toBeUndefined();
  expect(curve.since(3)?.rows).toEqual([[0, 1, 0.1, 1, 4, 2000, 1, 2, 0, 0, 1, 0]]);
});
