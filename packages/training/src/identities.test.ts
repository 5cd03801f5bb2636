import { expect, test } from 'vitest';
import { runId, step } from './identities.js';

test('a run id with an upper-case letter, a slash or no characters is refused', () => {
  for (const value of ['Digits', 'a/b', '', '-a', 'a'.repeat(64)]) expect(() => runId(value)).toThrow(RangeError);
  expect(runId('digits-7f3a')).toBe('digits-7f3a');
});

test('a step is a non-negative safe integer', () => {
  for (const value of [-1, 0.5, Number.NaN, 2 ** 53]) expect(() => step(value)).toThrow(/non-negative integer/);
  expect(step(0)).toBe(0);
});
