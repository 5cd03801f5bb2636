import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type DataSpec, type FileNames, RopeteamError } from '#training';
import { dataSpec } from './data-spec.fixture.js';
import { prepareCached } from './dataset-cache.js';
import { expandSources, listAmong, listInside } from './expand-sources.js';
import { prepareDataset } from './prepare-dataset.js';
import type { PreparedDataset } from './prepared-dataset.js';
import { resolveInside } from './resolve-inside.js';
import { decodeShard } from './shard-file.js';

let root = '';
let runs = 0;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'ropeteam-files-'));
});
afterEach(() => rm(root, { recursive: true }));

async function write(files: Readonly<Record<string, string | Uint8Array>>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(root, name)), { recursive: true });
    await writeFile(join(root, name), content);
  }
}

const specOf = (source: FileNames, spec: Partial<DataSpec> = {}): DataSpec =>
  dataSpec({ source, maxCategories: 3, ...spec });

const expand = (spec: DataSpec): Promise<DataSpec> => expandSources(spec, listInside(root), 'the folder');
const expanded = async (source: FileNames): Promise<FileNames> => (await expand(specOf(source))).source;

const optionsOf = (spec: DataSpec) => ({
  spec,
  seed: 1,
  resolve: (path: string) => resolveInside(root, path),
  directory: join(root, `out-${runs++}`),
});

async function prepare(source: FileNames, spec: Partial<DataSpec> = {}): Promise<PreparedDataset> {
  return prepareDataset(optionsOf(await expand(specOf(source, spec))));
}

/** Features and target of every training row, in order. */
async function rowsOf({ info, readShard }: PreparedDataset): Promise<readonly (readonly number[])[]> {
  const rows: number[][] = [];
  for (const shard of info.shards.filter(({ split }) => split === 'train')) {
    const { features, targets } = decodeShard(await readShard(shard.split, shard.index), shard, info);
    for (const [at, target] of targets.entries()) {
      rows.push([...features.subarray(at * info.featureCount, (at + 1) * info.featureCount), target]);
    }
  }
  return rows;
}

async function failure(work: Promise<unknown>): Promise<RopeteamError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof RopeteamError) return error;
  throw new Error(`expected a RopeteamError, got ${String(error)}`);
}

test('several files are in the byte order of their names, each once, however they were listed', async () => {
  await write({ 'b.csv': 'x', 'a.csv': 'x', 'B.csv': 'x', 'ä.csv': 'x', 'p/c.csv': 'x', '.d.csv': 'x' });
  const all = ['B.csv', 'a.csv', 'b.csv', 'ä.csv'];
  expect(await expanded('*.csv')).toEqual(all);
  expect(await expanded(['ä.csv', './b.csv', '[aB].c*', '?.csv'])).toEqual(['./b.csv', 'B.csv', 'a.csv', 'ä.csv']);
  expect(await expanded('**/*.csv')).toEqual([...all.slice(0, 3), 'p/c.csv', 'ä.csv']);
  expect(await expanded('{a,p/c}.c*')).toEqual(['a.csv', 'p/c.csv']);
  expect(await expanded('a.c?v')).toBe('a.csv');
  expect(await expanded('data[1].csv')).toBe('data[1].csv');
});

test('names that came with a job are matched as files in a folder are', async () => {
  const names = ['p/a.csv', 'p/b.csv', 'p/q/c.csv', 'p/.d.csv', 'P/a.csv', './r/e.csv'];
  await write(Object.fromEntries(names.map((name) => [name, 'x'])));
  for (const pattern of ['p/*.csv', './p/*', '**/*.csv', 'p/{a,b}.c*', 'p/[!a].csv*', 'r/*', '@(p)/*']) {
    const there = await listInside(root)(pattern);
    const among = await listAmong(names)(pattern);
    const found = new Set(among.map((name) => name.replace('./', '')));
    expect([pattern, found]).toEqual([pattern, new Set(there)]);
  }
});

test.each(['../*.csv', '/tmp/*.csv', 'p/../../*.csv', '..\\*.csv', '%2e%2e/*.csv', 'C:/*.csv'])(
  'the pattern %s is refused: it leaves its folder',
  async (pattern) => {
    expect((await failure(expanded(pattern))).code).toBe('DATA.OUTSIDE_ROOT');
    expect((await failure(expandSources(specOf(pattern), listAmong(['a.csv']), 'here'))).code).toBe(
      'DATA.OUTSIDE_ROOT',
    );
  },
);

test('no spelling of a pattern reaches a file beside the folder', async () => {
  await write({ 'in/a.csv': 'x', 'secret.csv': 'x' });
  const list = listInside(join(root, 'in'));
  for (const pattern of ['{..,a}/*.csv', '{.,x}./*.csv', '[.][.]/*.csv', '{../,}*.csv', '@(..)/*.csv', '.*/*.csv']) {
    expect(await list(pattern)).not.toContainEqual(expect.stringContaining('secret'));
  }
  await symlink('../secret.csv', join(root, 'in', 'link.csv'));
  expect((await failure(Promise.resolve(list('*.csv')))).message).toMatch(
    /"link.csv" is a link that leaves its folder/,
  );
});

test('a pattern that matches nothing is told with its folder', async () => {
  const error = await failure(expanded(['a.csv', 'parts/*.parquet']));
  expect(error.code).toBe('DATA.FILE');
  expect(error.message).toBe('no file matches "parts/*.parquet" in the folder');
});

test('more files than a thousand are refused', async () => {
  const names = Array.from({ length: 1001 }, (_, n) => `${n}.csv`);
  const error = await failure(expandSources(specOf('*.csv'), listAmong(names), 'here'));
  expect([error.code, error.facts]).toEqual(['DATA.LIMIT', { file: '*.csv', limit: 1000 }]);
});

test('a file to train on is not one to measure with', async () => {
  await write({ 'a.csv': 'x', 'test.csv': 'x' });
  const split = { validation: { kind: 'fraction', fraction: 0 }, test: { kind: 'file', path: './test.csv' } } as const;
  const error = await failure(expand(specOf('*.csv', { split })));
  expect(error.code).toBe('CONFIG.CONFLICT');
  expect(error.message).toMatch(/^\.\/test\.csv is in data\.split\.test and in data\.source too/);
});

const csv = (first: number, ...names: readonly string[]): string =>
  `${names.join(',')}\n${[0, 1].map((row) => `${names.map((name) => first + row * 10 + 'aby'.indexOf(name)).join(',')}\n`).join('')}`;
const ROWS = [
  [1, 2, 3],
  [11, 12, 13],
  [101, 102, 103],
  [111, 112, 113],
  [201, 202, 203],
  [211, 212, 213],
];
const json = (first: number): string =>
  ROWS.slice(first, first + 2)
    .map(([a, b, y]) => `${JSON.stringify({ y, b, a })}\n`)
    .join('');
const parquet = (first: number): Uint8Array =>
  new Uint8Array(
    parquetWriteBuffer({
      columnData: ['y', 'a', 'b'].map((name) => ({
        name,
        data: ROWS.slice(first, first + 2).map((row) => row['aby'.indexOf(name)]!),
        type: 'INT32' as const,
      })),
    }),
  );

test.each([
  [
    'CSV',
    'p/*.csv*',
    {
      'p/1.csv': csv(1, 'a', 'b', 'y'),
      'p/2.csv.gz': gzipSync(csv(101, 'y', 'a', 'b')),
      'p/3.csv': csv(201, 'b', 'y', 'a').replaceAll(',', ';'),
    },
  ],
  [
    'TSV',
    '?.tsv',
    { '1.tsv': csv(1, 'a', 'b', 'y'), '2.tsv': csv(101, 'a', 'b', 'y'), '3.tsv': csv(201, 'y', 'a', 'b') },
  ],
  ['JSON Lines', '**/*.jsonl', { '1.jsonl': json(0), '2.jsonl': json(2), 'q/3.jsonl': json(4) }],
  [
    'Parquet',
    ['3.parquet', '[12].parquet*'],
    { '1.parquet': parquet(0), '2.parquet': parquet(2), '3.parquet': parquet(4) },
  ],
] as const)('rows of several files of %s follow each other, each column by its name', async (format, source, files) => {
  const tabbed = format === 'TSV' ? (text: string | Uint8Array) => String(text).replaceAll(',', '\t') : undefined;
  await write(Object.fromEntries(Object.entries(files).map(([name, text]) => [name, tabbed?.(text) ?? text])));
  const rows = await rowsOf(await prepare(source, { features: ['a', 'b'] }));
  // JSON Lines and the first Parquet file have b before a, or the other way round: which is which shows in the numbers.
  expect(rows.map((row) => [...row].sort((left, right) => left - right))).toEqual(ROWS);
  const whole = await rowsOf(await prepare([...Object.keys(files)].reverse(), { features: ['a', 'b'] }));
  expect(whole).toEqual(rows);
});

test('a key that one file of JSON Lines does not have is missing there', async () => {
  await write({ '1.jsonl': '{"a":1,"y":2}\n{"a":1,"y":3}\n', '2.jsonl': '{"y":4,"b":7}\n' });
  const rows = await rowsOf(await prepare('*.jsonl', { missing: 'zero' }));
  expect(rows).toEqual([
    [1, 0, 2],
    [1, 0, 3],
    [0, 7, 4],
  ]);
});

test.each([
  ['a column less', 'a,y\n1,2\n', /^2\.csv:1: has no column "b", which 1\.csv has$/],
  ['a column more', 'a,b,c,y\n1,2,3,4\n', /^2\.csv:1, column "c": is a column that 1\.csv does not have$/],
  ['a column twice', 'a,b,b,y\n1,2,3,4\n', /^2\.csv:1, column "b": columns 2 and 3 have the same name$/],
])('a file with %s is told with the column', async (_, content, message) => {
  await write({ '1.csv': csv(1, 'a', 'b', 'y'), '2.csv': content, '3.csv': csv(1, 'a', 'b', 'y') });
  const error = await failure(prepare('*.csv'));
  expect(error.code).toBe('DATA.COLUMN');
  expect(error.message).toMatch(message);
});

test('what is wrong with rows is told with their own file and line', async () => {
  const rows = 'a,b,y\n1,2,3\n';
  await write({ '1.csv': rows, '2.csv.gz': gzipSync(`y;b;a\n1;2;3\n\n1;;"3"\n1;x y;3\n`), '3.csv': `${rows}1,2\n` });
  const { problems = [] } = await failure(prepare(['1.csv', '3.csv', '2.csv.gz']));
  expect(problems.map(({ place }) => place)).toMatchObject([
    { file: '3.csv', line: 2 + 1 },
    { file: '2.csv.gz', line: 4, column: 3 },
    { file: '2.csv.gz', line: 5, column: 3, length: 3 },
  ]);
});

test('files of several formats, and several arrays, are not read as one', async () => {
  await write({ 'a.csv': csv(1, 'a', 'b', 'y'), 'b.jsonl': json(0), 'a.npy': 'x', 'b.npy': 'x' });
  const mixed = await failure(prepare(['a.csv', 'b.jsonl']));
  expect([mixed.code, mixed.message]).toEqual([
    'CONFIG.CONFLICT',
    expect.stringMatching(/a\.csv is csv and b\.jsonl is jsonl/),
  ]);
  expect((await failure(prepare('*.npy'))).message).toMatch(/^a\.npy holds one array without names/);
});

test('the cache knows all files and their order', async () => {
  const [one, two] = [csv(1, 'a', 'b', 'y'), csv(101, 'a', 'b', 'y')];
  await write({ '1.csv': one, '2.csv': two });
  const cache = { directory: join(root, 'cache'), maxBytes: 1e9 };
  const again = async () => prepareCached({ ...optionsOf(await expand(specOf('*.csv'))), cache });
  expect((await again()).reused).toBe(false);
  expect((await again()).reused).toBe(true);
  await write({ '1.csv': two, '2.csv': one });
  const swapped = await again();
  expect(swapped.reused).toBe(false);
  expect((await rowsOf(swapped.dataset))[0]).toEqual(ROWS[2]);
  await write({ '3.csv': csv(201, 'a', 'b', 'y') });
  expect((await again()).reused).toBe(false);
});
