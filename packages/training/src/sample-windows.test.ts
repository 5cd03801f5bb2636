import fc from 'fast-check';
import { expect, test } from 'vitest';
import { windowRows } from '#kernel';
import { fence, runId } from './identities.js';
import { leaseEnd } from './lease-length.js';
import { type RunShape, samplesOfStep } from './run-shape.js';
import { askedWindows, cutOfWindow, isShuffled, resolveWindows } from './sample-windows.js';

const MIB = 2 ** 20;

test('up to 256 MiB the whole split is mixed, beyond that 64 MiB in 64 blocks', () => {
  const floats = 256; // a kilobyte a row
  const rows = 256 * 1024;
  expect(resolveWindows({ shuffle: true, batch: 32 }, rows, floats)).toEqual({ shuffle: true });
  const large = resolveWindows({ shuffle: true, batch: 32 }, rows + 1, floats);
  expect(large).toEqual({ shuffle: { window: 64 * 1024 }, windows: { blockRows: 1024, blocks: 64 } });
  expect(4 * floats * windowRows(large.windows ?? { blockRows: 0, blocks: 0 })).toBe(64 * MIB);
});

test('what is written into the effective job means the same windows when it is read again', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5000 }),
      fc.integer({ min: 2, max: 3_000_000 }),
      fc.integer({ min: 1, max: 20_000 }),
      (floats, samples, batch) => {
        const first = resolveWindows({ shuffle: true, batch }, samples, floats);
        const again = resolveWindows({ shuffle: first.shuffle, batch: Math.min(batch, samples) }, samples, floats);
        expect(again).toEqual(first);
        expect(askedWindows(first.shuffle, samples)).toEqual(first.windows);
        if (first.windows !== undefined) expect(windowRows(first.windows)).toBeGreaterThanOrEqual(2 * batch);
      },
    ),
  );
});

test('in the order of the file windows change nothing but what is held, and the job does not say them', () => {
  const { shuffle, windows } = resolveWindows({ shuffle: false, batch: 32 }, 2_000_000, 256);
  expect(shuffle).toBe(false);
  expect(windows).toBeDefined();
});

test('a window as large as the split holds all of it, mixed or as it stands', () => {
  for (const mix of [{}, { mix: false }] as const) {
    const shuffle = { window: 2_000_000, ...mix };
    expect(resolveWindows({ shuffle, batch: 32 }, 2_000_000, 256)).toEqual({ shuffle });
    expect(resolveWindows({ shuffle, batch: 32 }, 4_000_000, 256).windows).toEqual(cutOfWindow(2_000_000));
  }
  expect([true, false, { window: 128 }, { window: 128, mix: false } as const].map(isShuffled)).toEqual([
    true,
    false,
    true,
    false,
  ]);
});

test('a window as large as the split is the order of the whole', () => {
  expect(askedWindows({ window: 1000 }, 1000)).toBeUndefined();
  expect(askedWindows({ window: 1000 }, 5000)).toEqual(cutOfWindow(1000));
  expect(askedWindows(true, 5000)).toBeUndefined();
});

test('a lease takes no more rows than an eighth of a window, and one step at the least', () => {
  const shape: RunShape = {
    run: runId('windows'),
    fence: fence(0),
    samples: { train: 100_000, validation: 0, test: 0 },
    ...{ batch: 100, microBatches: 4, stepsPerEpoch: 1000, steps: 5000, epochs: 5, limitedBy: 'epochs' },
    windows: cutOfWindow(6400),
  };
  const end = leaseEnd(shape, 10, 500);
  expect(samplesOfStep(shape, end - 1).endPosition - samplesOfStep(shape, 10).firstPosition).toBe(800);
  expect(leaseEnd({ ...shape, batch: 3200 }, 10, 500)).toBe(11);
});
