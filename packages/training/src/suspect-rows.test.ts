import fc from 'fast-check';
import { expect, test } from 'vitest';
import { cutBlocks } from './cut-blocks.js';
import { type Fence, runId, step as toStep } from './identities.js';
import { nameRows, type RowGround, samplesOf } from './suspect-rows.js';
import type { GradientItem } from './work-items.js';

const NOTHING_DRAWN: RowGround['data']['split'] = {
  validation: { kind: 'fraction', fraction: 0 },
  test: { kind: 'file', path: 'test.csv' },
};

const ground: RowGround = {
  shape: { microBatches: 4, samples: { train: 40, validation: 0, test: 9 } },
  seed: 7,
  data: { source: 'rows.csv', split: NOTHING_DRAWN, missing: 'error' },
  skippedRows: 0,
};

const error = { code: 'RUN.POISON_BLOCK', message: 'block 0-2 of step 1 failed', facts: { step: 1, block: '1.0-2' } };

const ids = { run: runId('r-1'), fence: 1 as Fence /* as a lead makes it */, step: toStep(1), issue: 0 };

function blockOf(begin: number, end: number, epoch = 0): GradientItem {
  return { kind: 'gradient', ...ids, epoch, firstPosition: 10, endPosition: 20, block: { begin, end } };
}

test('the blocks of an epoch, however its steps are cut, name every sample of it once', () => {
  const cases = fc.record({ workers: fc.integer({ min: 1, max: 4 }), epoch: fc.nat({ max: 9 }), seed: fc.nat() });
  fc.assert(
    fc.property(cases, ({ workers, epoch, seed }) => {
      const named = [0, 10, 20, 30].flatMap((firstPosition) =>
        cutBlocks(4, workers).flatMap((block) =>
          samplesOf(
            { ...blockOf(block.begin, block.end, epoch), firstPosition, endPosition: firstPosition + 10 },
            { ...ground, seed },
          ),
        ),
      );
      expect(named.sort((left, right) => left - right)).toEqual(Array.from({ length: 40 }, (_, sample) => sample));
    }),
  );
});

test('a block’s error names the rows of its file where no split was drawn and no row was left out', () => {
  const rows = samplesOf(blockOf(0, 2), ground).map((sample) => sample + 1);
  const named = nameRows(error, blockOf(0, 2), ground);
  expect(rows).toHaveLength(5);
  expect(named.message).toBe(`${error.message}; it computes rows ${rows.join(', ')} of rows.csv`);
  expect(named.facts).toEqual({ ...error.facts, file: 'rows.csv', rows: rows.join(', ') });
});

test.each([
  [
    'a split was drawn out of the file',
    { data: { ...ground.data, split: { ...NOTHING_DRAWN, validation: { kind: 'fraction', fraction: 0.2 } } } },
  ],
  ['rows were skipped', { skippedRows: 1 }],
  ['rows with missing cells were dropped', { data: { ...ground.data, missing: 'drop' } }],
] as const)('samples are not passed off as rows when %s', (_, differs) => {
  const { message } = nameRows(error, blockOf(0, 2), { ...ground, ...differs });
  expect(message).toMatch(/samples [\d, ]+ of the train split of rows\.csv, counted in its order$/);
});

test('part of an evaluation names the rows of the split’s own file, and a long list is cut', () => {
  const item = { kind: 'evaluation', ...ids, version: toStep(1), split: 'test', part: 0, begin: 3, end: 6 } as const;
  expect(nameRows(error, item, ground).message).toMatch(/rows 4, 5, 6 of test\.csv$/);
  expect(nameRows(error, { ...item, begin: 0, end: 100 }, ground).message).toMatch(/31, 32 and 68 more of test\.csv$/);
});

test('a lease’s error keeps naming its steps alone', () => {
  const lease = { kind: 'lease', ...ids, end: 3, epoch: 0 } as const;
  expect(nameRows(error, lease, ground)).toBe(error);
});
