import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type DataSpec, RopeteamError } from '#training';
import { readIdxHeader } from './idx-header.js';
import type { HeaderReader } from './load-arrays.js';
import { readNpyHeader } from './npy-header.js';
import { prepareDataset } from './prepare-dataset.js';
import { type LoadedArray, readArray } from './read-array.js';
import { decodeShard } from './shard-file.js';

let root = '';
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'ropeteam-arrays-'));
});
afterEach(() => rm(root, { recursive: true }));

/** As `numpy.save` writes it: numpy.org/doc/stable/reference/generated/numpy.lib.format.html. */
function npy(descr: string, shape: readonly number[], data: Uint8Array, order = 'False', major = 1): Buffer {
  const tuple = `(${shape.join(', ')}${shape.length === 1 ? ',' : ''})`;
  const text = `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': ${tuple}, }`;
  const begin = major === 1 ? 10 : 12;
  const padded = `${text.padEnd(Math.ceil((begin + text.length + 1) / 64) * 64 - begin - 1)}\n`;
  const length = Buffer.alloc(begin - 8);
  if (major === 1) length.writeUInt16LE(padded.length);
  else length.writeUInt32LE(padded.length);
  return Buffer.concat([
    Buffer.from(`\x93NUMPY${String.fromCharCode(major)}\0`, 'latin1'),
    length,
    Buffer.from(padded),
    data,
  ]);
}

function idx(type: number, shape: readonly number[], data: Uint8Array): Buffer {
  const sizes = Buffer.alloc(4 * shape.length);
  for (const [index, size] of shape.entries()) sizes.writeUInt32BE(size, 4 * index);
  return Buffer.concat([Buffer.from([0, 0, type, shape.length]), sizes, data]);
}

async function load(content: Uint8Array, readHeader: HeaderReader): Promise<LoadedArray> {
  const path = join(root, 'array');
  await writeFile(path, content);
  return readArray({ name: 'array', path }, { readHeader });
}

const numbersOf = (array: LoadedArray): number[] =>
  Array.from({ length: array.rows * array.width }, (_, n) => array.at(Math.floor(n / array.width), n % array.width));

/** Numbers of a type as bytes of one order, by hand of DataView, and the values they stand for. */
const TYPES = [
  {
    npy: 'b1',
    bytes: 1,
    write: (view: DataView, at: number, value: number) => view.setUint8(at, value),
    values: [0, 1],
  },
  {
    npy: 'u1',
    idx: 8,
    bytes: 1,
    write: (view: DataView, at: number, value: number) => view.setUint8(at, value),
    values: [0, 255],
  },
  {
    npy: 'i1',
    idx: 9,
    bytes: 1,
    write: (view: DataView, at: number, value: number) => view.setInt8(at, value),
    values: [-128, 127],
  },
  {
    npy: 'u2',
    bytes: 2,
    write: (view: DataView, at: number, value: number, le: boolean) => view.setUint16(at, value, le),
    values: [1, 65_535],
  },
  {
    npy: 'i2',
    idx: 11,
    bytes: 2,
    write: (view: DataView, at: number, value: number, le: boolean) => view.setInt16(at, value, le),
    values: [-32_768, 5],
  },
  {
    npy: 'u4',
    bytes: 4,
    write: (view: DataView, at: number, value: number, le: boolean) => view.setUint32(at, value, le),
    values: [7, 4_294_967_295],
  },
  {
    npy: 'i4',
    idx: 12,
    bytes: 4,
    write: (view: DataView, at: number, value: number, le: boolean) => view.setInt32(at, value, le),
    values: [-2_147_483_648, 3],
  },
  {
    npy: 'i8',
    bytes: 8,
    write: (view: DataView, at: number, value: number, le: boolean) => view.setBigInt64(at, BigInt(value), le),
    values: [-9, 2 ** 53],
  },
  {
    npy: 'u8',
    bytes: 8,
    write: (view: DataView, at: number, value: number, le: boolean) => view.setBigUint64(at, BigInt(value), le),
    values: [0, 2 ** 60],
  },
  {
    npy: 'f2',
    bytes: 2,
    write: (view: DataView, at: number, value: number, le: boolean) =>
      view.setUint16(at, value === 1.5 ? 0x3e00 : 0x8001, le),
    values: [1.5, -(2 ** -24)],
  },
  {
    npy: 'f4',
    idx: 13,
    bytes: 4,
    write: (view: DataView, at: number, value: number, le: boolean) => view.setFloat32(at, value, le),
    values: [0.5, -3.25],
  },
  {
    npy: 'f8',
    idx: 14,
    bytes: 8,
    write: (view: DataView, at: number, value: number, le: boolean) => view.setFloat64(at, value, le),
    values: [0.1, -1e300],
  },
] as const;

function bytesOf(
  type: (typeof TYPES)[number],
  littleEndian: boolean,
  count: number,
): { data: Uint8Array; values: number[] } {
  const data = new Uint8Array(type.bytes * count);
  const values = Array.from({ length: count }, (_, n) => type.values[n % 2]!);
  for (const [n, value] of values.entries()) type.write(new DataView(data.buffer), n * type.bytes, value, littleEndian);
  return { data, values };
}

test.each(TYPES)('NPY of $npy is read in both byte orders, plain and gzipped', async (type) => {
  for (const order of ['<', '>']) {
    const { data, values } = bytesOf(type, order === '<', 6);
    const file = npy(`${order}${type.npy}`, [3, 2], data);
    expect(numbersOf(await load(file, readNpyHeader))).toEqual(values);
    expect(numbersOf(await load(gzipSync(file), readNpyHeader))).toEqual(values);
  }
});

test.each(TYPES.filter((type) => 'idx' in type))('IDX of $idx is read', async (type) => {
  const { data, values } = bytesOf(type, false, 12);
  const array = await load(idx('idx' in type ? type.idx : 0, [3, 2, 2], data), readIdxHeader);
  expect(array).toMatchObject({ rows: 3, width: 4, shape: [3, 2, 2] });
  expect(numbersOf(array)).toEqual(values);
});

test('an array of several blocks and chunks comes out as it went in, whatever its width', async () => {
  const shapes = fc.tuple(fc.integer({ min: 1, max: 3000 }), fc.integer({ min: 1, max: 300 }));
  await fc.assert(
    fc.asyncProperty(shapes, fc.boolean(), async ([rows, width], zipped) => {
      const values = Float32Array.from({ length: rows * width }, (_, n) => n / 8);
      const file = npy('<f4', [rows, width], new Uint8Array(values.buffer), 'False', 2);
      const array = await load(zipped ? gzipSync(file, { level: 1 }) : file, readNpyHeader);
      expect(Float32Array.from(numbersOf(array))).toEqual(values);
    }),
    { numRuns: 6 },
  );
});

test('whatever bytes follow a true beginning, the answer is an array or an error that names the file', async () => {
  const beginnings = fc.constantFrom(
    { bytes: Buffer.from('\x93NUMPY\x01\0', 'latin1'), reader: readNpyHeader },
    { bytes: npy('<f4', [4_000_000_000, 90_000], new Uint8Array(3)), reader: readNpyHeader },
    { bytes: Buffer.of(0, 0, 8, 3), reader: readIdxHeader },
    { bytes: Buffer.of(0, 0), reader: readIdxHeader },
    { bytes: Buffer.alloc(0), reader: readNpyHeader },
  );
  await fc.assert(
    fc.asyncProperty(beginnings, fc.uint8Array({ minLength: 1, maxLength: 200 }), async ({ bytes, reader }, rest) => {
      const error: unknown = await load(Buffer.concat([bytes, rest]), reader).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      if (error === undefined) return;
      expect(error).toBeInstanceOf(RopeteamError);
      expect(String(error)).toMatch(/array /);
    }),
    { numRuns: 200 },
  );
});

const SPEC: DataSpec = {
  source: 'x.npy',
  labels: 'y.npy',
  delimiter: 'auto',
  target: ['label'],
  features: 'all',
  scale: 'none',
  scaleTarget: 'none',
  split: { validation: { kind: 'fraction', fraction: 0 }, test: { kind: 'fraction', fraction: 0 } },
  badRows: 'error',
  maxBadRows: 0,
  missing: 'error',
  maxCategories: 64,
};

async function prepare(files: Readonly<Record<string, Uint8Array>>, spec: Partial<DataSpec> = {}) {
  for (const [name, content] of Object.entries(files)) await writeFile(join(root, name), content);
  return prepareDataset({
    spec: { ...SPEC, ...spec },
    seed: 7,
    resolve: (path) => join(root, path),
    directory: join(root, 'out'),
  });
}

const floats = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);
const x = npy('<f4', [6, 2], floats(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11));
const y = npy('|u1', [6], Uint8Array.of(3, 5, 3, 5, 3, 5));

test('samples and labels of two arrays become the rows of one data set, and a split may have its own two', async () => {
  const images = idx(8, [2, 1, 2], Uint8Array.of(1, 2, 250, 255));
  const { info, readShard } = await prepare(
    { 'x.npy': x, 'y.npy': y, 't-idx3-ubyte.gz': gzipSync(images), 't-idx1-ubyte': idx(8, [2], Uint8Array.of(5, 3)) },
    { split: { ...SPEC.split, test: { kind: 'file', path: 't-idx3-ubyte.gz', labels: 't-idx1-ubyte' } } },
  );
  expect(info).toMatchObject({
    task: 'classification',
    classes: ['3', '5'],
    featureCount: 2,
    samples: { train: 6, test: 2 },
  });
  expect(info.preprocessing.columns.map(({ name }) => name)).toEqual(['x0', 'x1']);
  const shard = info.shards.find(({ split }) => split === 'test')!;
  const { features, targets } = decodeShard(await readShard('test', shard.index), shard, info);
  expect([...features]).toEqual([1, 2, 250, 255]);
  expect([...targets]).toEqual([1, 0]);
});

test('several labels a sample are a regression of several targets', async () => {
  const two = npy('<f4', [6, 2], floats(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12));
  const { info } = await prepare({ 'x.npy': x, 'y.npy': two }, { target: ['a', 'b'] });
  expect(info).toMatchObject({ task: 'regression', targetNames: ['a', 'b'], targetCount: 2 });
});

const zeros = new Uint8Array(48);
interface Refused {
  readonly name: string;
  readonly files: Readonly<Record<string, Uint8Array>>;
  readonly spec?: Partial<DataSpec>;
  readonly code?: string;
  readonly message: RegExp;
  readonly hint: RegExp;
}
const REFUSED: readonly Refused[] = [
  {
    name: 'pickled objects',
    files: { 'x.npy': npy('|O', [6, 2], zeros) },
    message: /x\.npy holds Python objects: .* run code/,
    hint: /astype/,
  },
  {
    name: 'texts',
    files: { 'y.npy': npy('<U5', [6], zeros) },
    message: /y\.npy holds values of the type "<U5"/,
    hint: /whole numbers/,
  },
  {
    name: 'Fortran order',
    files: { 'x.npy': npy('<f4', [6, 2], zeros, 'True') },
    message: /Fortran order/,
    hint: /ascontiguousarray/,
  },
  {
    name: 'a shape beyond all numbers',
    files: { 'x.npy': npy('<f4', [2 ** 40, 2 ** 40], zeros) },
    message: /more numbers than there can be/,
    hint: /damaged/,
  },
  {
    name: 'a sample of too many numbers',
    files: { 'x.npy': npy('<f4', [1, 100_001], zeros) },
    code: 'DATA.LIMIT',
    message: /100001 numbers in a sample/,
    hint: /transposed/,
  },
  {
    name: 'a single number',
    files: { 'x.npy': npy('<f4', [], zeros) },
    message: /a single number/,
    hint: /samples, features/,
  },
  {
    name: 'no sample',
    files: { 'x.npy': npy('<f4', [0, 2], Uint8Array.of()) },
    message: /no sample in it/,
    hint: /name a file/,
  },
  {
    name: 'a file cut short',
    files: { 'x.npy': x.subarray(0, -1) },
    message: /48 bytes, but there are 47 bytes/,
    hint: /again/,
  },
  {
    name: 'a file with something behind it',
    files: { 'x.npy': Buffer.concat([x, zeros]) },
    message: /48 bytes, but there are more/,
    hint: /again/,
  },
  {
    name: 'a header cut short',
    files: { 'x.npy': x.subarray(0, 20) },
    message: /ends within its header, after 20 bytes/,
    hint: /again/,
  },
  {
    name: 'a header of 100 MB',
    files: { 'x.npy': Buffer.from('\x93NUMPY\x02\0\0\0\0\x06{', 'latin1') },
    message: /header of 100663296 bytes/,
    hint: /numpy\.save/,
  },
  {
    name: 'no NPY file',
    files: { 'x.npy': Buffer.from('a,b\n1,2\n3,4\n') },
    message: /is not an NPY file/,
    hint: /data\.format/,
  },
  {
    name: 'no IDX file',
    files: { 'x.npy': x },
    spec: { format: 'idx' },
    message: /is not an IDX file: it begins with 934e554d/,
    hint: /data\.format/,
  },
  {
    name: 'labels of another set',
    files: { 'y.npy': npy('|u1', [5], Uint8Array.of(1, 2, 1, 2, 1)) },
    message: /y\.npy has 5 labels, but x\.npy has 6 samples/,
    hint: /belong together/,
  },
  {
    name: 'more labels than names',
    files: {},
    spec: { target: ['a', 'b', 'c'] },
    message: /1 labels a sample, but data\.target names 3/,
    hint: /list 1/,
  },
  {
    name: 'a number missing',
    files: { 'x.npy': npy('<f4', [6, 2], floats(0, 1, 2, Number.NaN, 4, 5, 6, 7, 8, 9, 10, 11)) },
    code: 'DATA.CELL',
    message: /x\.npy, row 2, column "x1": the value is missing/,
    hint: /data\.missing/,
  },
  {
    name: 'a number beyond float32',
    files: { 'x.npy': npy('<f8', [6, 1], new Uint8Array(Float64Array.of(1, 2, 3, 4, -1e39, 6).buffer)) },
    code: 'DATA.CELL',
    message: /x\.npy, row 5, column "x0"/,
    hint: /correct/,
  },
];

test.each(REFUSED)('$name: refused, with the file and what to do', async ({ files, spec, code, message, hint }) => {
  const error: unknown = await prepare({ 'x.npy': x, 'y.npy': y, ...files }, spec).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(RopeteamError);
  expect(error).toMatchObject({
    code: code ?? 'DATA.FORMAT',
    message: expect.stringMatching(message),
    hint: expect.stringMatching(hint),
  });
});
