/** Rows B15 to B34 of the table of bad input: jobs that can't be, and data that can't be read. */
import { execFileSync } from 'node:child_process';
import { mkdir, symlink } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import { type BadInput, bomb, csv, idx, job, npy, ofArrays, ofData, ofJob, ROWS, zip } from './row.js';

const outside = (how: string) => ['error DATA.OUTSIDE_ROOT', how, "fix: put the file in the job file's folder"];

const VARIABLE = '$'.concat('{HOME}');

const JOBS: readonly BadInput[] = [
  ofJob('B16', 'a model beyond what can be addressed', job({ layers: '[{ dense: 40000 }, { dense: 40000 }]' }), [
    /MODEL\.TOO_LARGE: the model has 1600080000 parameters .* need 6\.0 GiB; the limit is .* 1\.0 GiB/,
    'job.yaml:4:18',
    'fix: make the dense layers smaller',
  ]),
  ofJob('B17', 'an option of another optimizer', job({ train: 'optimizer: { sgd: { beta1: 0.9 } }' }), [
    'CONFIG.UNKNOWN_KEY: unknown setting "beta1" in train.optimizer.sgd',
    'job.yaml:5:30',
    /fix: .*belongs under train\.optimizer\.adam:.*settings of train\.optimizer\.sgd: learningRate/,
  ]),
  ofJob('B18', 'a format of the future', job({ head: 'apiVersion: ropeteam/v3\nname: bad' }), [
    'CONFIG.VERSION: this Ropeteam reads ropeteam/v1, the file says ropeteam/v3',
    'job.yaml:1:13',
    'fix: install the Ropeteam that reads it',
  ]),
  ofJob('B18', 'no format at all', job({ head: 'name: bad' }), [
    'CONFIG.VERSION: apiVersion is missing',
    'job.yaml:1:1',
    'fix: add apiVersion: ropeteam/v1',
  ]),
  ofJob('B19', 'a variable of the environment', job({ data: `source: "${VARIABLE}/rows.csv", target: y` }), [
    `CONFIG.SYNTAX: ${VARIABLE} is not replaced`,
    'job.yaml:3:17',
    'fix: write the value, or pass it as --set',
  ]),
  ofJob('B20', 'a folder for a job', job(), ['CONFIG.FILE: . is a folder', 'fix: did you mean job.yaml?'], {
    words: ['validate', '.'],
  }),
  ofJob('B20', 'an address for a job', job(), ['received an address', 'fix: save it as job.yaml'], {
    words: ['validate', 'https://example.com/job.yaml'],
  }),
  ofJob('B20', 'standard input for a job', job(), ['received standard input', 'fix: save it as job.yaml'], {
    words: ['validate', '-'],
  }),
  ofJob('B20', 'a job that is not there', job(), ['there is no file jbo.yaml', 'fix: did you mean job.yaml?'], {
    words: ['validate', 'jbo.yaml'],
  }),
];

const PLACES: readonly BadInput[] = [
  ofData('B21', 'a path up and out', undefined, outside('"../../etc/passwd" leaves its folder'), {
    source: '../../etc/passwd',
  }),
  ofData('B21', 'an absolute path', undefined, outside('"/etc/passwd" is an absolute path'), { source: '/etc/passwd' }),
  ofData('B21', 'a link that leads out', (path) => symlink('/etc/passwd', path), outside('is a link that leaves')),
  ofData('B21', 'a path with escapes of an address', undefined, outside('leaves its folder'), {
    source: '"%2e%2e/passwd"',
  }),
  ofData('B21', 'a path of Windows', undefined, outside('leaves its folder'), { source: '"..\\\\passwd"' }),
  ofJob('B21', 'a zero byte in a path', job({ data: 'source: "a\\0.csv", target: y' }), [
    'CONFIG.RANGE: data.source must be a file path',
    'received "a\\u0000.csv"',
    'job.yaml:3:17',
  ]),
  ofData('B22', 'a pipe', (path) => void execFileSync('mkfifo', [path]), [
    'DATA.FILE: rows.csv is not a regular file',
    'fix: name a CSV file',
  ]),
  ofData('B22', 'a folder', async (path) => void (await mkdir(path)), [
    'DATA.FILE: rows.csv is a directory',
    'fix: name a CSV file',
  ]),
  ofData('B23', 'a file that is not there', undefined, [
    'DATA.FILE: rows.csv does not exist',
    'fix: check data.source',
  ]),
  ofData('B23', 'an empty file', '', ['DATA.FILE: rows.csv is empty', 'fix: write a header line']),
];

const TABLES: readonly BadInput[] = [
  ofData('B24', 'a row that is too short', csv(...ROWS, '31', ...ROWS), [
    'DATA.ROW: rows.csv:32: 1 columns, expected 2: 31',
    /^32│ 31$/m,
    'fix: correct the row',
  ]),
  ofData('B24', 'a row that is too long', csv(...ROWS, '31,2,3'), [
    'DATA.ROW: rows.csv:32: 3 columns, expected 2: 31,2,3',
    'fix: correct the row',
  ]),
  ofData(
    'B24',
    'more bad rows than may be skipped',
    csv(...ROWS, '1', '2', '3'),
    ['DATA.ROW: rows.csv:34', 'error 3 bad rows, more than the 2 that data.maxBadRows allows'],
    { data: 'target: y, badRows: skip, maxBadRows: 2' },
  ),
  ofData('B25', 'a word among numbers', csv(...ROWS, 'abc,3'), [
    'DATA.CELL: rows.csv:32, column "x": "abc" is not a number',
    'rows.csv:32:1',
    'fix: correct the cell',
  ]),
  ofData('B25', 'an empty cell', csv(...ROWS, ',3'), ['column "x": the value is missing', 'fix: fill it in, or set']),
  ofData('B25', 'a NaN', csv(...ROWS, 'NaN,3'), ['column "x": the value is missing', 'data.missing']),
  ofData('B25', 'a decimal comma', csv(...ROWS, '"1,5",3'), ['"1,5" is not a number', 'a decimal point']),
  ofData('B25', 'a number beyond float32', csv(...ROWS, '1e999,3'), ['1e999 is not a finite number', 'rows.csv:32:1']),
  ofData('B26', 'a quote left open', csv(...ROWS, '"31,3', ...ROWS), [
    'DATA.ROW: rows.csv:32: the quote opened here is never closed',
    'fix: close the quote',
  ]),
  ofData('B27', 'no header line', ROWS.join('\n'), [
    'DATA.COLUMN: rows.csv:1: the first line holds numbers',
    'fix: put a line with the names of the columns above',
  ]),
  ofData('B27', 'a column twice', 'x,x,y\n1,2,3\n', [
    'columns 1 and 2 have the same name',
    'rows.csv:1:3',
    'fix: rename one',
  ]),
  ofData('B27', 'a header alone', 'x,y\n', ['DATA.TOO_FEW', 'a header and no rows below it', 'fix: write one line']),
  ofData(
    'B27',
    'another delimiter than was said',
    csv(...ROWS),
    ['no semicolon in it; it looks comma-separated', 'rows.csv:1', 'fix: set data.delimiter to ","'],
    { data: 'target: y, delimiter: ";"' },
  ),
  ofData('B28', 'a line without an end', csv('9'.repeat(3 << 20)), [
    'DATA.LIMIT: rows.csv:2: line longer than 1 MB',
    'fix: is this a CSV file?',
  ]),
  ofData(
    'B29',
    'a label that training does not know',
    csv(...ROWS.map((row, n) => row.replace(/,.*/, `,${n % 2}`))),
    ['DATA.LABEL: test.csv:3, column "y": label "10" is not a class', 'classes there: 0, 1', 'fix: correct the label'],
    {
      data: 'target: y, task: classification, split: { test: test.csv }',
      files: { 'test.csv': csv('1,0', '2,10') },
    },
  ),
  ofData('B29', 'a word for a number to predict', csv(...ROWS, '31,abc'), [
    'DATA.LABEL: rows.csv:32, column "y": "abc" is not a number',
    'rows.csv:32:4',
    'fix: correct the cell',
  ]),
  ofData('B30', 'one class alone', csv(...ROWS.map((row) => row.replace(/,.*/, ',cat'))), [
    'DATA.COLUMN: rows.csv:1, column "y": has one class only, "cat"',
    'fix: add rows of other classes',
  ]),
  {
    ...ofData('B30', 'a constant column: a warning, and no NaN', csv(...ROWS.map((_, n) => `7,${n * n}`)), []),
    prints: ['column x has the same value in every training sample'],
    exitCode: 0,
  },
  ofData('B30', 'too few rows to split', csv('1,2'), ['DATA.TOO_FEW', 'at least 2 are needed', 'fix: add rows']),
];

const LABELS = { 'y.npy': npy('|u1', '(4,)', Uint8Array.of(0, 1, 0, 1)) };

const ARRAYS: readonly BadInput[] = [
  ofArrays('B31', 'an IDX file that is none', 'x.idx', idx([4, 2], 8, [1, 2, 8, 2]), ['DATA.FORMAT', 'x.idx'], LABELS),
  ofArrays(
    'B31',
    'other counts of images and labels',
    'x.idx',
    idx([5, 2], 10),
    ['DATA.FORMAT: y.npy has 4 labels, but x.idx has 5 samples', 'fix: name two files that belong together'],
    LABELS,
  ),
  ofArrays(
    'B31',
    'an IDX file that breaks off',
    'x.idx',
    idx([4, 2], 5),
    ['DATA.FORMAT: x.idx says it holds 4 × 2 numbers', '8 bytes, but there are 5', 'fix: copy or download'],
    LABELS,
  ),
  ofArrays('B31', 'a gzip of something else', 'x.idx.gz', gzipSync('not an array at all'), ['DATA.FORMAT'], LABELS),
  ofData('B32', 'a gzip bomb', bomb(16 << 20), ['DATA.LIMIT', 'rows.csv.gz', '200 times'], { source: 'rows.csv.gz' }),
  ofData('B32', 'a Zip archive for a table', zip('rows.csv', Buffer.from(csv(...ROWS))), [
    'DATA.FORMAT: rows.csv:1: the file looks like a binary file',
    'fix: save it as CSV',
  ]),
  ofArrays(
    'B32',
    'a member with a path out of its archive',
    'x.npz',
    zip('../x.npy', npy('<f4', '(4, 1)', new Uint8Array(16))),
    ['DATA.'],
    LABELS,
  ),
  ofArrays(
    'B33',
    'objects of Python',
    'x.npy',
    npy('|O', '(4, 1)', new Uint8Array(32)),
    ['DATA.FORMAT', 'x.npy', 'code'],
    LABELS,
  ),
  ofArrays(
    'B33',
    'columns first',
    'x.npy',
    npy('<f4', '(4, 2)', new Uint8Array(32), 'True'),
    ['DATA.FORMAT', 'x.npy', 'fix:'],
    LABELS,
  ),
  ofArrays(
    'B33',
    'a shape beyond all numbers',
    'x.npy',
    npy('<f4', '(9007199254740993, 4)'),
    ['DATA.FORMAT', 'x.npy'],
    LABELS,
  ),
  ofArrays(
    'B33',
    'a header of 101 MB',
    'x.npy',
    npy('<f4', '(4, 1)').fill(0xff, 8, 10),
    ['DATA.FORMAT', 'x.npy'],
    LABELS,
  ),
  ofData(
    'B34',
    'a line that is no object',
    '{"x":1,"y":2}\n{"x":1,\n',
    ['DATA.ROW: rows.jsonl:2: the line is not JSON', 'fix: write each sample as an object on a line'],
    { source: 'rows.jsonl' },
  ),
  ofData(
    'B34',
    'ten thousand brackets',
    `{"x":1,"y":2}\n{"x":${'['.repeat(10_000)}${']'.repeat(10_000)},"y":1}\n`,
    ['DATA.', 'rows.jsonl:2'],
    {
      source: 'rows.jsonl',
    },
  ),
  ofData(
    'B34',
    'a number beyond float32',
    '{"x":1,"y":2}\n{"x":1e999,"y":2}\n',
    ['DATA.CELL: rows.jsonl:2, column "x": Infinity is not a finite number', 'fix: correct the value'],
    { source: 'rows.jsonl' },
  ),
];

export const JOB_AND_DATA: readonly BadInput[] = [...JOBS, ...PLACES, ...TABLES, ...ARRAYS];
