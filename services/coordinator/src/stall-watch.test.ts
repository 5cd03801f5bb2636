import { expect, test } from 'vitest';
import { watchStalls } from './stall-watch.js';

test('a look that comes a second too late is told of once, with how late it is; a little lateness is not', () => {
  let now = 0;
  const told: number[] = [];
  const look = watchStalls(
    25,
    (ms) => told.push(ms),
    () => now,
  );
  for (const at of [25, 1_000, 2_024, 7_049, 7_074]) {
    now = at;
    look();
  }
  expect(told).toEqual([5_000]);
});
