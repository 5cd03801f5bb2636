/** 10,000 flipped bits and cuts over the three kinds of file a run depends on: none is taken for the whole file. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { openLedger, scanLines } from './ledger.js';
import { decodeShard, encodeShard } from './shard-file.js';

/** With the 2,000 of `checkpoint.test.ts`. */
const EACH = 4000;

const damage = (length: number) => fc.record({ bit: fc.nat(length * 8 - 1), cut: fc.boolean() });

function damaged(whole: Uint8Array, { bit, cut }: { readonly bit: number; readonly cut: boolean }): Uint8Array {
  if (cut) return whole.slice(0, bit >> 3);
  const bytes = whole.slice();
  bytes[bit >> 3]! ^= 1 << (bit & 7);
  return bytes;
}

test(`${EACH} flipped bits and cuts of a shard are all refused`, () => {
  const features = Float32Array.from({ length: 15 }, (_, index) => Math.sin(index));
  const content = { split: 'train', begin: 0, end: 5, features, targets: new Float32Array(5) } as const;
  const { info, bytes } = encodeShard(0, content);
  const dataset = { featureCount: 3, targetCount: 1 };
  expect(decodeShard(bytes, info, dataset).features).toEqual(features);
  fc.assert(
    fc.property(damage(bytes.length), (change) => {
      expect(() => decodeShard(damaged(bytes, change), info, dataset)).toThrow(/is damaged/);
    }),
    { numRuns: EACH },
  );
});

test(`${EACH} flipped bits and cuts of a ledger are all seen, and the lines before them stand`, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ropeteam-corrupt-'));
  try {
    const path = join(folder, 'ledger.ndjson');
    const whole = await ledgerOf(path, 6);
    const intact = scanLines(path, whole);
    expect(intact.damage).toBeUndefined();
    fc.assert(
      fc.property(damage(whole.length), (change) => {
        const bytes = damaged(whole, change);
        const { records, head, damage: found, tornBytes } = scanLines(path, bytes);
        // A cut right behind a line leaves a shorter ledger, which its end and the head that `run_finished` names give away.
        expect(found !== undefined || tornBytes > 0 || head !== intact.head).toBe(true);
        expect(records).toEqual(intact.records.slice(0, records.length));
        expect(records.length).toBeLessThan(intact.records.length);
      }),
      { numRuns: EACH },
    );
  } finally {
    await rm(folder, { recursive: true });
  }
});

async function ledgerOf(path: string, steps: number): Promise<Uint8Array> {
  const gradient = '00ff00ff00ff00ff';
  const block = { begin: 0, end: 4, worker: 'w1', attempt: 1, samples: 8, lossSum: 0.1, gradient };
  const figures = { samples: 8, loss: 0.1, learningRate: 0.003, gradientNorm: 2, kernel: 'js/1', weights: gradient };
  await using ledger = await openLedger(path);
  for (let step = 0; step < steps; step++) {
    const where = { run: 'r', fence: 1, step, epoch: 0, firstPosition: 8 * step, endPosition: 8 * step + 8 };
    ledger.append({ ...where, blocks: [block], ...figures });
  }
  await ledger.flush();
  return await readFile(path);
}
