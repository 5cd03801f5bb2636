/** Columns of more words than could each be an input: `data.columns`. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type DataSpec, hashWord } from '#training';
import { dataSpec } from './data-spec.fixture.js';
import { prepareDataset } from './prepare-dataset.js';
import { decodeShard } from './shard-file.js';

const SPEC = dataSpec({ missing: 'zero', maxCategories: 4 });

let root = '';
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'ropeteam-buckets-'));
});
afterEach(() => rm(root, { recursive: true }));

async function prepare(text: string, columns: NonNullable<DataSpec['columns']>) {
  await writeFile(join(root, 'data.csv'), text);
  const directory = join(root, 'shards');
  const spec = { ...SPEC, columns };
  const { info, readShard } = await prepareDataset({ spec, seed: 7, resolve: (path) => join(root, path), directory });
  const shard = info.shards[0]!;
  const { features } = decodeShard(await readShard('train', 0), shard, info);
  const rows = Array.from({ length: shard.end }, (_, n) => [
    ...features.subarray(n * info.featureCount, (n + 1) * info.featureCount),
  ]);
  return { info, rows };
}

test('each word is the input of its hash, an empty cell none, and the model says how', async () => {
  const words = ['N1', 'N2', '', '007', '7', 'NA', 'größe', '1e999', 'x y'];
  const text = `tail,n,y\n${words.map((word, n) => `${word},${n},${n}`).join('\n')}\n`;
  const { info, rows } = await prepare(text, { tail: { kind: 'category', buckets: 16 } });
  expect(info.preprocessing.columns[0]).toEqual({ kind: 'hashed', name: 'tail', buckets: 16, seed: 0 });
  expect(info.featureCount).toBe(17);
  const places = rows.map((row) => row.slice(0, 16).indexOf(1));
  expect(places).toEqual(words.map((word) => (word === '' ? -1 : hashWord(word, 0) % 16)));
  expect(rows.map((row) => row.slice(0, 16).filter((value) => value !== 0).length)).toEqual(
    words.map((word) => Number(word !== '')),
  );
});

test('numbers that are names of things become categories', async () => {
  const { info, rows } = await prepare('month,y\n1,0\n12,1\n1,2\n6,3\n', { month: { kind: 'category' } });
  expect(info.preprocessing.columns).toEqual([{ kind: 'oneHot', name: 'month', categories: ['1', '12', '6'] }]);
  expect(rows).toEqual([
    [1, 0, 0],
    [0, 1, 0],
    [1, 0, 0],
    [0, 0, 1],
  ]);
});

test.each([
  ['a column that is not there', 'tial', /no column is called "tial", which data.columns names/],
  ['a column that is no feature', 'y', /data.columns names "y", which is not one of the features/],
])('%s is refused', async (_, name, message) => {
  await expect(prepare('n,y\n1,2\n2,3\n', { [name]: { kind: 'category' } })).rejects.toMatchObject({
    code: 'DATA.COLUMN',
    message: expect.stringMatching(message),
  });
});

test('what has too many words for categories is told how to hash them', async () => {
  const text = `w,y\n${Array.from({ length: 9 }, (_, n) => `word${n},${n}`).join('\n')}\n`;
  await expect(prepare(text, {})).rejects.toMatchObject({
    code: 'DATA.COLUMN',
    hint: expect.stringContaining('data.columns: { "w": { kind: category, buckets: 1024 } }'),
  });
});
