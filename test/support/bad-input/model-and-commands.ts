/** Rows B36 to B50 of the table of bad input: weights, models and command lines. */
import { cp, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CHECKOUT } from '../command.js';
import { type BadInput, csv, job, ofJob, ROWS, tensors, zip } from './row.js';

/** Of columns length and width, numbers, and colour, a word: blue, green or red. */
const MODEL = join(CHECKOUT, 'test/golden/0.1.0/finished/model');
const GOOD = 'length,width,colour\n4.8,3.4,blue\n';

/** Starts a model of one input and one output from a file of weights. */
const start = (number: BadInput['number'], what: string, weights: Uint8Array, says: BadInput['says']): BadInput =>
  ofJob(number, what, job(), ['error MODEL.', 'w.safetensors', 'fix: ', ...says], {
    words: ['validate', 'job.yaml', '--init-from', 'w.safetensors'],
    files: { 'w.safetensors': weights },
  });
const entry = (begin: number, end: number, shape: readonly number[]): string =>
  JSON.stringify({ dtype: 'F32', shape, data_offsets: [begin, end] });
const LINE = `"layers.0.weight":${entry(0, 4, [1, 1])},"layers.0.bias":${entry(4, 8, [1])}`;

/** A copy of a good model, changed. */
const copied =
  (change: (folder: string) => Promise<void> = async () => undefined) =>
  async (path: string): Promise<void> => {
    await cp(MODEL, path, { recursive: true });
    await change(path);
  };
async function overwrite(path: string, at: number, byte: number): Promise<void> {
  await using file = await open(path, 'r+');
  await file.write(Uint8Array.of(byte), 0, 1, at);
}
function ask(
  number: BadInput['number'],
  what: string,
  rows: string,
  says: BadInput['says'],
  model: (path: string) => Promise<void> = copied(),
): BadInput {
  const words = ['predict', 'model', '--input', 'rows.csv'];
  return { number, what, says, words, files: { model, 'rows.csv': rows } };
}

const WEIGHTS: readonly BadInput[] = [
  start('B36', 'an empty file of weights', new Uint8Array(), ['it has 0 bytes']),
  start('B36', 'a file of weights that breaks off', tensors(`{${LINE}}`, 8).subarray(0, 60), ['the file has 60']),
  start('B36', 'a text for a file of weights', Buffer.from('weights, please'), ['the limit is 100000000']),
  {
    ...ask(
      'B36',
      'a model of a later version',
      GOOD,
      [
        'STORAGE.CORRUPT',
        'its format is "ropeteam-model/9", this program reads ropeteam-model/1',
        'fix: use the version',
      ],
      copied((folder) => writeFile(join(folder, 'model.json'), '{"format":"ropeteam-model/9"}')),
    ),
    exitCode: 1,
  },
  start('B37', 'a tensor twice', tensors(`{"a":${entry(0, 4, [1])},"a":${entry(0, 4, [1])}}`, 4), ['occurs twice']),
  start('B37', 'one tensor over another', tensors(`{"a":${entry(0, 8, [2])},"b":${entry(4, 12, [2])}}`, 12), [
    'tensor "b" overlaps',
  ]),
  start('B37', 'a hole between tensors', tensors(`{"a":${entry(0, 4, [1])},"b":${entry(8, 12, [1])}}`, 12), ['a hole']),
  start('B37', 'an offset past the end', tensors(`{"a":${entry(0, 8, [2])}}`, 4), ['ends 4 bytes past the end']),
  start('B37', 'a negative offset', tensors(`{"a":${entry(-4, 0, [1])}}`), ['no proper data_offsets']),
  start('B37', 'a shape that does not fill its bytes', tensors(`{"a":${entry(0, 8, [3])}}`, 8), ['does not fill 8']),
  start('B37', 'a shape beyond all numbers', tensors(`{"a":${entry(0, 4, [2 ** 40, 2 ** 40])}}`, 4), [
    'does not fill 4',
  ]),
  start(
    'B38',
    'weights of another architecture',
    tensors(`{"layers.0.weight":${entry(0, 8, [1, 2])},"layers.0.bias":${entry(8, 12, [1])}}`, 12),
    [
      "layers.0.weight is [1, 1] in this job's model",
      'is [1, 2]',
      'fix: take the file of a model with the same layers',
    ],
  ),
  start(
    'B39',
    'weights that are not numbers',
    tensors(`{${LINE}}`, new Uint8Array(Float32Array.of(1, Number.NaN).buffer)),
    ['tensor "layers.0.bias" holds NaN at [0]', 'fix: take weights from before the training diverged'],
  ),
  {
    ...ask(
      'B40',
      'weights with one byte changed',
      GOOD,
      ['STORAGE.CORRUPT', 'it describes another', 'fix: take a copy that is whole, or train again'],
      copied((folder) => overwrite(join(folder, 'model.safetensors'), 700, 1)),
    ),
    exitCode: 1,
  },
  start('B41', 'a pickle of PyTorch', Uint8Array.of(0x80, 2, 0x7d, 0x71, 0, 0, 0, 0, 0, 0, 0, 0), [
    'it looks like a pickle or zip file, and those are never loaded: they can run code',
    'safetensors.torch.save_file(model.state_dict()',
  ]),
  start('B41', 'an archive of PyTorch', zip('archive/data.pkl', Uint8Array.of(0x80, 2)), [
    'never loaded',
    'safetensors.torch.save_file',
  ]),
  start('B42', 'escapes of a terminal in a name', tensors(`{"\\u001b[31mred":${entry(0, 4, [1])}}`, 4), [
    'no place for \\u{1b}[31mred [1]',
  ]),
  start(
    'B42',
    'names of a prototype',
    tensors(`{"__proto__":${entry(0, 4, [1, 1])},"constructor":${entry(4, 8, [1])}}`, 8),
    ['no place for __proto__ [1, 1], constructor [1]'],
  ),
];

const typed = (number: BadInput['number'], what: string, words: string, says: BadInput['says']): BadInput => {
  const files = { 'job.yaml': job(), 'rows.csv': csv(...ROWS) };
  return { number, what, files, words: words.split(' '), says: ['error USAGE.ARGUMENT', 'fix: ', ...says] };
};
const ofWorkers = 'must be a whole number from 1 to 256';

const COMMANDS: readonly BadInput[] = [
  typed('B43', 'a mistyped command', 'trian job.yaml', ["unknown command 'trian'", 'did you mean train?']),
  typed('B43', 'a mistyped option', 'train job.yaml --worker 2', ["option '--worker'", 'did you mean --workers?']),
  typed('B44', 'a word for a number', 'train job.yaml --workers abc', ["'abc' is invalid", ofWorkers]),
  typed('B44', 'a negative number', 'train job.yaml --workers -1', ["'-1' is invalid", ofWorkers]),
  typed('B44', 'far too many', 'train job.yaml --workers 1000000000', ["'1000000000' is invalid", ofWorkers]),
  typed('B44', 'a port there is not', 'up --port 99999', ["'99999' is invalid", 'from 0 to 65535']),
  typed('B44', 'a word of another list', 'train job.yaml --kernel abacus', ["'abacus' is invalid", 'wasm, js']),
  ask('B47', 'rows without a column of the model', 'length,colour\n1,blue\n', [
    'DATA.COLUMN: rows.csv: no column is called width',
    'rows.csv:1',
    'the columns here are length, colour',
  ]),
  ask('B47', 'a word training did not have', 'length,width,colour\n1,2,mauve\n', [
    'DATA.CELL: rows.csv:2, column colour: "mauve" did not occur',
    'known there: blue, green, red',
    'fix: correct the cell',
  ]),
  ask('B47', 'no rows and no header', '', ['DATA.FILE: rows.csv is empty', 'fix: write a header line']),
  typed('B48', 'no run to take up', 'resume', ['which run?', 'name it: ropeteam resume runs/ID']),
  {
    ...typed('B48', 'a run that is not there', 'resume runs/nope', []),
    files: { 'runs/digits-1/job.yaml': job(), 'runs/digits-2/job.yaml': job() },
    says: ['error RUN.UNKNOWN: there is no run nope in ', 'fix: the runs there are digits-1, digits-2'],
  },
  {
    ...typed('B48', 'a folder that is no run', 'verify .', []),
    says: ['error RUN.UNKNOWN', "it is not a run's folder", 'fix: name the folder of a run'],
  },
  typed('B49', 'a secret on the command line', 'worker --coordinator h:1 --token abc', [
    "unknown option '--token'",
    'a secret does not belong on a command line',
  ]),
  typed('B50', 'a job file that is there already', 'init job.yaml --data rows.csv --target y', [
    'job.yaml is there already',
    'overwrite it with --force',
  ]),
  typed('B50', 'a file where runs should go', 'train job.yaml --out rows.csv', [
    'runs cannot go into ',
    'it is a file',
    'fix: name a folder with --out',
  ]),
  {
    ...ask('B50', 'predictions into a folder that is not there', GOOD, [
      'STORAGE.WRITE: cannot write ',
      'fix: check that',
    ]),
    words: ['predict', 'model', '--input', 'rows.csv', '--output', 'no/where.csv'],
    exitCode: 3,
  },
  {
    ...ask('B50', 'an export onto a folder', GOOD, ['STORAGE.WRITE: cannot write ', 'fix: check that']),
    words: ['export', 'model', '--format', 'onnx', '--out', '.'],
    exitCode: 3,
  },
];

export const MODEL_AND_COMMANDS: readonly BadInput[] = [...WEIGHTS, ...COMMANDS];
