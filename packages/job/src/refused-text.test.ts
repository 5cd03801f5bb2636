import { expect, test } from 'vitest';
import { type RefusedEdit, refusalOf } from './refused-edit.test-support.js';

const edits: readonly RefusedEdit[] = [
  [
    'B2 a key under the wrong parent',
    'name: digits',
    'name: digits\nepochs: 3',
    'CONFIG.UNKNOWN_KEY',
    '3:1+6',
    /unknown setting "epochs"$/,
    /"epochs" belongs under train:/,
  ],
  [
    'a key of the command line',
    'name: digits',
    'name: digits\nworkers: 4',
    'CONFIG.UNKNOWN_KEY',
    '3:1+7',
    /"workers"/,
    /--workers on the command line/,
  ],
  [
    'B8 a tab as indentation',
    '  epochs: 30',
    '\tepochs: 30',
    'CONFIG.SYNTAX',
    '12:1+1',
    /a tab stands where indentation/,
    /spaces/,
  ],
  [
    'B9 an alias',
    'target: digit',
    'target: *digit',
    'CONFIG.SYNTAX',
    '5:11+6',
    /aliases are not allowed in job files/,
    /instead of \*digit/,
  ],
  [
    'B11 a tag that would run code',
    'digits.csv',
    '!!js/function "x"',
    'CONFIG.SYNTAX',
    '4:25+3',
    /tag !!js\/function is not supported; tags are never evaluated/,
    /remove/,
  ],
  ['B11 a tag of YAML itself', 'seed: 7', 'seed: !!int "7"', 'CONFIG.SYNTAX', '19:15+3', /tag !!int/, /remove/],
  [
    'B13 __proto__',
    'name: digits',
    'name: digits\n__proto__: { polluted: 1 }',
    'CONFIG.UNKNOWN_KEY',
    '3:1+9',
    /"__proto__"/,
    /settings here/,
  ],
  [
    'B18 a version of the future',
    'ropeteam/v1',
    'ropeteam/v3',
    'CONFIG.VERSION',
    '1:13+11',
    /reads ropeteam\/v1, the file says ropeteam\/v3/,
    /set apiVersion/,
  ],
  [
    'B18 no version',
    'apiVersion: ropeteam/v1\n',
    '',
    'CONFIG.VERSION',
    '1:1+',
    /apiVersion is missing/,
    /add apiVersion: ropeteam\/v1/,
  ],
  [
    'B19 a variable of the environment',
    'digits.csv',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is what the user wrote
    '${DATA}/digits.csv',
    'CONFIG.SYNTAX',
    '4:11+18',
    /\$\{DATA\} is not replaced/,
    /--set data\.source="\$DATA"/,
  ],
  ['a bracket left open', '[{ dense: 64 }, relu]', '[{ dense: 64 }, relu', 'CONFIG.SYNTAX', '10:3+1', /./, /brackets/],
  [
    'B12 a second document',
    'checkpoint',
    '---\ncheckpoint',
    'CONFIG.SYNTAX',
    '20:1+3',
    /a second document begins here/,
    /a file of its own/,
  ],
  [
    'YAML 1.1 asked for',
    'apiVersion',
    '%YAML 1.1\n---\napiVersion',
    'CONFIG.SYNTAX',
    '1:1+9',
    /YAML 1\.2, this one asks for 1\.1/,
    /remove/,
  ],
  ['a key that is a list', 'seed: 7', '? [a]\n  : 7', 'CONFIG.SYNTAX', '19:5+3', /must be a plain word/, /name: value/],
];

test.each(edits)('a job file is refused for %s', (...edit) => {
  const [, , , code, place, words, hint] = edit;
  const error = refusalOf(edit);
  expect({ code: error.code, place: error.place }).toEqual({ code, place });
  expect(error.message).toMatch(words);
  expect(error.hint).toMatch(hint);
});
