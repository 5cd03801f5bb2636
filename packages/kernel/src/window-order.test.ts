import fc from 'fast-check';
import { expect, test } from 'vitest';
import { samplePermutation } from './sample-permutation.js';
import { countWindows, epochWindows, sampleAtOf, windowRows } from './window-order.js';

const cuts = fc.record({ blockRows: fc.integer({ min: 1, max: 9 }), blocks: fc.integer({ min: 2, max: 7 }) });

test('an epoch in windows meets every sample exactly once, each window those of its blocks', () => {
  fc.assert(
    fc.property(
      fc.nat(1e6),
      fc.nat(50),
      fc.integer({ min: 1, max: 300 }),
      cuts,
      fc.boolean(),
      (seed, epoch, samples, cut, shuffle) => {
        const windows = epochWindows(seed, epoch, samples, cut, shuffle);
        expect(windows.count).toBe(countWindows(samples, cut));
        const met: number[] = [];
        let position = 0;
        for (let index = 0; index < windows.count; index++) {
          const { begin, end, blocks } = windows.window(index);
          expect(begin).toBe(position);
          expect(end - begin).toBeLessThanOrEqual(windowRows(cut));
          const rows = blocks.flatMap((block) =>
            Array.from({ length: Math.min(cut.blockRows, samples - block * cut.blockRows) }, (_, row) => {
              return block * cut.blockRows + row;
            }),
          );
          const drawn: number[] = [];
          for (; position < end; position++) {
            expect(windows.windowOf(position)).toBe(index);
            drawn.push(windows.sampleAt(position));
          }
          expect(drawn.toSorted((a, b) => a - b)).toEqual(rows.toSorted((a, b) => a - b));
          met.push(...drawn);
        }
        expect(position).toBe(samples);
        if (!shuffle) expect(met).toEqual(met.map((_, at) => at));
      },
    ),
  );
});

test('windows of an epoch, and epochs, have orders of their own', () => {
  const cut = { blockRows: 4, blocks: 8 };
  const orderOf = (seed: number, epoch: number): string => {
    const { sampleAt } = epochWindows(seed, epoch, 128, cut, true);
    return Array.from({ length: 128 }, (_, position) => sampleAt(position)).join();
  };
  expect(new Set([orderOf(1, 0), orderOf(1, 1), orderOf(2, 0), orderOf(2, 1)]).size).toBe(4);
  const { window } = epochWindows(1, 0, 128, cut, true);
  expect(window(0).order?.keys).not.toEqual(window(1).order?.keys);
});

test('the order of a set that is one window is still not that of the whole set, and known bits stay', () => {
  const whole = Array.from({ length: 40 }, (_, position) => samplePermutation(7, 3, 40)(position));
  const { sampleAt } = epochWindows(7, 3, 40, { blockRows: 5, blocks: 3 }, true);
  const windowed = Array.from({ length: 40 }, (_, position) => sampleAt(position));
  expect(windowed).not.toEqual(whole);
  expect(windowed.slice(0, 15)).toMatchInlineSnapshot(`
    [
      8,
      36,
      5,
      7,
      29,
      35,
      25,
      9,
      6,
      26,
      28,
      38,
      39,
      27,
      37,
    ]
  `);
});

test('each sample comes about equally often in each window', () => {
  const cut = { blockRows: 3, blocks: 4 };
  const counts = new Uint32Array(60 * 5);
  for (let epoch = 0; epoch < 2000; epoch++) {
    const { sampleAt, windowOf } = epochWindows(11, epoch, 60, cut, true);
    for (let position = 0; position < 60; position++) counts[sampleAt(position) * 5 + windowOf(position)]!++;
  }
  // 400 expected, deviation 18
  expect(Math.min(...counts)).toBeGreaterThan(310);
  expect(Math.max(...counts)).toBeLessThan(490);
});

test('without windows it is the order of the whole, and without shuffle that of the file', () => {
  const windows = { blockRows: 2, blocks: 2 };
  expect(sampleAtOf(5, 1, 30, { shuffle: true })(4)).toBe(samplePermutation(5, 1, 30)(4));
  expect(sampleAtOf(5, 1, 30, { shuffle: false, windows })(4)).toBe(4);
  expect(sampleAtOf(5, 1, 30, { shuffle: true, windows })(4)).toBe(epochWindows(5, 1, 30, windows, true).sampleAt(4));
});

test('a cut that is none, and positions outside, are refused', () => {
  for (const cut of [
    { blockRows: 0, blocks: 2 },
    { blockRows: 1.5, blocks: 2 },
    { blockRows: 2, blocks: 1 },
  ]) {
    expect(() => epochWindows(1, 0, 10, cut, true)).toThrow(RangeError);
  }
  const windows = epochWindows(1, 0, 10, { blockRows: 2, blocks: 2 }, true);
  for (const position of [-1, 10, 0.5]) expect(() => windows.sampleAt(position)).toThrow(RangeError);
  expect(() => windows.window(3)).toThrow(RangeError);
});
