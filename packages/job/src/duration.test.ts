import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatDuration, parseDuration } from './duration.js';

test.each([
  ['250ms', 250],
  ['30s', 30_000],
  ['0.25s', 250],
  ['1.5m', 90_000],
  ['2h', 7_200_000],
  ['0.0009s', undefined],
  ['30', undefined],
  ['30 s', undefined],
  ['-1s', undefined],
  ['1d', undefined],
  ['1e3s', undefined],
])('%s is %s milliseconds', (text, milliseconds) => {
  expect(parseDuration(text)).toBe(milliseconds);
});

test('a duration written out is read back to the millisecond', () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 604_800_000 }), (ms) => parseDuration(formatDuration(ms)) === ms));
  expect([30_000, 90_000, 120_000, 1_500, 3_600_000].map(formatDuration)).toEqual(['30s', '90s', '2m', '1500ms', '1h']);
});
