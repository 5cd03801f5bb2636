import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RopeteamError } from '#training';
import { parseJob } from './parse-job.js';
import { job, refusal } from './refused-edit.test-support.js';

const smallest = `apiVersion: ropeteam/v1
name: line
data: { source: line.csv, target: y }
model: { layers: [] }
`;

const problemsOf = (error: RopeteamError): readonly RopeteamError[] =>
  error.problems.length === 0 ? [error] : error.problems;

test('every form of the contract is read into its spec', () => {
  expect(parseJob(job, 'job.yaml')).toEqual({
    apiVersion: 'ropeteam/v1',
    name: 'digits',
    data: {
      source: 'digits.csv',
      delimiter: 'auto',
      target: ['digit'],
      features: 'all',
      task: 'classification',
      scale: 'standard',
      scaleTarget: 'none',
      split: { validation: { kind: 'fraction', fraction: 0.1 }, test: { kind: 'file', path: 'held-out.csv' } },
      badRows: 'error',
      maxBadRows: 100,
      missing: 'error',
      maxCategories: 64,
    },
    model: {
      layers: [{ kind: 'dense', units: 64 }, { kind: 'relu' }],
      loss: { kind: 'softmaxCrossEntropy' },
      init: 'auto',
    },
    train: {
      limit: { kind: 'epochs', epochs: 30 },
      batch: 256,
      microBatches: 'auto',
      wire: 'float32',
      optimizer: { kind: 'adam', learningRate: 0.003, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
      schedule: { warmup: 50, after: { kind: 'cosine', to: 0 } },
      clipNorm: 1,
      stop: { tolerance: 1e-6, patience: 5 },
      metric: 'loss',
      keep: 'last',
      onNonFinite: 'stop',
      verify: 0,
      shuffle: true,
      seed: 7,
    },
    checkpoint: { everyMs: 90_000, keep: 4 },
  });
});

test('what a job file leaves out is filled in', () => {
  const { data, model, train, checkpoint } = parseJob(smallest, 'job.yaml');
  expect(data.split).toEqual({
    validation: { kind: 'fraction', fraction: 0.1 },
    test: { kind: 'fraction', fraction: 0.1 },
  });
  expect(data.task).toBeUndefined();
  expect(model).toEqual({ layers: [], init: 'auto' });
  expect(train).toEqual({
    limit: { kind: 'epochs', epochs: 10 },
    batch: 32,
    microBatches: 'auto',
    wire: 'float32',
    optimizer: { kind: 'adam', learningRate: 0.001, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
    schedule: { warmup: 0, after: { kind: 'constant' } },
    stop: {},
    metric: 'loss',
    keep: 'last',
    onNonFinite: 'stop',
    verify: 0,
    shuffle: true,
    seed: 7,
  });
  expect(checkpoint).toEqual({ everyMs: 30_000, keep: 3 });
});

test.each([
  ['optimizer: sgd', { kind: 'sgd', learningRate: 0.01 }],
  ['optimizer: momentum', { kind: 'momentum', learningRate: 0.01, momentum: 0.9, nesterov: false }],
  [
    'optimizer: { momentum: { nesterov: true } }',
    { kind: 'momentum', learningRate: 0.01, momentum: 0.9, nesterov: true },
  ],
  ['optimizer: adagrad', { kind: 'adagrad', learningRate: 0.01, epsilon: 1e-10 }],
  ['optimizer: rmsprop', { kind: 'rmsprop', learningRate: 0.01, decay: 0.99, epsilon: 1e-8, momentum: 0 }],
  [
    'optimizer: adamw',
    { kind: 'adamw', learningRate: 0.001, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 },
  ],
  [
    'optimizer: { lamb: { weightDecay: 0 } }',
    { kind: 'lamb', learningRate: 0.001, beta1: 0.9, beta2: 0.999, epsilon: 1e-6, weightDecay: 0 },
  ],
  ['optimizer: { sgd: {} }', { kind: 'sgd', learningRate: 0.01 }],
])('%s means all the defaults of that optimizer', (line, optimizer) => {
  expect(parseJob(`${smallest}train:\n  ${line}\n`, 'job.yaml').train.optimizer).toEqual(optimizer);
});

test.each([
  ['schedule: linear', { warmup: 0, after: { kind: 'linear', to: 0 } }],
  ['schedule: { warmup: 9 }', { warmup: 9, after: { kind: 'constant' } }],
  ['schedule: { step: { every: 5, factor: 0.5 } }', { warmup: 0, after: { kind: 'step', every: 5, factor: 0.5 } }],
  ['schedule: { exponential: { factor: 0.9 } }', { warmup: 0, after: { kind: 'exponential', factor: 0.9 } }],
])('%s is a schedule', (line, schedule) => {
  expect(parseJob(`${smallest}train:\n  ${line}\n`, 'job.yaml').train.schedule).toEqual(schedule);
});

test('a job is frozen to its last layer', () => {
  const spec = parseJob(job, 'job.yaml');
  const parts = [spec, spec.data, spec.data.split.test, spec.model.layers, spec.model.layers[0], spec.train.optimizer];
  expect(parts.every(Object.isFrozen)).toBe(true);
});

test('a byte order mark, CRLF and words of YAML 1.1 change nothing', () => {
  const spec = parseJob(`\uFEFF${smallest.replace('target: y', 'target: no').replaceAll('\n', '\r\n')}`, 'job.yaml');
  expect(spec.data.target).toEqual(['no']);
});

test('a problem shows the line it is on, at most 120 characters of it', () => {
  expect(refusal(job.replace('0.003', 'fast')).place?.text).toBe('  optimizer: { adam: { learningRate: fast } }');
  const long = refusal(job.replace('digits.csv', `"\\0${'x'.repeat(300)}"`));
  expect(long.place?.text).toHaveLength(120);
});

test('all problems of a file and of --set are reported together, in the order of the file', () => {
  const broken = job.replace('name: digits', 'name: Digits!').replace('seed: 7', 'sede: 7').replace('relu]', 'selu]');
  const error = refusal(broken, ['train.batch=x', 'train.epohcs=3']);
  expect(error.code).toBe('CONFIG.SEVERAL');
  expect(error.message).toBe('5 problems in job.yaml');
  expect(error.problems.map(({ facts, place }) => [Object.values(facts)[0], place?.line ?? place?.file])).toEqual([
    ['name', 2],
    ['model.layers[1]', 9],
    ['train.sede', 19],
    ['train.batch', '--set train.batch=x'],
    ['train.epohcs', '--set train.epohcs=3'],
  ]);
});

test('of many problems the first 20 are reported', () => {
  const many = Array.from({ length: 500 }, (_, index) => `unknown${index}: 1`).join('\n');
  const error = refusal(`${job}${many}\n`);
  expect(error.problems).toHaveLength(20);
  expect(error.message).toMatch(/more than 20/);
});

test('a misspelt required key is one problem, not a missing and an unknown one', () => {
  expect(problemsOf(refusal(job.replace('target:', 'targt:'))).map(({ code }) => code)).toEqual(['CONFIG.UNKNOWN_KEY']);
});

test('what was refused as an alias is not also called missing', () => {
  expect(problemsOf(refusal(job.replace('digits.csv', '*file')))).toHaveLength(1);
});

test.each([
  ['an empty file', '', /empty/, /examples/],
  ['blank lines', '\n  \n', /empty/, /examples/],
  ['a comment alone', '# job\n', /the job file is empty/, /examples/],
  ['a sentence', 'hello', /the job file must be a group of settings, received the text "hello"/, /apiVersion/],
  ['a list', '- a\n- b\n', /received a list/, /^$/],
  ['binary data', 'apiVersion: \u0000\u0001', /U\+0000/, /UTF-8/],
  ['more than 256 KiB', `#${'x'.repeat(10_000_000)}`, /9766 KiB long, at most 256 KiB/, /data\.source/],
])('%s is named for what it is', (_what, text, words, hint) => {
  const error = refusal(text);
  expect(error.message).toMatch(words);
  expect(error.hint ?? '').toMatch(hint);
});

test.each([
  ['flow lists', '['.repeat(100_000)],
  ['flow maps', '{a: '.repeat(50_000)],
  ['block lists', '- '.repeat(100_000)],
  ['keys of keys', '? '.repeat(100_000)],
  ['block maps', Array.from({ length: 700 }, (_, depth) => `${' '.repeat(depth)}a:`).join('\n')],
])('%s nested without end are refused before they are built', (_what, text) => {
  expect(refusal(text).message).toMatch(/nested more than 64 deep/);
});

test('an alias bomb is refused without being expanded', () => {
  const levels = Array.from(
    { length: 30 },
    (_, level) => `  a${level + 1}: &a${level + 1} [${`*a${level}, `.repeat(9)}*a${level}]`,
  );
  const error = refusal(`data:\n  a0: &a0 x\n${levels.join('\n')}\n`);
  expect(error.problems.some(({ message }) => message.includes('aliases are not allowed'))).toBe(true);
});

test('a key named __proto__ reaches no prototype', () => {
  refusal(`__proto__: { polluted: 1 }\n${job}`);
  expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
});

test('a column named __proto__ is refused where something is set for it, not passed over', () => {
  const error = refusal(job.replace(/^data:\n/m, 'data:\n  columns: { __proto__: { kind: category } }\n'));
  expect(problemsOf(error).map(({ message }) => message)).toEqual(['nothing can be set for __proto__ in data.columns']);
});

test('whatever the text, the answer is a job or an error for its user', () => {
  const pieces = fc.constantFrom(
    ...job.split(/(?<=[\s:{},[\]])/),
    '\t',
    '*',
    '&a ',
    '!!x ',
    '---\n',
    '"',
    '\u0000',
    '- ',
    '? ',
  );
  const text = fc.oneof(
    fc.string(),
    fc.array(pieces, { maxLength: 40 }).map((parts) => parts.join('')),
  );
  fc.assert(
    fc.property(text, (written) => refusal(written).code.length > 0),
    { numRuns: 500 },
  );
});

test('whatever is cut out of a job file or put into it, the answer is a job or an error for its user', () => {
  const edit = fc.tuple(fc.nat(job.length), fc.nat(30), fc.string({ maxLength: 6 }));
  fc.assert(
    fc.property(edit, ([at, cut, put]) => {
      try {
        parseJob(job.slice(0, at) + put + job.slice(at + cut), 'job.yaml');
      } catch (error) {
        expect(error).toBeInstanceOf(RopeteamError);
      }
    }),
    { numRuns: 500 },
  );
});
