import { expect, test } from 'vitest';
import { startFailureLimit } from './failure-limit.js';

test('whoever fails again and again waits longer every time, a minute at the most', () => {
  const limit = startFailureLimit();
  let now = 0;
  let attempts = 0;
  for (; now < 600_000; now += 100) {
    if (limit.wait('203.0.113.9', now) > 0) continue;
    attempts++;
    limit.failed('203.0.113.9', now);
  }
  expect(attempts).toBeGreaterThan(10);
  expect(attempts, 'of 6,000 tries in ten minutes').toBeLessThan(25);
  expect(limit.wait('203.0.113.10', now), 'nobody else is held up').toBe(0);
});

test('a few mistakes cost nothing, and are forgotten after a minute', () => {
  const limit = startFailureLimit();
  for (let mistake = 0; mistake < 4; mistake++) limit.failed('a', mistake);
  expect(limit.wait('a', 5)).toBe(0);
  limit.failed('a', 6);
  expect(limit.wait('a', 7)).toBeGreaterThan(900);
  expect(limit.wait('a', 70_000)).toBe(0);
  limit.failed('a', 70_001);
  expect(limit.wait('a', 70_002)).toBe(0);
});

test('the table is bounded, and forgets the oldest', () => {
  const limit = startFailureLimit();
  for (let failure = 0; failure < 8; failure++) limit.failed('first', 0);
  expect(limit.wait('first', 1)).toBeGreaterThan(0);
  for (let origin = 0; origin < 1_024; origin++) limit.failed(`origin-${origin}`, 1);
  expect(limit.wait('first', 1)).toBe(0);
});
