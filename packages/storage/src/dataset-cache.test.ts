import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { DataSpec } from '#training';
import { type CachedDataset, type CachedPreparation, prepareCached } from './dataset-cache.js';
import { type PreparedDataset, wholeDataset } from './prepared-dataset.js';
import { decodeShard } from './shard-file.js';
import { checkUnchanged, hashSource, lookAtSources } from './source-files.js';

const SPEC: DataSpec = {
  source: 'rows.csv',
  delimiter: 'auto',
  target: ['y'],
  features: 'all',
  scale: 'standard',
  scaleTarget: 'none',
  split: { validation: { kind: 'fraction', fraction: 0.1 }, test: { kind: 'fraction', fraction: 0.1 } },
  badRows: 'error',
  maxBadRows: 100,
  missing: 'error',
  maxCategories: 64,
};
const ROWS = 1000;

let root: string;
let cache: string;
let runs = 0;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'ropeteam-cache-'));
  cache = join(root, 'cache');
  await writeFile(join(root, 'rows.csv'), rowsWith(0));
});
afterEach(() => rm(root, { recursive: true, force: true }));

const rowsWith = (shift: number): string =>
  `a,b,y\n${Array.from({ length: ROWS }, (_, row) => `${row + shift},${(row * 7) % 13},${row % 3}\n`).join('')}`;

function prepare(changes: Partial<CachedPreparation> = {}): Promise<CachedDataset> {
  return prepareCached({
    spec: SPEC,
    seed: 7,
    order: { shuffle: true, batch: 64 },
    resolve: (path) => join(root, path),
    directory: join(root, `run-${runs++}`, 'data'),
    cache: { directory: cache, maxBytes: 1e9 },
    shardBytes: 4096,
    ...changes,
  });
}

async function rowsOf({ info, readShard }: PreparedDataset): Promise<readonly number[]> {
  const rows: number[] = [];
  for (const shard of info.shards) {
    const { features, targets } = decodeShard(await readShard(shard.split, shard.index), shard, info);
    rows.push(...features, ...targets);
  }
  return rows;
}

const entries = async (): Promise<readonly string[]> =>
  (await readdir(cache)).filter((name) => !name.startsWith('.hashes'));

test('what was prepared once is found again, with the same bytes', async () => {
  const first = await prepare();
  const again = await prepare();
  expect([first.reused, again.reused]).toEqual([false, true]);
  expect(again.dataset.info).toEqual(first.dataset.info);
  expect(await rowsOf(again.dataset)).toEqual(await rowsOf(first.dataset));
  expect(await entries()).toHaveLength(1);
});

test.each([
  ['another seed', { seed: 8 }],
  ['another spec', { spec: { ...SPEC, scale: 'minmax' as const } }],
  ['scaled targets', { spec: { ...SPEC, scaleTarget: 'standard' as const } }],
  ['another cut of the training split', { order: { shuffle: { window: 128 }, batch: 64 } }],
])('%s is another data set', async (_, changes) => {
  await prepare();
  expect((await prepare(changes)).reused).toBe(false);
  expect((await prepare(changes)).reused).toBe(true);
  expect((await prepare()).reused).toBe(true);
});

test('other bytes under the same name are another data set, the same bytes under another are not', async () => {
  const first = await prepare();
  await writeFile(join(root, 'rows.csv'), rowsWith(1));
  const other = await prepare();
  expect(other.reused).toBe(false);
  expect(other.dataset.info.dataSha256).not.toBe(first.dataset.info.dataSha256);
  await writeFile(join(root, 'moved.csv'), rowsWith(0));
  expect((await prepare({ resolve: () => join(root, 'moved.csv') })).reused).toBe(true);
});

const damages: readonly (readonly [string, (shard: string) => Promise<unknown>])[] = [
  [
    'a flipped bit',
    async (shard) => {
      const bytes = await readFile(shard);
      bytes[bytes.length - 5]! ^= 1;
      await writeFile(shard, bytes);
    },
  ],
  ['a missing shard', (shard) => rm(shard)],
  ['a shard cut short', (shard) => truncate(shard, 100)],
];

test.each(damages)('%s is found, and the data set is made again', async (_, damage) => {
  const first = await prepare();
  const [entry = ''] = await entries();
  const [shard = ''] = (await readdir(join(cache, entry))).filter((name) => name.startsWith('train'));
  await damage(join(cache, entry, shard));
  const again = await prepare();
  expect(again.reused).toBe(false);
  expect(again.dataset.info).toEqual(first.dataset.info);
  await rowsOf(again.dataset); // every shard has its checksum
  expect((await prepare()).reused).toBe(true);
});

test('two that prepare the same at the same time both get it, and one entry stays', async () => {
  const [one, other] = await Promise.all([prepare(), prepare()]);
  expect(await rowsOf(one.dataset)).toEqual(await rowsOf(other.dataset));
  expect(await entries()).toHaveLength(1);
});

test('beyond its size the entry not used for longest goes, and nobody loses rows by it', async () => {
  const first = await prepare();
  const bytes = first.dataset.info.shards.reduce((sum, shard) => sum + shard.bytes, 0);
  const small = { cache: { directory: cache, maxBytes: Math.floor(2.5 * bytes) } };
  await prepare({ ...small, seed: 8 });
  await prepare(small); // used again
  await prepare({ ...small, seed: 9 });
  expect(await entries()).toHaveLength(2);
  expect((await prepare(small)).reused).toBe(true);
  expect((await prepare({ ...small, seed: 8 })).reused).toBe(false);
  await rm(cache, { recursive: true });
  expect(await rowsOf(first.dataset)).not.toEqual([]);
});

test('with a size of 0, or for a set that is larger, nothing is kept', async () => {
  for (const maxBytes of [0, 100]) {
    const { dataset, reused } = await prepare({ cache: { directory: cache, maxBytes } });
    expect(reused).toBe(false);
    expect(await rowsOf(dataset)).toHaveLength(ROWS * 3);
  }
  await mkdir(cache, { recursive: true });
  expect(await entries()).toEqual([]);
});

test('a failure leaves nothing behind', async () => {
  await writeFile(join(root, 'rows.csv'), 'a,b,y\n1,x,0\n2,3,1\n3,4\n');
  await expect(prepare()).rejects.toThrow();
  expect(await entries()).toEqual([]);
});

test('cells that go to disk while they are read give the same shards', async () => {
  const inMemory = await prepare();
  const onDisk = await prepare({ readingBytes: 0, cache: { directory: cache, maxBytes: 0 } });
  expect(onDisk.dataset.info).toEqual(inMemory.dataset.info);
});

test('a file that is written to while it is read is named', async () => {
  let wrote = false;
  const reading = prepare({
    onProgress: () => {
      if (wrote) return;
      wrote = true;
      void writeFile(join(root, 'rows.csv'), rowsWith(5));
    },
  });
  await expect(reading).rejects.toMatchObject({ code: 'DATA.CHANGED', facts: { file: 'rows.csv' } });
  expect(await entries()).toEqual([]);
});

test('the hash of a file is remembered until the file is touched', async () => {
  const memory = join(root, 'hashes');
  const stateOf = async () => (await lookAtSources(SPEC, (path) => join(root, path)))[0]!;
  const state = await stateOf();
  const fresh = await hashSource(state, memory);
  await checkUnchanged([state]);
  // What a file that was touched a moment ago holds is not remembered: it might be touched again within the same tick.
  await expect(readdir(memory)).rejects.toMatchObject({ code: 'ENOENT' });
  const old = new Date(Date.now() - 3_600_000);
  const { utimes } = await import('node:fs/promises');
  await utimes(join(root, 'rows.csv'), old, old);
  expect(await hashSource(await stateOf(), memory)).toBe(fresh);
});

test('of much data the sizes of files are looked at unless all is asked for', async () => {
  const { dataset } = await prepare();
  expect(dataset.info.shards.length).toBeGreaterThan(3);
  const directory = join(root, `run-${runs - 1}`, 'data');
  expect(await wholeDataset(directory, 'all')).toBeDefined();
  expect(await wholeDataset(join(root, 'nothing'))).toBeUndefined();
});
