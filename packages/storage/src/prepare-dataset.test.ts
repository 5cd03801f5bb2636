import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { DataSpec, SplitName } from '#training';
import { prepareDataset } from './prepare-dataset.js';
import { openPreparedDataset, type PreparedDataset } from './prepared-dataset.js';
import { decodeShard } from './shard-file.js';

const NO_SPLIT: DataSpec['split'] = {
  validation: { kind: 'fraction', fraction: 0 },
  test: { kind: 'fraction', fraction: 0 },
};
const SPEC: DataSpec = {
  source: 'data.csv',
  format: 'csv',
  delimiter: 'auto',
  target: ['y'],
  features: 'all',
  scale: 'none',
  scaleTarget: 'none',
  split: NO_SPLIT,
  badRows: 'error',
  maxBadRows: 0,
  missing: 'error',
  maxCategories: 64,
};

let root = '';
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'ropeteam-data-'));
});
afterEach(() => rm(root, { recursive: true }));

async function prepare(
  files: Readonly<Record<string, string | Uint8Array>>,
  spec: Partial<DataSpec> = {},
  options: { readonly seed?: number; readonly shardBytes?: number; readonly directory?: string } = {},
): Promise<PreparedDataset> {
  for (const [name, content] of Object.entries(files)) await writeFile(join(root, name), content);
  return prepareDataset({
    spec: { ...SPEC, ...spec },
    seed: 7,
    resolve: (path) => join(root, path),
    directory: join(root, 'shards'),
    ...options,
  });
}

/** All samples of a split, shard after shard: features and targets of each. */
async function samplesOf(dataset: PreparedDataset, split: SplitName): Promise<{ x: number[]; y: number[] }[]> {
  const { info } = dataset;
  const samples: { x: number[]; y: number[] }[] = [];
  for (const shard of info.shards.filter((each) => each.split === split)) {
    expect(shard.begin).toBe(samples.length);
    const { features, targets } = decodeShard(await dataset.readShard(split, shard.index), shard, info);
    for (let n = 0; n < shard.end - shard.begin; n++) {
      samples.push({
        x: [...features.subarray(n * info.featureCount, (n + 1) * info.featureCount)],
        y: [...targets.subarray(n * info.targetCount, (n + 1) * info.targetCount)],
      });
    }
  }
  return samples;
}

/** Rows `0,0`, `1,1`, `2,2`, `0,3`, …: three classes and a number. */
const classesCsv = (rows: number): string =>
  `y,n\n${Array.from({ length: rows }, (_, n) => `${n % 3},${n}`).join('\n')}\n`;

test('numbers stay numbers, words become one input a category, labels their index', async () => {
  const csv = 'size,colour,ok,y\n1.5,red,true,b\n-2e1,blue,false,a\n.5,"red",true,b\n7,blue,false,c\n';
  const dataset = await prepare({ 'data.csv': csv });
  expect(dataset.info).toMatchObject({
    task: 'classification',
    featureCount: 5,
    targetCount: 1,
    classes: ['a', 'b', 'c'],
  });
  expect(dataset.info.preprocessing.columns).toEqual([
    { kind: 'number', name: 'size', shift: 0, factor: 1 },
    { kind: 'oneHot', name: 'colour', categories: ['blue', 'red'] },
    { kind: 'oneHot', name: 'ok', categories: ['false', 'true'] },
  ]);
  expect(await samplesOf(dataset, 'train')).toEqual([
    { x: [1.5, 0, 1, 0, 1], y: [1] },
    { x: [-20, 1, 0, 1, 0], y: [0] },
    { x: [0.5, 0, 1, 0, 1], y: [1] },
    { x: [7, 1, 0, 1, 0], y: [2] },
  ]);
});

test('a byte order mark, CRLF, gzip and no newline at the end change no sample', async () => {
  const plain = await prepare({ 'data.csv': classesCsv(9) });
  const expected = await samplesOf(plain, 'train');
  const odd = `\uFEFF${classesCsv(9).trimEnd().replaceAll('\n', '\r\n')}`;
  expect(await samplesOf(await prepare({ 'data.csv': odd }), 'train')).toEqual(expected);
  const gzipped = await prepare({ 'data.csv.gz': gzipSync(classesCsv(9)) }, { source: 'data.csv.gz' });
  expect(await samplesOf(gzipped, 'train')).toEqual(expected);
});

test.each([
  ['words', ['x', 'z', 'x', 'z'], 'classification', ['x', 'z']],
  ['whole numbers that recur', ['10', '9', '9', '10', '10', '9'], 'classification', ['9', '10']],
  ['the same number written in two ways', ['1', '1.0', '-1', '-1', '+1', '-1'], 'classification', ['-1', '1']],
  ['whole numbers that hardly recur', ['1', '2', '3', '4', '5'], 'regression', []],
  ['fractions', ['0.5', '1', '0.5', '1', '0.5', '1'], 'regression', []],
  ['more than 20 whole numbers', Array.from({ length: 63 }, (_, n) => `${n % 21}`), 'regression', []],
])('a target of %s makes the task', async (_, labels, task, classes) => {
  const csv = `n,y\n${labels.map((label, n) => `${n},${label}`).join('\n')}`;
  expect((await prepare({ 'data.csv': csv })).info).toMatchObject({ task, classes });
});

test('several targets make a regression and stay as they are', async () => {
  const dataset = await prepare(
    { 'data.csv': 'a,y,z\n1,10,0.25\n2,20,0.5\n3,30,0.75\n' },
    { target: ['z', 'y'], scale: 'standard' },
  );
  expect(dataset.info).toMatchObject({ task: 'regression', targetNames: ['z', 'y'], targetCount: 2, featureCount: 1 });
  expect((await samplesOf(dataset, 'train')).map(({ y }) => y)).toEqual([
    [0.25, 10],
    [0.5, 20],
    [0.75, 30],
  ]);
});

test('features are picked by name and glob, in the order of the header', async () => {
  const csv = 'id,p1,p2,q,y\n1,2,3,4,0.1\n5,6,7,8,0.2\n';
  const dataset = await prepare({ 'data.csv': csv }, { features: ['q', 'p*'] });
  expect(dataset.info.preprocessing.columns.map(({ name }) => name)).toEqual(['p1', 'p2', 'q']);
});

test('standard scaling gives the training split mean 0 and deviation 1, and uses its numbers for the others', async () => {
  const values = fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 20, maxLength: 60 });
  await fc.assert(
    fc.asyncProperty(values, async (column) => {
      const csv = `n,y\n${column.map((value, n) => `${value},${n / 7}`).join('\n')}`;
      const split = {
        validation: { kind: 'fraction', fraction: 0.2 },
        test: { kind: 'fraction', fraction: 0 },
      } as const;
      const dataset = await prepare({ 'data.csv': csv }, { scale: 'standard', split });
      const [encoding] = dataset.info.preprocessing.columns;
      if (encoding?.kind !== 'number') throw new Error('a column of numbers');
      const train = (await samplesOf(dataset, 'train')).map(({ x }) => x[0]!);
      const mean = train.reduce((sum, x) => sum + x, 0) / train.length;
      const deviation = Math.sqrt(train.reduce((sum, x) => sum + x * x, 0) / train.length);
      if (encoding.factor === 0) expect(train.every((x) => x === 0)).toBe(true);
      else expect([Math.abs(mean) < 1e-5, Math.abs(deviation - 1) < 1e-5]).toEqual([true, true]);
      for (const { x, y } of await samplesOf(dataset, 'validation')) {
        const value = column[Math.round(y[0]! * 7)]!;
        expect(x[0]).toBe(Math.fround((value - encoding.shift) * encoding.factor));
      }
    }),
    { numRuns: 25 },
  );
});

test('a number to predict in the hundred thousands is a warning', async () => {
  const near = await prepare({ 'data.csv': 'a,y\n1,-900.5\n2,1000\n3,0.5\n' });
  expect(near.info.warnings).toEqual([]);
  const far = await prepare({ 'data.csv': 'a,y\n1,250000.5\n2,-310000\n3,1\n' }, {}, { directory: join(root, 'far') });
  expect(far.info.warnings).toEqual([
    expect.stringMatching(/^y goes up to 310,000 and is not scaled: .*; set data\.scaleTarget: standard$/),
  ]);
});

test('a text of columns between blanks gives the rows that the same table gives as CSV', async () => {
  const table = [
    ['a', 'w', 'y'],
    ['1.5', 'red', '2'],
    ['-3', 'blue', '4'],
    ['7', 'red', '0.5'],
  ];
  const csv = await prepare({ 'data.csv': table.map((row) => `${row.join(',')}\n`).join('') });
  const expected = await samplesOf(csv, 'train');
  for (const [name, delimiter] of [
    ['auto', 'auto'],
    ['said', 'whitespace'],
  ]) {
    const text = table.map((row) => `  ${row.join(' \t ')} \n`).join('');
    const spec = { source: `${name}.txt`, delimiter: delimiter! };
    const read = await prepare({ [`${name}.txt`]: text }, spec, { directory: join(root, name!) });
    expect(await samplesOf(read, 'train')).toEqual(expected);
  }
});

test('minmax scaling puts the training split into 0..1; a constant column is 0 and a warning', async () => {
  const csv = 'a,b,y\n2,5,0.1\n4,5,0.2\n6,5,0.3\n';
  const dataset = await prepare({ 'data.csv': csv }, { scale: 'minmax' });
  expect((await samplesOf(dataset, 'train')).map(({ x }) => x)).toEqual([
    [0, 0],
    [0.5, 0],
    [1, 0],
  ]);
  expect(dataset.info.warnings).toEqual([expect.stringMatching(/column b has the same value/)]);
});

test.each([
  [
    'mean',
    [
      [1, 0, 1],
      [2, 0, 0],
      [3, 1, 0],
    ],
    0,
  ],
  [
    'zero',
    [
      [1, 0, 1],
      [0, 0, 0],
      [3, 1, 0],
    ],
    0,
  ],
  [
    'drop',
    [
      [1, 0, 1],
      [3, 1, 0],
    ],
    1,
  ],
] as const)('missing values under %s', async (missing, expected, skippedRows) => {
  const dataset = await prepare({ 'data.csv': 'n,w,y\n1,v,0.1\nNA,,0.2\n3,u,0.3\n' }, { missing });
  expect((await samplesOf(dataset, 'train')).map(({ x }) => x)).toEqual(expected);
  expect(dataset.info.skippedRows).toBe(skippedRows);
});

test('a training mean fills in for missing values, whatever the validation split holds', async () => {
  const dataset = await prepare(
    { 'data.csv': 'n,y\n1,0.1\n,0.2\n3,0.3\n', 'held.csv': 'y,n\n0.5,\n0.6,1000\n' },
    { missing: 'mean', split: { ...NO_SPLIT, validation: { kind: 'file', path: 'held.csv' } } },
  );
  expect((await samplesOf(dataset, 'validation')).map(({ x }) => x)).toEqual([[2], [1000]]);
});

test('the splits cover the rows once, shards are ranges of a split, and the seed alone decides', async () => {
  const split = { validation: { kind: 'fraction', fraction: 0.2 }, test: { kind: 'fraction', fraction: 0.1 } } as const;
  const dataset = await prepare({ 'data.csv': classesCsv(90) }, { split }, { shardBytes: 160 });
  expect(dataset.info.samples).toEqual({ train: 63, validation: 18, test: 9 });
  const all = [];
  for (const part of ['train', 'validation', 'test'] as const) {
    const samples = await samplesOf(dataset, part);
    for (const label of [0, 1, 2]) expect(samples.filter(({ y }) => y[0] === label).length).toBe(samples.length / 3);
    all.push(...samples.map(({ x }) => x[0]!));
  }
  expect(all.sort((a, b) => a - b)).toEqual(Array.from({ length: 90 }, (_, n) => n));
  expect(dataset.info.shards.length).toBe(4 + 1 + 1);
  expect(dataset.info.dataSha256).toBe(createHash('sha256').update(classesCsv(90)).digest('hex'));

  const again = await prepare({}, { split }, { shardBytes: 160, directory: join(root, 'again') });
  expect(again.info).toEqual(dataset.info);
  const other = await prepare({}, { split }, { seed: 8, directory: join(root, 'other') });
  expect(await samplesOf(other, 'test')).not.toEqual(await samplesOf(dataset, 'test'));
});

test('files of their own become validation and test; their bytes count in the hash', async () => {
  const files = { 'data.csv': 'a,y\n1,cat\n2,dog\n3,dog\n', 'v.csv': 'a,y\n4,dog\n', 't.csv': 'y,extra,a\ncat,?,5\n' };
  const split = { validation: { kind: 'file', path: 'v.csv' }, test: { kind: 'file', path: 't.csv' } } as const;
  const dataset = await prepare(files, { split });
  expect(await samplesOf(dataset, 'validation')).toEqual([{ x: [4], y: [1] }]);
  expect(await samplesOf(dataset, 'test')).toEqual([{ x: [5], y: [0] }]);
  expect(dataset.info.samples).toEqual({ train: 3, validation: 1, test: 1 });
  expect(dataset.info.dataSha256).toBe(createHash('sha256').update(Object.values(files).join('')).digest('hex'));
});

test('bad rows are skipped, counted and named as a warning up to maxBadRows', async () => {
  const csv = 'a,y\n1,0.1\nx,0.2\n3\n"4"5,0.1\n5,0.5\n6,0.6\n';
  const dataset = await prepare({ 'data.csv': csv }, { badRows: 'skip', maxBadRows: 3 });
  expect((await samplesOf(dataset, 'train')).map(({ x }) => x[0])).toEqual([1, 5, 6]);
  expect(dataset.info.skippedRows).toBe(3);
  expect(dataset.info.warnings).toEqual(['3 bad rows were skipped']);
  await expect(prepare({}, { badRows: 'skip', maxBadRows: 2 })).rejects.toMatchObject({
    code: 'CONFIG.SEVERAL',
    message: '3 bad rows, more than the 2 that data.maxBadRows allows',
    problems: [{ place: { line: 3 } }, { place: { line: 4 } }, { place: { line: 5 } }],
  });
});

test.each([
  ['in the header', 'a,b",y\n1,2,3\n4,5,6\n', 'DATA.ROW', { line: 1, column: 4, text: 'a,b",y' }],
  ['before other text', 'a,b,y\n1,2,3\n1,"2"x,3\n', 'DATA.ROW', { line: 3, column: 3, length: 4 }],
  ['around CR LF', 'n,w,y\r\n1,"u\r\nv",1\r\n\r\n2,u,2\r\noops,u,3\r\n', 'DATA.CELL', { line: 6, column: 1 }],
])('with quotes %s a problem is reported where it stands', async (_, csv, code, place) => {
  await expect(prepare({ 'data.csv': csv })).rejects.toMatchObject({ code, place });
});

test('a prepared data set opens again, and says when its folder is not whole', async () => {
  const dataset = await prepare({ 'data.csv': classesCsv(12) });
  const directory = join(root, 'shards');
  expect((await openPreparedDataset(directory)).info).toEqual(dataset.info);
  expect((await readdir(directory)).sort()).toEqual(['dataset.json', 'train-00000.safetensors']);
  await rm(join(directory, 'train-00000.safetensors'));
  await expect(dataset.readShard('train', 0)).rejects.toMatchObject({ code: 'DATA.SHARD' });
  await writeFile(join(directory, 'dataset.json'), (await readFile(join(directory, 'dataset.json'))).subarray(0, 100));
  await expect(openPreparedDataset(directory)).rejects.toMatchObject({ code: 'STORAGE.CORRUPT' });
  await expect(openPreparedDataset(join(root, 'none'))).rejects.toMatchObject({ code: 'STORAGE.CORRUPT' });
});

test('an aborted preparation ends with the reason and leaves no finished data set', async () => {
  await mkdir(join(root, 'shards'));
  await writeFile(join(root, 'data.csv'), classesCsv(100));
  const resolve = (path: string): string => join(root, path);
  const options = { spec: SPEC, seed: 1, resolve, directory: join(root, 'shards') };
  await expect(prepareDataset({ ...options, signal: AbortSignal.abort(new Error('stopped')) })).rejects.toThrow(
    'stopped',
  );
  expect(await readdir(join(root, 'shards'))).toEqual([]);
});

test('words and names that are properties of every object are ordinary words and names', async () => {
  const csv = '__proto__,constructor,y\ntoString,1,0.1\n__proto__,2,0.2\ntoString,3,0.3\n';
  const dataset = await prepare({ 'data.csv': csv });
  expect(dataset.info.preprocessing.columns[0]).toEqual({
    kind: 'oneHot',
    name: '__proto__',
    categories: ['__proto__', 'toString'],
  });
  expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
});
