import { expect, test } from 'vitest';
import { seldom } from './seldom.js';

test('of many in a second one is told, and later how many there were', () => {
  let now = 0;
  const told: (readonly [number, string])[] = [];
  const tell = seldom(
    (more, what: string) => void told.push([more, what]),
    () => now,
  );
  for (; now < 500; now++) tell(`at ${now}`);
  now = 1_500;
  tell('later');
  now = 3_000;
  tell('last');
  expect(told).toEqual([
    [0, 'at 0'],
    [499, 'later'],
    [0, 'last'],
  ]);
});
