import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type DataSpec, describeFiles, RopeteamError } from '#training';
import { cellOfKey, locateKey, readJsonLine } from './json-lines.js';
import { prepareDataset } from './prepare-dataset.js';
import { decodeShard } from './shard-file.js';

let root = '';
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'ropeteam-json-'));
});
afterEach(() => rm(root, { recursive: true }));

const SPEC: DataSpec = {
  source: 'd.jsonl',
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

const lines = (...values: readonly unknown[]): string => values.map((value) => `${JSON.stringify(value)}\n`).join('');
const TEXT = lines(
  { n: 1, w: 'red', y: 0.5 },
  { y: 1.5, w: 'blue', n: -2e3, late: true },
  { late: false, n: '3', y: 2.5, w: 'red' },
);

test('the keys of all lines are the columns, in the order they first occur, whatever the order on a line', async () => {
  const { info, features, targets } = await prepare(TEXT, { features: ['n', 'w'] });
  expect(info.preprocessing.columns.map(({ name }) => name)).toEqual(['n', 'w']);
  expect([...features]).toEqual([1, 0, 1, -2000, 1, 0, 3, 0, 1]);
  expect([...targets]).toEqual([0.5, 1.5, 2.5]);
  const missing = await failure(TEXT);
  expect(missing.message).toBe('d.jsonl:1, column "late": the value is missing');
});

test('JSON Lines and CSV of the same rows are the same samples, also gzipped', async () => {
  const csv = 'n,w,y\n1,red,0.5\n-2000,blue,1.5\n3,red,2.5\n';
  const expected = await prepare(csv, { source: 'd.csv' });
  for (const [source, content] of [
    ['d.ndjson', TEXT],
    ['d.jsonl.gz', gzipSync(TEXT)],
    ['d.txt', TEXT.replaceAll('\n', '\r\n\r\n')],
  ] as const) {
    const found = await prepare(content, { source, format: 'jsonl', features: ['n', 'w'] });
    expect([found.features, found.targets]).toEqual([expected.features, expected.targets]);
  }
});

test('a key that is not there, null and an empty text are missing values', async () => {
  const rows = lines({ a: 1, b: 1, y: 1 }, { b: 1, y: 2 }, { a: null, b: 1, y: 3 }, { a: '', b: 1, y: 4.5 });
  const { features } = await prepare(rows, { missing: 'zero' });
  expect([...features]).toEqual([1, 1, 0, 1, 0, 1, 0, 1]);
});

test('names an object has from birth are columns like any other', async () => {
  const rows = '{"__proto__":1,"y":1}\n{"toString":4,"__proto__":2,"y":2.5}\n';
  const { info, features } = await prepare(rows, { missing: 'zero' });
  expect(info.preprocessing.columns.map(({ name }) => name)).toEqual(['__proto__', 'toString']);
  expect([...features]).toEqual([1, 0, 2, 4]);
});

interface Refused {
  readonly name: string;
  readonly content: string | Uint8Array;
  readonly spec?: Partial<DataSpec>;
  readonly code: string;
  readonly message: RegExp;
  readonly place?: object;
  readonly hint: RegExp;
}
const good = '{"a":1,"y":2}\n';
const REFUSED: readonly Refused[] = [
  {
    name: 'a line that is not JSON',
    content: `${good}\n{"a":1,\n${good}`,
    code: 'DATA.ROW',
    message: /^d\.jsonl:3: the line is not JSON/,
    place: { line: 3, text: '{"a":1,' },
    hint: /object on a line/,
  },
  {
    name: 'an array line',
    content: `${good}[1,2]\n`,
    code: 'DATA.ROW',
    message: /:2: the line holds an array, not an object/,
    hint: /jq/,
  },
  {
    name: 'a pretty-printed file',
    content: '[\n',
    code: 'DATA.ROW',
    message: /:1: the line is not JSON/,
    hint: /jq -c/,
  },
  {
    name: 'an object without keys',
    content: '{}\n{}\n',
    code: 'DATA.ROW',
    message: /the object has no keys/,
    hint: /sample/,
  },
  {
    name: 'an array in a column',
    content: `${good}{"a":[1,2],"y":2}\n`,
    code: 'DATA.CELL',
    message: /^d\.jsonl:2, column "a": an array stands/,
    place: { line: 2, column: 2, length: 3 },
    hint: /keys of its own/,
  },
  {
    name: 'an object as target',
    content: `${good}{"a":1,"y":{"z":1}}\n`,
    code: 'DATA.CELL',
    message: /column "y": an object stands/,
    place: { line: 2, column: 8, length: 3 },
    hint: /data\.features/,
  },
  {
    name: 'arrays nested without end',
    content: `${good}{"a":${'['.repeat(400_000)}${']'.repeat(400_000)},"y":1}\n`,
    code: 'DATA.CELL',
    message: /column "a": an array stands/,
    hint: /keys of its own/,
  },
  {
    name: 'a word among numbers',
    content: `${good}${good}{"y":3,"a":"x"}\n`,
    code: 'DATA.CELL',
    message: /^d\.jsonl:3, column "a": "x" is not a number/,
    place: { line: 3, column: 8 },
    hint: /correct the cell/,
  },
  {
    name: 'a number beyond float32',
    content: `${good}${good}{"a":1e999,"y":3}\n`,
    code: 'DATA.CELL',
    message: /Infinity is not a finite number/,
    hint: /correct/,
  },
  {
    name: 'a missing target',
    content: `${good}{"a":1,"y":3.5}\n{"a":1}\n`,
    code: 'DATA.LABEL',
    message: /:3/,
    hint: /fill it in/,
  },
  {
    name: 'a target no line has',
    content: '{"a":1}\n',
    code: 'DATA.COLUMN',
    message: /no column is called "y"/,
    hint: /columns here are a/,
  },
  { name: 'a file of blank lines', content: '\n \n', code: 'DATA.FILE', message: /is empty/, hint: /./ },
  {
    name: 'a line of more than 1 MB',
    content: `{"a":"${'x'.repeat(1_000_001)}"}`,
    code: 'DATA.LIMIT',
    message: /:1: line longer than 1 MB/,
    hint: /^Each sample/,
  },
  {
    name: 'more keys than columns',
    content: Array.from({ length: 101 }, (_, n) =>
      lines(Object.fromEntries(Array.from({ length: 1000 }, (_, k) => [`k${n}_${k}`, 1]))),
    ).join(''),
    code: 'DATA.LIMIT',
    message: /:101: more than 100000 different keys/,
    hint: /as a value/,
  },
  {
    name: 'a gzip bomb',
    content: gzipSync(`${'{"a":1,"y":2}'.padEnd(99_999)}\n`.repeat(400)),
    spec: { source: 'd.jsonl.gz' },
    code: 'DATA.LIMIT',
    message: /grows to more than 200 times/,
    hint: /unpack/,
  },
  {
    name: 'gzip cut short',
    content: gzipSync(TEXT).subarray(0, 40),
    spec: { source: 'd.jsonl.gz' },
    code: 'DATA.FORMAT',
    message: /damaged gzip/,
    hint: /gzip -t/,
  },
  {
    name: 'UTF-16',
    content: Buffer.from(`\ufeff${good}`, 'utf16le'),
    code: 'DATA.FORMAT',
    message: /is UTF-16/,
    hint: /^save it in UTF-8$/,
  },
  {
    name: 'CSV',
    content: 'a,y\n1,2\n',
    code: 'DATA.ROW',
    message: /:1: the line is not JSON/,
    hint: /object on a line/,
  },
];

test.each(REFUSED)('$name is refused with its place', async ({ content, spec, code, message, place, hint }) => {
  const error = await failure(content, spec);
  expect({ code: error.code, message: error.message }).toEqual({ code, message: expect.stringMatching(message) });
  if (place !== undefined) expect(error.place).toMatchObject(place);
  expect(error.hint).toMatch(hint);
});

test('with badRows skip, lines that are no samples are left out and counted, as many as are allowed', async () => {
  const content = `${good}nonsense\n{"a":[],"y":1}\n{"a":3,"y":4.5}\n`;
  const { info, features } = await prepare(content, { badRows: 'skip' });
  expect([[...features], info.skippedRows]).toEqual([[1, 3], 2]);
  const error = await failure(content, { badRows: 'skip', maxBadRows: 1 });
  expect(error.message).toMatch(/^2 bad rows, more than the 1/);
});

test('an array in a column that is not used is no problem', async () => {
  const { features } = await prepare('{"a":1,"tags":[1],"y":2}\n{"a":3,"tags":{},"y":2.5}\n', { features: ['a'] });
  expect([...features]).toEqual([1, 3]);
});

test('every value JSON can hold is a cell with its text, or none', () => {
  fc.assert(
    fc.property(fc.string(), fc.jsonValue({ maxDepth: 2 }), (key, value) => {
      const read = readJsonLine(JSON.stringify({ [key]: value }));
      if (read.kind === 'broken') throw new Error(read.reason);
      const cell = cellOfKey(read.values, key);
      if (value === null) expect(cell).toBe('');
      else if (typeof value === 'object') expect(cell).toBeUndefined();
      else expect(String(cell)).toBe(String(value === 0 ? 0 : value));
      expect(locateKey(JSON.stringify({ [key]: value }), key)).toMatchObject({ column: 2 });
    }),
  );
});

test('lines of any characters are samples or a RopeteamError, nothing else', async () => {
  const piece = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    '"',
    ':',
    ',',
    'a',
    'y',
    '\\',
    '1',
    'e9',
    '\n',
    '\r',
    'null',
    ' ',
    'é',
  );
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(piece, fc.constant(good)), { maxLength: 40 }), async (pieces) => {
      const outcome = await prepare(pieces.join('')).catch((reason: unknown) => reason);
      if (outcome instanceof Error) expect(outcome).toBeInstanceOf(RopeteamError);
    }),
    { numRuns: 60 },
  );
});
