/** What is fitted comes from the training split alone: scaling, means, categories; and every class is in it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { DataSpec, SplitName } from '#training';
import { dataSpec } from './data-spec.fixture.js';
import { prepareDataset } from './prepare-dataset.js';
import type { PreparedDataset } from './prepared-dataset.js';
import { decodeShard } from './shard-file.js';

const HALF: DataSpec['split'] = {
  validation: { kind: 'fraction', fraction: 0.3 },
  test: { kind: 'fraction', fraction: 0.2 },
};
const SPEC = dataSpec({ scale: 'standard', split: HALF, missing: 'mean' });

let root = '';
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'ropeteam-fitted-'));
});
afterEach(() => rm(root, { recursive: true }));

async function prepare(text: string, spec: Partial<DataSpec> = {}): Promise<PreparedDataset> {
  await writeFile(join(root, 'data.csv'), text);
  const resolve = (path: string): string => join(root, path);
  return prepareDataset({ spec: { ...SPEC, ...spec }, seed: 7, resolve, directory: join(root, 'shards') });
}

async function rowsOf({ info, readShard }: PreparedDataset, split: SplitName): Promise<readonly (readonly number[])[]> {
  const [shard] = info.shards.filter((each) => each.split === split);
  if (shard === undefined) throw new Error(`no shard of ${split}`);
  const { features } = decodeShard(await readShard(split, shard.index), shard, info);
  return Array.from({ length: shard.end }, (_, n) => [
    ...features.subarray(n * info.featureCount, (n + 1) * info.featureCount),
  ]);
}

/** The target is the row's number, so that the shards say which rows are held out. */
const csv = (rows: readonly (readonly [string, string])[]): string =>
  `n,w,y\n${rows.map(([n, w], y) => `${n},${w},${y}`).join('\n')}\n`;
const ROWS = Array.from({ length: 40 }, (_, y): readonly [string, string] => [String((y * 7) % 11), 'abc'[y % 3]!]);

async function heldOut(): Promise<ReadonlySet<number>> {
  const { info, readShard } = await prepare(csv(ROWS));
  const rows = new Set<number>();
  for (const shard of info.shards.filter(({ split }) => split !== 'train')) {
    for (const y of decodeShard(await readShard(shard.split, shard.index), shard, info).targets) rows.add(y);
  }
  return rows;
}

test('whatever stands in rows that are kept back, training sees the same bytes', async () => {
  const held = await heldOut();
  expect(held.size).toBe(20);
  const calm = await prepare(csv(ROWS));
  const trained = calm.info.shards.filter(({ split }) => split === 'train');
  const wild = await prepare(csv(ROWS.map((row, y) => (held.has(y) ? [y % 2 === 0 ? '1e9' : '', `only-${y}`] : row))));
  expect(wild.info.shards.filter(({ split }) => split === 'train')).toEqual(trained);
  expect(wild.info.featureCount).toBe(calm.info.featureCount);
});

test('a word of no training sample is all zeros, is known to the model and is told', async () => {
  const [first] = await heldOut();
  const { info, readShard } = await prepare(csv(ROWS.map(([n, w], y) => [n, y === first ? 'aa' : w])));
  expect(info.preprocessing.columns[1]).toEqual({
    kind: 'oneHot',
    name: 'w',
    categories: ['a', 'b', 'c'],
    unseen: ['aa'],
  });
  const words = [
    ...(await rowsOf({ info, readShard }, 'validation')),
    ...(await rowsOf({ info, readShard }, 'test')),
  ].map((row) => row.slice(1).join(''));
  expect(words.filter((word) => word === '000')).toHaveLength(1);
  expect(new Set(words)).toEqual(new Set(['100', '010', '001', '000']));
  expect(info.warnings).toEqual(['column w: one word (aa) in no training sample, so the model sees no category there']);
});

test('a column of words that is empty in every training sample is refused', async () => {
  const held = await heldOut();
  await expect(prepare(csv(ROWS.map(([n], y) => [n, held.has(y) ? 'x' : ''])))).rejects.toMatchObject({
    code: 'DATA.COLUMN',
    message: 'data.csv: column w is empty in every training sample',
  });
});

test('a label of no training sample is refused with the rows it stands in', async () => {
  const split: DataSpec['split'] = { ...HALF, validation: { kind: 'fraction', fraction: 0.5 } };
  const text = `n,y\n${Array.from({ length: 10 }, (_, n) => `${n},${'aaaabcdefg'[n]}`).join('\n')}\n`;
  await expect(prepare(text, { task: 'classification', split })).rejects.toMatchObject({
    code: 'DATA.LABEL',
    message: expect.stringMatching(
      /^data.csv: label "[a-g]" occurs in no training sample, only in rows kept back \(lines? [\d, ]+\)$/,
    ),
    hint: expect.stringContaining('data.split smaller'),
    place: { file: 'data.csv', line: expect.any(Number) },
  });
});

/** Of all samples, by split: what a target was before it was scaled. */
async function targetsOf({ info, readShard }: PreparedDataset, split: SplitName): Promise<readonly number[]> {
  const shards = info.shards.filter((shard) => shard.split === split);
  const decoded = await Promise.all(
    shards.map(async (shard) => decodeShard(await readShard(split, shard.index), shard, info).targets),
  );
  return decoded.flatMap((targets) => [...targets]);
}

const FAR = `n,y,z,c\n${ROWS.map(([n], row) => `${n},${250_000 + 1_000 * ((row * row) % 37)},${row},7`).join('\n')}\n`;

test('targets are scaled by mean and deviation of the training split, each by its own, and nobody is warned', async () => {
  const target = ['y', 'z', 'c'];
  const plain = await prepare(FAR, { target });
  const raw = { train: await targetsOf(plain, 'train'), test: await targetsOf(plain, 'test') };
  expect(plain.info.preprocessing.targets).toBeUndefined();
  expect(plain.info.warnings).toEqual([expect.stringContaining('data.scaleTarget: standard')]);

  const scaled = await prepare(FAR, { target, scaleTarget: 'standard' });
  const { targets = [] } = scaled.info.preprocessing;
  expect(scaled.info.warnings).toEqual([]);
  expect(targets).toHaveLength(3);
  for (const [index, { shift, factor }] of targets.entries()) {
    const column = raw.train.filter((_, at) => at % 3 === index);
    const mean = column.reduce((sum, value) => sum + value, 0) / column.length;
    const deviation = Math.sqrt(column.reduce((sum, value) => sum + (value - mean) ** 2, 0) / column.length);
    expect(shift).toBeCloseTo(mean, 6);
    expect(factor).toBeCloseTo(deviation === 0 ? 1 : 1 / deviation, 12);
  }
  for (const split of ['train', 'test'] as const) {
    const expected = raw[split].map((value, at) => {
      const { shift, factor } = targets[at % 3]!;
      return Math.fround((value - shift) * factor);
    });
    expect(await targetsOf(scaled, split)).toEqual(expected);
  }
});

test('minmax puts the targets of the training split into 0..1, and labels are never scaled', async () => {
  const { info, readShard } = await prepare(FAR, { target: ['y'], scaleTarget: 'minmax' });
  const targets = await targetsOf({ info, readShard }, 'train');
  expect([Math.min(...targets), Math.max(...targets)]).toEqual([0, 1]);
  const labels = await prepare(
    csv(ROWS).replaceAll(/,\d+$/gm, (y) => `,k${Number(y.slice(1)) % 2}`),
    {
      task: 'classification',
      scaleTarget: 'standard',
    },
  );
  expect(labels.info.preprocessing.targets).toBeUndefined();
});
