import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type DataSpec, describeFiles, RopeteamError } from '#training';
import { dataSpec } from './data-spec.fixture.js';
import { prepareDataset } from './prepare-dataset.js';
import { resolveInside } from './resolve-inside.js';

let root = '';
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'ropeteam-bad-'));
});
afterEach(() => rm(root, { recursive: true }));

async function failure(content: string | Uint8Array | undefined, spec: Partial<DataSpec> = {}): Promise<RopeteamError> {
  if (content !== undefined) await writeFile(join(root, describeFiles(spec.source ?? 'd.csv')), content);
  const { task: _, ...base } = dataSpec({ source: 'd.csv', format: 'csv', scale: 'standard', maxCategories: 3 });
  const whole: DataSpec = { ...base, ...spec };
  const resolve = (path: string): Promise<string> => resolveInside(root, path);
  const error = await prepareDataset({ spec: whole, seed: 1, resolve, directory: join(root, 'out') }).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof RopeteamError) return error;
  throw new Error(`expected a RopeteamError, got ${String(error)}`);
}

const rows = (...lines: string[]): string => `a,b,y\n1,2,0.5\n${lines.join('\n')}\n3,4,0.7\n5,6,0.9\n`;
const classification = { task: 'classification' } as const;
const labels = 'a,y\n1,0\n2,1\n3,0\n4,1\n5,0\n6,1\n';

interface BadData {
  readonly name: string;
  readonly content: string | Uint8Array;
  readonly spec?: Partial<DataSpec>;
  readonly code: string;
  readonly place?: object;
  readonly message: RegExp;
  readonly hint?: RegExp;
}

const CASES: readonly BadData[] = [
  { name: 'an empty file', content: '', code: 'DATA.FILE', place: { file: 'd.csv' }, message: /^d\.csv is empty/ },
  { name: 'a file of blank lines', content: '\n \n', code: 'DATA.FILE', message: /is empty/ },
  { name: 'a header and nothing else', content: 'a,y\n', code: 'DATA.TOO_FEW', message: /header and no rows/ },
  {
    name: 'UTF-16',
    content: Buffer.from('\uFEFFa,y\n1,2\n', 'utf16le'),
    code: 'DATA.FORMAT',
    message: /is UTF-16/,
    hint: /UTF-8/,
  },
  { name: 'a binary file', content: Uint8Array.of(0x7f, 0x45, 0, 1, 2), code: 'DATA.FORMAT', message: /binary/ },
  {
    name: 'Latin-1',
    content: Buffer.from('a,y\n1,2\ncaf\xe9,3\n', 'latin1'),
    code: 'DATA.FORMAT',
    place: { file: 'd.csv', line: 3 },
    message: /d\.csv:3: the file is not UTF-8/,
  },
  {
    name: 'a .gz that is not gzip',
    content: 'a,y\n',
    spec: { source: 'd.csv.gz' },
    code: 'DATA.FORMAT',
    message: /is not gzip/,
  },
  {
    name: 'truncated gzip',
    content: gzipSync(labels.repeat(50)).subarray(0, 40),
    code: 'DATA.FORMAT',
    message: /damaged gzip/,
  },
  {
    name: 'a gzip bomb',
    content: gzipSync(`a,y\n${`${'1'.repeat(998)},2\n`.repeat(32e3)}`),
    code: 'DATA.LIMIT',
    message: /200 times its size/,
  },
  {
    name: 'a line of 2 MB',
    content: `a,y\n${'1'.repeat(2e6)}`,
    code: 'DATA.LIMIT',
    place: { line: 2 },
    message: /d\.csv:2: line longer than 1 MB/,
  },
  {
    name: 'a first line of 2 MB',
    content: 'a,'.repeat(1e6),
    code: 'DATA.LIMIT',
    place: { line: 1 },
    message: /longer than 1 MB/,
  },
  {
    name: 'a row with too few columns',
    content: rows('1,2'),
    code: 'DATA.ROW',
    place: { file: 'd.csv', line: 3, text: '1,2' },
    message: /^d\.csv:3: 2 columns, expected 3: 1,2$/,
  },
  {
    name: 'a row with too many columns',
    content: rows('1,2,3,4'),
    code: 'DATA.ROW',
    place: { line: 3 },
    message: /4 columns, expected 3/,
  },
  {
    name: 'a row with another delimiter',
    content: rows('1;2;3'),
    code: 'DATA.ROW',
    message: /1 columns/,
    hint: /semicolon/,
  },
  {
    name: 'a word among numbers',
    content: rows('12,oops,0.6'),
    code: 'DATA.CELL',
    place: { file: 'd.csv', line: 3, column: 4, length: 4, text: '12,oops,0.6' },
    message: /^d\.csv:3, column "b": "oops" is not a number$/,
  },
  {
    name: 'a word early in a large gzipped file',
    content: gzipSync(`a,y\n1,0.5\noops,0.6\n${'2,0.7\n'.repeat(300_000)}`),
    code: 'DATA.CELL',
    place: { file: 'd.csv', line: 3, column: 1, text: 'oops,0.6' },
    message: /"oops" is not a number/,
  },
  {
    name: 'a word in the first row',
    content: 'a,b,y\noops,1,0.5\n2,3,0.6\n3,4,0.7\n',
    code: 'DATA.CELL',
    place: { line: 2, column: 1, length: 4 },
    message: /"oops"/,
  },
  {
    name: 'a decimal comma',
    content: 'a;b;y\n1;2;0.5\n1,5;3;0.6\n2;4;0.7\n',
    code: 'DATA.CELL',
    place: { line: 3, column: 1, length: 3 },
    message: /"1,5" is not a number/,
    hint: /decimal point/,
  },
  {
    name: 'a column of decimal commas, which are not categories',
    content: 'a;y\n1,5;0.5\n2,5;0.6\n1,5;0.7\n',
    code: 'CONFIG.SEVERAL',
    message: /3 problems/,
    hint: /decimal point/,
  },
  {
    name: 'a number beyond 64 bits',
    content: rows('1e999,2,0.6'),
    code: 'DATA.CELL',
    place: { line: 3, column: 1 },
    message: /1e999 is not a finite number/,
  },
  {
    name: 'a number beyond 32 bits',
    content: rows('1e39,2,0.6'),
    code: 'DATA.CELL',
    place: { line: 3 },
    message: /32-bit/,
  },
  {
    name: 'infinity',
    content: rows('1,-inf,0.6'),
    code: 'DATA.CELL',
    place: { line: 3, column: 3 },
    message: /finite/,
  },
  {
    name: 'an empty cell',
    content: rows('1,,0.6'),
    code: 'DATA.CELL',
    place: { line: 3, column: 3 },
    message: /the value is missing/,
    hint: /data\.missing/,
  },
  {
    name: 'NaN',
    content: rows('1,NaN,0.6'),
    code: 'DATA.CELL',
    place: { line: 3, column: 3, length: 3 },
    message: /missing/,
  },
  {
    name: 'a missing target',
    content: rows('1,2,'),
    code: 'DATA.LABEL',
    place: { line: 3 },
    message: /target is missing/,
  },
  {
    name: 'a word as the target of a regression',
    content: rows('1,2,high'),
    spec: { task: 'regression' },
    code: 'DATA.LABEL',
    place: { line: 3, column: 5 },
    message: /"high"/,
  },
  {
    name: 'an unclosed quote',
    content: rows('1,"2,0.6'),
    code: 'DATA.ROW',
    place: { line: 3, column: 3, text: '1,"2,0.6' },
    message: /^d\.csv:3: the quote opened here is never closed/,
  },
  {
    name: 'a quote within a cell',
    content: rows('1,2",0.6'),
    code: 'DATA.ROW',
    place: { line: 3, column: 4 },
    message: /not quoted/,
  },
  {
    name: 'no header',
    content: '1,2,3\n4,5,6\n',
    code: 'DATA.COLUMN',
    place: { line: 1 },
    message: /numbers, not the names/,
  },
  {
    name: 'a header with a name twice',
    content: 'a,b,a,y\n1,2,3,4\n',
    code: 'DATA.COLUMN',
    place: { line: 1, column: 5 },
    message: /columns 1 and 3 have the same name/,
  },
  {
    name: 'a header with a nameless column',
    content: ',a,y\n0,1,2\n',
    code: 'DATA.COLUMN',
    place: { line: 1, column: 1 },
    message: /no name/,
    hint: /index=False/,
  },
  {
    name: 'a target that is not there',
    content: 'a,Y\n1,2\n',
    code: 'DATA.COLUMN',
    message: /"y", which data\.target names/,
    hint: /did you mean "Y"/,
  },
  {
    name: 'a feature that is not there',
    content: labels,
    spec: { features: ['b'] },
    code: 'DATA.COLUMN',
    message: /"b", which data\.features/,
    hint: /columns here are a, y/,
  },
  {
    name: 'a glob that matches nothing',
    content: labels,
    spec: { features: ['p*'] },
    code: 'DATA.COLUMN',
    message: /no column matches "p\*"/,
  },
  {
    name: 'the target as a feature',
    content: labels,
    spec: { features: ['a', 'y'] },
    code: 'DATA.COLUMN',
    message: /both a feature and the target/,
  },
  { name: 'no feature left', content: 'y\n1\n2\n', code: 'DATA.COLUMN', message: /no column is left/ },
  {
    name: 'the wrong delimiter',
    content: 'a;b;y\n1;2;3\n',
    spec: { delimiter: ',' },
    code: 'CONFIG.SEVERAL',
    message: /problems/,
    hint: /data\.delimiter to ";"/,
  },
  {
    name: 'a delimiter of two characters',
    content: labels,
    spec: { delimiter: '::' },
    code: 'CONFIG.RANGE',
    message: /data\.delimiter/,
  },
  {
    name: 'too many categories',
    content: 'w,y\na,0.1\nb,0.2\nc,0.3\nd,0.4\ne,0.5\nf,0.6\n',
    code: 'DATA.COLUMN',
    place: { line: 1, column: 1 },
    message: /more than 3 different words/,
    hint: /buckets: 1024.*maxCategories/,
  },
  {
    name: 'a column without a value',
    content: 'a,b,y\n1,,0.1\n2,,0.2\n',
    spec: { missing: 'mean' },
    code: 'DATA.COLUMN',
    place: { column: 3 },
    message: /no value in any row/,
  },
  {
    name: 'a fraction among labels',
    content: `${labels}7,0.5\n`,
    spec: classification,
    code: 'DATA.LABEL',
    place: { line: 8, column: 3 },
    message: /label 0\.5 is a fraction/,
  },
  {
    name: 'a word among whole labels',
    content: `${labels}7,one\n`,
    spec: classification,
    code: 'DATA.LABEL',
    place: { line: 8 },
    message: /"one" is not a class/,
  },
  {
    name: 'fractions as labels',
    content: 'a,y\n1,0.5\n2,0.7\n',
    spec: classification,
    code: 'DATA.COLUMN',
    message: /fractions, not labels/,
  },
  {
    name: 'one class only',
    content: 'a,y\n1,cat\n2,cat\n3,cat\n',
    code: 'DATA.COLUMN',
    place: { line: 1, column: 3 },
    message: /one class only, "cat"/,
  },
  {
    name: 'two targets of a classification',
    content: 'a,y,z\n1,0,1\n',
    spec: { ...classification, target: ['y', 'z'] },
    code: 'CONFIG.CONFLICT',
    message: /one target column/,
  },
  { name: 'a single row', content: 'a,y\n1,0.5\n', code: 'DATA.TOO_FEW', message: /leaves 1 samples for train/ },
  {
    name: 'a split that leaves too little',
    content: 'a,y\n1,0.5\n2,0.7\n3,0.9\n',
    spec: { split: { validation: { kind: 'fraction', fraction: 0.1 }, test: { kind: 'fraction', fraction: 0.1 } } },
    code: 'DATA.TOO_FEW',
    message: /1 samples for train/,
  },
];

test.each(CASES)('$name is refused with its place', async ({ content, spec, code, place, message, hint }) => {
  const error = await failure(content, spec);
  expect({ code: error.code, message: error.message }).toEqual({ code, message: expect.stringMatching(message) });
  if (place !== undefined) expect(error.place).toMatchObject(place);
  if (hint !== undefined) expect(error.hint).toMatch(hint);
  expect(error.hint).toBeDefined();
});

test('all problems of a file are reported together, by line, twenty at the most', async () => {
  const several = await failure('a,b,y\n1,x,0.5\n1,2\n1,,0.7\n1,2,0.8\n1,3,0.9\n1,4,\n');
  expect(several.code).toBe('CONFIG.SEVERAL');
  expect(several.problems.map(({ code, place }) => [code, place?.line])).toEqual([
    ['DATA.CELL', 2],
    ['DATA.ROW', 3],
    ['DATA.CELL', 4],
    ['DATA.LABEL', 7],
  ]);
  const many = await failure(
    `a,y\n${Array.from({ length: 500 }, (_, n) => (n % 5 === 0 ? 'x,1.5' : `${n},2.5`)).join('\n')}`,
  );
  expect([many.problems.length, many.message]).toEqual([20, '100 problems in the data; the first 20 are listed']);
});

test('the file and line of a problem are those of the validation file when it is there', async () => {
  await writeFile(join(root, 'v.csv'), 'y,w,n\ncat,red,1\nbird,red,2\ndog,green,x\n');
  const split = { validation: { kind: 'file', path: 'v.csv' }, test: { kind: 'fraction', fraction: 0 } } as const;
  const error = await failure('w,n,y\nred,1,cat\nblue,2,dog\n', { split });
  expect(error.problems.map(({ code, place }) => [code, place?.file, place?.line, place?.column])).toEqual([
    ['DATA.LABEL', 'v.csv', 3, 1],
    ['DATA.CELL', 'v.csv', 4, 5],
    ['DATA.CELL', 'v.csv', 4, 11],
  ]);
});

test('a missing file, a directory and a pipe are three different errors, and the pipe is not waited for', async () => {
  expect((await failure(undefined, { source: 'gone.csv' })).message).toBe('gone.csv does not exist');
  await mkdir(join(root, 'folder.csv'));
  expect((await failure(undefined, { source: 'folder.csv' })).message).toBe('folder.csv is a directory');
  execFileSync('mkfifo', [join(root, 'pipe.csv')]);
  expect((await failure(undefined, { source: 'pipe.csv' })).message).toBe('pipe.csv is not a regular file');
});
