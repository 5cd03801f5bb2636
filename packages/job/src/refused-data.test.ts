import { expect, test } from 'vitest';
import { type RefusedEdit, refusalOf } from './refused-edit.test-support.js';

const edits: readonly RefusedEdit[] = [
  [
    'B2 a key of the root inside a group',
    '  target: digit',
    '  target: digit\n  checkpoint: {}',
    'CONFIG.UNKNOWN_KEY',
    '6:3+10',
    /"checkpoint" in data/,
    /move it to the left edge/,
  ],
  [
    'B14 a number for a column name',
    'target: digit',
    'target: 012',
    'CONFIG.TYPE',
    '5:11+3',
    /a column name .* received 012/,
    /put it in quotes: "012"/,
  ],
  [
    'a misspelt word',
    'classification',
    'clasification',
    'CONFIG.RANGE',
    '6:9+13',
    /classification or regression, received "clasification"/,
    /did you mean "classification"\?/,
  ],
  [
    'a classification of two columns',
    'target: digit',
    'target: [digit, parity]',
    'CONFIG.CONFLICT',
    '5:11+15',
    /one target column, data\.target names 2/,
    /keep one/,
  ],
  [
    'a feature that is the target',
    'target: digit',
    'target: digit\n  features: [p1, digit]',
    'CONFIG.CONFLICT',
    '6:18+5',
    /"digit" is both a feature and the target/,
    /remove it/,
  ],
  [
    'nothing left to train on',
    '{ validation: 0.1, test: held-out.csv }',
    '{ validation: 0.5, test: 0.5 }',
    'CONFIG.CONFLICT',
    '7:35+3',
    /keeps 1 of the data back/,
    /less than 1/,
  ],
  [
    'a test on the training file',
    'held-out.csv',
    'digits.csv',
    'CONFIG.CONFLICT',
    '7:35+10',
    /the file the model is trained on/,
    /another file/,
  ],
  [
    'a share as text',
    'held-out.csv',
    '"10%"',
    'CONFIG.RANGE',
    '7:35+5',
    /received the text "10%"/,
    /write 0\.1 without quotes/,
  ],
  [
    'a share in percent',
    'validation: 0.1',
    'validation: 10',
    'CONFIG.RANGE',
    '7:24+2',
    /a fraction of the data .* received 10/,
    /10 % is written 0\.1/,
  ],
  [
    'a format that is not built',
    'source: digits.csv',
    'source: digits.parquet',
    'CONFIG.RANGE',
    '4:11+14',
    /a CSV, TSV, NPY or IDX file, received the name of a Parquet file/,
    /convert it/,
  ],
  [
    'an address for a file',
    'source: digits.csv',
    'source: https://example.org/digits.csv',
    'CONFIG.RANGE',
    '4:11+30',
    /must be a file, received an address/,
    /download/,
  ],
  ['an escape in a path', 'digits.csv', '"a\\0b.csv"', 'CONFIG.RANGE', '4:11+10', /must be a file path/, /^$/],
  [
    'a name that is no word',
    'name: digits',
    'name: My Digits',
    'CONFIG.RANGE',
    '2:7+9',
    /a name of 1 to 40 characters/,
    /for example my-digits/,
  ],
  [
    'a missing key',
    '  target: digit\n',
    '',
    'CONFIG.TYPE',
    '3:1+4',
    /data\.target is missing/,
    /add target: digit under data:/,
  ],
];

test.each(edits)('the data settings are refused for %s', (...edit) => {
  const [, , , code, place, words, hint] = edit;
  const error = refusalOf(edit);
  expect({ code: error.code, place: error.place }).toEqual({ code, place });
  expect(error.message).toMatch(words);
  expect(error.hint).toMatch(hint);
});
