import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import type { CompressionCodec, SchemaElement } from 'hyparquet';
import { type ColumnSource, parquetWriteBuffer } from 'hyparquet-writer';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type DataSpec, describeFiles, RopeteamError } from '#training';
import { openParquet } from './parquet-file.js';
import { prepareDataset } from './prepare-dataset.js';
import { decodeShard } from './shard-file.js';

let root = '';
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'ropeteam-parquet-'));
});
afterEach(() => rm(root, { recursive: true }));

const SPEC: DataSpec = {
  source: 'd.parquet',
  delimiter: 'auto',
  target: ['y'],
  features: 'all',
  scale: 'none',
  scaleTarget: 'none',
  split: { validation: { kind: 'fraction', fraction: 0 }, test: { kind: 'fraction', fraction: 0 } },
  badRows: 'error',
  maxBadRows: 10,
  missing: 'error',
  maxCategories: 8,
};

async function prepare(content: string | Uint8Array, spec: Partial<DataSpec> = {}) {
  const whole = { ...SPEC, ...spec };
  await writeFile(join(root, describeFiles(whole.source)), content);
  const { info, readShard } = await prepareDataset({
    spec: whole,
    seed: 7,
    resolve: (path) => join(root, path),
    directory: join(root, 'out'),
  });
  const shard = info.shards[0]!;
  return { info, ...decodeShard(await readShard('train', shard.index), shard, info) };
}

async function failure(content: string | Uint8Array, spec: Partial<DataSpec> = {}): Promise<RopeteamError> {
  const error = await prepare(content, spec).catch((reason: unknown) => reason);
  if (error instanceof RopeteamError) return error;
  throw new Error(`expected a RopeteamError, got ${String(error)}`);
}

const y: ColumnSource = { name: 'y', data: [0.5, 1.5, 2.5, 3.25, 4.25, 5.25], type: 'DOUBLE' };
const parquet = (
  columnData: ColumnSource[],
  more: Partial<Parameters<typeof parquetWriteBuffer>[0]> = {},
): Uint8Array => new Uint8Array(parquetWriteBuffer({ columnData, ...more }));

/** A block of nothing but literals: lz4.org's block format. */
function lz4(input: Uint8Array): Uint8Array {
  const long = input.length - 15;
  const lengths =
    long < 0 ? [input.length << 4] : [0xf0, ...Array<number>(Math.floor(long / 255)).fill(255), long % 255];
  return Buffer.concat([Uint8Array.from(lengths), input]);
}

/** As Hadoop frames it: both lengths, most significant byte first. */
function hadoopLz4(input: Uint8Array): Uint8Array {
  const block = lz4(input);
  const lengths = Buffer.alloc(8);
  lengths.writeUInt32BE(input.length, 0);
  lengths.writeUInt32BE(block.length, 4);
  return Buffer.concat([lengths, block]);
}

/** A frame with one raw block: RFC 8878. */
function zstd(input: Uint8Array): Uint8Array {
  const head = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 0, 0, 0, 0]);
  head.writeUInt32LE(input.length, 5);
  head.writeUIntLE((input.length << 3) | 1, 9, 3);
  return Buffer.concat([head, input]);
}

const compressors = {
  GZIP: (input: Uint8Array) => gzipSync(input),
  BROTLI: (input: Uint8Array) => brotliCompressSync(input),
  ZSTD: zstd,
  LZ4: hadoopLz4,
  LZ4_RAW: lz4,
};
const CODECS: readonly CompressionCodec[] = ['UNCOMPRESSED', 'SNAPPY', 'GZIP', 'BROTLI', 'ZSTD', 'LZ4', 'LZ4_RAW'];
const COLUMNS: ColumnSource[] = [
  { name: 'whole', data: [1, -2, 3, 4, 5, 6], type: 'INT32' },
  { name: 'long', data: [7n, 8n, -9n, 10n, 11n, 12n], type: 'INT64' },
  { name: 'word', data: ['red', 'blue', 'red', 'red', 'blue', 'red'], type: 'STRING' },
  { name: 'flag', data: [true, false, true, true, false, false], type: 'BOOLEAN' },
  { name: 'when', data: Array.from({ length: 6 }, (_, day) => new Date(day * 86_400_000)), type: 'TIMESTAMP' },
  y,
];
const features = ['whole', 'long', 'word', 'flag'];

test.each(CODECS)('%s: the same samples as the same rows in CSV, over several row groups', async (codec) => {
  const csv =
    'whole,long,word,flag,y\n1,7,red,true,0.5\n-2,8,blue,false,1.5\n3,-9,red,true,2.5\n' +
    '4,10,red,true,3.25\n5,11,blue,false,4.25\n6,12,red,false,5.25\n';
  const expected = await prepare(csv, { source: 'd.csv' });
  const found = await prepare(parquet(COLUMNS, { codec, compressors, rowGroupSize: 4 }), { features });
  expect(found.info.preprocessing).toEqual(expected.info.preprocessing);
  expect([found.features, found.targets]).toEqual([expected.features, expected.targets]);
});

test('null and NaN are missing values, and their row is counted from 1 over all row groups', async () => {
  const columns = [{ name: 'a', data: [1, 2, 3, null, Number.NaN, 6] as number[], type: 'DOUBLE' as const }, y];
  const file = parquet(columns, { rowGroupSize: 2 });
  const error = await failure(file);
  expect(error.problems.map(({ message }) => message)).toEqual([
    'd.parquet, row 4, column "a": the value is missing',
    'd.parquet, row 5, column "a": the value is missing',
  ]);
  const zeros = await prepare(file, { missing: 'zero' });
  expect([...zeros.features]).toEqual([1, 2, 3, 0, 0, 6]);
});

test('columns that are not asked for are not read', async () => {
  const file = parquet(COLUMNS, { codec: 'UNCOMPRESSED' });
  const path = join(root, 'd.parquet');
  await writeFile(path, file);
  await using opened = await openParquet({ name: 'd.parquet', path });
  expect(opened.columns.map(({ name }) => name)).toEqual(['whole', 'long', 'word', 'flag', 'when', 'y']);
  for await (const group of opened.groups(['whole'])) {
    await expect(group.read('word')).rejects.toThrow(/column not found in scan: word/);
    expect([...Array.from(await group.read('whole'))]).toEqual([1, -2, 3, 4, 5, 6]);
  }
});

interface RefusedColumn {
  readonly name: string;
  readonly element: Partial<SchemaElement>;
  readonly data: ColumnSource['data'];
  readonly message: RegExp;
}
const six = <T>(value: T): T[] => Array<T>(6).fill(value);
const REFUSED_COLUMNS: readonly RefusedColumn[] = [
  {
    name: 'a date',
    element: { type: 'INT32', converted_type: 'DATE' },
    data: six(new Date(0)),
    message: /holds dates or times/,
  },
  {
    name: 'a time of day',
    element: { type: 'INT32', converted_type: 'TIME_MILLIS' },
    data: six(5),
    message: /holds dates or times/,
  },
  {
    name: 'a moment',
    element: { type: 'INT64', converted_type: 'TIMESTAMP_MICROS' },
    data: six(new Date(0)),
    message: /holds dates or times/,
  },
  {
    name: 'JSON',
    element: { type: 'BYTE_ARRAY', converted_type: 'JSON' },
    data: six({ a: 1 }),
    message: /values of the type JSON/,
  },
  {
    name: 'bytes of a fixed length',
    element: { type: 'FIXED_LEN_BYTE_ARRAY', type_length: 2 },
    data: six(Uint8Array.of(1, 2)),
    message: /holds bytes/,
  },
  {
    name: 'decimals hyparquet does not scale',
    element: { type: 'INT32', logical_type: { type: 'DECIMAL', precision: 4, scale: 2 } },
    data: six(5),
    message: /decimals without their scale/,
  },
];

test.each(REFUSED_COLUMNS)('$name is refused by name, and only when asked for', async ({ element, data, message }) => {
  const schema: SchemaElement[] = [
    { name: 'root', num_children: 3 },
    { name: 'odd', repetition_type: 'REQUIRED', ...element },
    { name: 'a', type: 'DOUBLE', repetition_type: 'REQUIRED' },
    { name: 'y', type: 'DOUBLE', repetition_type: 'REQUIRED' },
  ];
  const columns = [
    { name: 'odd', data },
    { name: 'a', data: [1, 2, 3, 4, 5, 6] },
    { name: 'y', data: y.data },
  ];
  const file = parquet(columns, { schema });
  const error = await failure(file);
  expect([error.code, error.message]).toEqual(['DATA.COLUMN', expect.stringMatching(message)]);
  expect(error.message).toMatch(/^d\.parquet, column "odd": /);
  expect(error.hint).toMatch(/leave it out with data\.features/);
  expect([...(await prepare(file, { features: ['a'] })).features]).toEqual([1, 2, 3, 4, 5, 6]);
});

test('a list and a structure are refused by name, both at once, and a column behind them is read', async () => {
  const schema: SchemaElement[] = [
    { name: 'root', num_children: 4 },
    { name: 'tags', repetition_type: 'OPTIONAL', num_children: 1, converted_type: 'LIST' },
    { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
    { name: 'element', repetition_type: 'OPTIONAL', type: 'INT32' },
    { name: 'place', repetition_type: 'OPTIONAL', num_children: 1 },
    { name: 'x', repetition_type: 'OPTIONAL', type: 'INT32' },
    { name: 'a', type: 'DOUBLE', repetition_type: 'REQUIRED' },
    { name: 'y', type: 'DOUBLE', repetition_type: 'REQUIRED' },
  ];
  const columns = [
    { name: 'tags', data: six([1, 2]) },
    { name: 'place', data: six({ x: 1 }) },
    { name: 'a', data: [1, 2, 3, 4, 5, 6] },
    { name: 'y', data: y.data },
  ];
  const file = parquet(columns, { schema });
  const error = await failure(file);
  expect(error.problems.map(({ message }) => message)).toEqual([
    'd.parquet, column "tags": holds lists or other nested values',
    'd.parquet, column "place": holds lists or other nested values',
  ]);
  expect([...(await prepare(file, { features: ['a'] })).features]).toEqual([1, 2, 3, 4, 5, 6]);
});

const whole = parquet([{ name: 'a', data: [1, 2, 3, 4, 5, 6], type: 'INT32' }, y], { codec: 'UNCOMPRESSED' });
const REFUSED_FILES = [
  {
    name: 'CSV',
    content: Buffer.from('a,y\n1,2\n3,4\n'),
    message: /cannot be read as Parquet: .*PAR1/,
    hint: /data\.format/,
  },
  { name: 'a few bytes', content: Buffer.from('PAR1'), message: /cannot be read as Parquet/, hint: /write it again/ },
  { name: 'a file cut short', content: whole.subarray(0, -9), message: /cannot be read as Parquet/, hint: /again/ },
  { name: 'a gzipped file', content: gzipSync(whole), message: /is gzipped/, hint: /gunzip/ },
];

test.each(REFUSED_FILES)('$name is refused', async ({ content, message, hint }) => {
  const error = await failure(content);
  expect([error.code, error.message, error.hint]).toEqual([
    'DATA.FORMAT',
    expect.stringMatching(message),
    expect.stringMatching(hint),
  ]);
});

test('a file cut anywhere is a RopeteamError', async () => {
  const file = parquet(COLUMNS, { rowGroupSize: 3 });
  for (let length = 1; length < file.length; length += 37) {
    expect((await failure(file.subarray(0, length), { features })).code).toBe('DATA.FORMAT');
  }
});

// Not of the pages: the library believes the run lengths there, as docs/job-file.md says.
test('damaged bytes anywhere in the footer are columns or a RopeteamError, nothing else', async () => {
  const file = parquet(COLUMNS, { rowGroupSize: 3 });
  const footer = Buffer.from(file).readUInt32LE(file.length - 8) + 8;
  const path = join(root, 'd.parquet');
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(footer - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
      async (changes) => {
        const damaged = Uint8Array.from(file);
        for (const [at, value] of changes) damaged[file.length - 1 - at] = value;
        await writeFile(path, damaged);
        const outcome = await openParquet({ name: 'd.parquet', path }).catch((reason: unknown) => reason);
        if (outcome instanceof Error) expect(outcome).toBeInstanceOf(RopeteamError);
        else await (outcome as Awaited<ReturnType<typeof openParquet>>)[Symbol.asyncDispose]();
      },
    ),
    { numRuns: 100 },
  );
});
