import { expect, test } from 'vitest';
import {
  formatBytes,
  formatClock,
  formatCount,
  formatPercent,
  formatRate,
  formatSeconds,
  formatSignificant,
  plural,
} from './plain-numbers.js';

test('counts are grouped and agree with their noun', () => {
  expect(formatCount(1_234_567.4)).toBe('1,234,567');
  expect([plural(1, 'block'), plural(0, 'block'), plural(2, 'class', 'classes')]).toEqual([
    '1 block',
    '0 blocks',
    '2 classes',
  ]);
});

test('only all of it is 100 %', () => {
  expect([0, 0.98224, 0.99999, 1].map(formatPercent)).toEqual(['0.0 %', '98.2 %', '99.9 %', '100.0 %']);
});

test('small and large values keep four digits or get an exponent', () => {
  expect([0, 0.21344, 12.3456, 0.000012, 3e7, -0.5].map(formatSignificant)).toEqual([
    '0.000',
    '0.2134',
    '12.35',
    '1.20e-5',
    '3.00e+7',
    '-0.5000',
  ]);
  expect([0, 0.0008].map(formatRate)).toEqual(['0', '8.0e-4']);
});

test('a length of time is never 60 of the smaller unit', () => {
  expect([0, 4.24, 59.94, 59.96, 187, 3599.6, 7500].map(formatSeconds)).toEqual([
    '0.0 s',
    '4.2 s',
    '59.9 s',
    '1 min 00 s',
    '3 min 07 s',
    '1 h 00 min',
    '2 h 05 min',
  ]);
  expect([-1, 6.2, 750, 7500].map(formatClock)).toEqual(['0:00', '0:07', '12:30', '2:05:00']);
});

test('bytes climb the units in thousands', () => {
  expect([0, 999, 1000, 19_240, 33_554_432, 2e15].map(formatBytes)).toEqual([
    '0 B',
    '999 B',
    '1.00 kB',
    '19.2 kB',
    '33.6 MB',
    '2.00e+3 TB',
  ]);
});
