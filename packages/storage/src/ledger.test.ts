import { appendFile, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { LedgerRecord } from '#training';
import { openLedger, readLedger } from './ledger.js';

let path = '';
beforeEach(async () => {
  path = join(await mkdtemp(join(tmpdir(), 'ropeteam-ledger-')), 'ledger.ndjson');
});
afterEach(() => rm(join(path, '..'), { recursive: true }));

function record(step: number): Omit<LedgerRecord, 'previous'> {
  return {
    run: 'digits-1',
    fence: 1,
    step,
    epoch: 0,
    firstPosition: step * 8,
    endPosition: step * 8 + 8,
    blocks: [
      { begin: 0, end: 4, worker: 'w1', attempt: 1, samples: 8, lossSum: 1 / (step + 1), gradient: '00ff00ff00ff00ff' },
    ],
    samples: 8,
    loss: 0.1 + step,
    learningRate: 0.003,
    gradientNorm: 2,
    kernel: 'js/1',
    weights: 'ff00ff00ff00ff00',
  };
}

async function write(steps: number, from = 0, keepRecords?: number): Promise<void> {
  await using ledger = await openLedger(path, keepRecords === undefined ? {} : { keepRecords });
  for (let step = from; step < from + steps; step++) ledger.append(record(step));
  await ledger.flush();
  expect(ledger.records).toBe((keepRecords ?? from) + steps);
}

const stepsIn = (records: readonly LedgerRecord[]): number[] => records.map(({ step }) => step);

test('records come back in order, each with the hash of the line before it', async () => {
  await write(3);
  await write(2, 3);
  const records = await readLedger(path);
  expect(records.map(({ previous, ...rest }) => rest)).toEqual([0, 1, 2, 3, 4].map(record));
  expect(records[0]?.previous).toBe('0'.repeat(64));
  expect(new Set(records.map(({ previous }) => previous)).size).toBe(5);
});

test('where the first weights came from is in the first record, also when the ledger goes on or begins again', async () => {
  const initFrom = { file: 'm.safetensors', weightsSha256: 'ab'.repeat(32), matchedBy: 'names' } as const;
  for (const keepRecords of [0, 2, 0]) {
    await using ledger = await openLedger(path, { keepRecords, initFrom });
    for (let step = keepRecords; step < keepRecords + 2; step++) ledger.append(record(step));
    await ledger.flush();
    const [first, ...others] = await readLedger(path);
    expect(first?.initFrom).toEqual(initFrom);
    expect(others.filter((one) => 'initFrom' in one)).toEqual([]);
    expect(others).toHaveLength(keepRecords + 1);
  }
});

test('a flush leaves everything appended before it readable, though nothing was closed', async () => {
  await using ledger = await openLedger(path);
  for (let step = 0; step < 500; step++) ledger.append(record(step));
  await ledger.flush();
  expect((await readLedger(path)).length).toBe(500);
});

test('an incomplete last line is reported, left out, and cut off when the ledger goes on', async () => {
  await write(3);
  await appendFile(path, '{"run":"digits-1","fen');
  const torn: unknown[] = [];
  expect(stepsIn(await readLedger(path, (found) => torn.push(found)))).toEqual([0, 1, 2]);
  expect(torn).toEqual([{ line: 4, bytes: 22 }]);
  await write(1, 3);
  expect(stepsIn(await readLedger(path))).toEqual([0, 1, 2, 3]);
});

test('a resumed run cuts off the records after its checkpoint and continues the chain', async () => {
  await write(5);
  await write(2, 3, 3);
  expect(stepsIn(await readLedger(path))).toEqual([0, 1, 2, 3, 4]);
  await write(1, 0, 0);
  expect(stepsIn(await readLedger(path))).toEqual([0]);
});

test('a line changed, dropped, doubled or moved is named', async () => {
  await write(4);
  const lines = (await readFile(path, 'utf8')).trimEnd().split('\n');
  const [a, b, c, d] = lines as [string, string, string, string];
  for (const [damaged, line] of [
    [[a, b.replace('"step":1', '"step":9'), c, d], 2],
    [[a, c, d], 2],
    [[b, c, d], 1],
    [[a, a, b], 2],
    [[a, c, b, d], 2],
    [[a, b, c, d.replace('"samples":8,"loss"', '"samples":7,"loss"')], 4],
    [[a, '', b], 2],
  ] as const) {
    await writeFile(path, `${damaged.join('\n')}\n`);
    await expect(readLedger(path)).rejects.toMatchObject({ code: 'STORAGE.CORRUPT', place: { line } });
  }
  await expect(openLedger(path)).rejects.toMatchObject({ code: 'STORAGE.CORRUPT' });
});

test('2,000 flipped bits and cuts give the refusal or the beginning of what was written, never another record', async () => {
  await write(6);
  const whole = await readFile(path);
  const expected = await readLedger(path);
  await fc.assert(
    fc.asyncProperty(fc.nat(whole.length * 8 - 1), fc.boolean(), async (bit, cut) => {
      const bytes = Uint8Array.from(cut ? whole.subarray(0, bit >> 3) : whole);
      if (!cut) bytes[bit >> 3]! ^= 1 << (bit & 7);
      await writeFile(path, bytes);
      let torn = 0;
      const read = await readLedger(path, ({ bytes: count }) => (torn = count)).catch((error: unknown) => {
        expect(error).toMatchObject({ code: 'STORAGE.CORRUPT', place: { line: expect.any(Number) } });
        return undefined;
      });
      if (read === undefined) return;
      expect(read).toEqual(expected.slice(0, read.length));
      if (!cut) expect([read.length, torn > 0]).toEqual([5, true]); // only the last newline may have flipped
    }),
    { numRuns: 2000 },
  );
});

test('numbers that JSON cannot write are refused, and the record before them is still good', async () => {
  await using ledger = await openLedger(path);
  ledger.append(record(0));
  expect(() => ledger.append({ ...record(1), loss: Number.NaN })).toThrow(/loss = NaN/);
  ledger.append(record(1));
  await ledger.flush();
  expect(stepsIn(await readLedger(path))).toEqual([0, 1]);
});

test('a ledger in a folder that is not there says so', async () => {
  await expect(openLedger(join(path, 'no', 'ledger'))).rejects.toMatchObject({ code: 'STORAGE.WRITE' });
  await write(1);
  await truncate(path, 0);
  expect(await readLedger(path)).toEqual([]);
});
