import { expect, test } from 'vitest';
import { limitErrors } from './quiet-errors.js';

test('of a hundred errors in a second one is passed on, and the next says how many were kept back', () => {
  const seen: string[] = [];
  let nowMs = 0;
  const report = limitErrors(
    (error) => seen.push(error.message),
    () => nowMs,
  );
  for (nowMs = 0; nowMs < 1000; nowMs += 10) report(new Error('down'));
  expect(seen).toEqual(['down']);
  nowMs = 1000;
  report('still down');
  expect(seen).toEqual(['down', 'still down (and 99 more errors before)']);
});
