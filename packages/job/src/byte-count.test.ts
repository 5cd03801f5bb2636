import { expect, test } from 'vitest';
import { byteCount } from './service-settings.js';

test.each([
  ['0', 0],
  ['1048576', 1_048_576],
  ['500MB', 500e6],
  ['2GiB', 2 * 2 ** 30],
  ['1.5 KB', 1500],
])('%s is %i bytes', (text, bytes) => expect(byteCount('--data-memory', text)).toBe(bytes));

test.each(['', '-1', '5 apples', '1e9', 'MB', '9999999999GiB'])('%j is refused', (text) => {
  expect(() => byteCount('--data-memory', text)).toThrow(
    expect.objectContaining({ code: 'USAGE.ARGUMENT', message: expect.stringContaining('--data-memory') }),
  );
});
