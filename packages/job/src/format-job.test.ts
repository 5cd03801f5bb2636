import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { JobSpec } from '#training';
import { formatJob } from './format-job.js';
import { parseJob } from './parse-job.js';

const word = fc.stringMatching(/^[\p{L}\p{N} _.:#'"*&!%@`{}[\],~?|>-]{1,12}$/u);
const path = word.filter((text) => !/^[\d.]+\s*%?$/.test(text));
const share = fc.double({ min: 0, max: 0.45, noNaN: true });
const positive = fc.double({ min: 1e-12, max: 1000, noNaN: true });
const belowOne = fc.double({ min: 0, max: 0.999999, noNaN: true });
const whole = (min: number, max: number) => fc.integer({ min, max });
const factor = fc.double({ min: 1e-6, max: 1, noNaN: true });

const split = fc.oneof(
  share.map((fraction) => ({ kind: 'fraction', fraction }) as const),
  path.map((name) => ({ kind: 'file', path: `held/${name}` }) as const),
);

const size = fc.double({ min: 0, max: 1000, noNaN: true });
const adamSettings = { learningRate: positive, beta1: belowOne, beta2: belowOne, epsilon: positive };

const optimizer = fc.oneof(
  fc.record({ kind: fc.constant('sgd' as const), learningRate: positive }),
  fc.record({
    kind: fc.constant('momentum' as const),
    learningRate: positive,
    momentum: belowOne,
    nesterov: fc.boolean(),
  }),
  fc.record({ kind: fc.constant('adagrad' as const), learningRate: positive, epsilon: positive }),
  fc.record({
    kind: fc.constant('rmsprop' as const),
    learningRate: positive,
    decay: belowOne,
    epsilon: positive,
    momentum: belowOne,
  }),
  fc.record({ kind: fc.constant('adam' as const), ...adamSettings }),
  fc.record({ kind: fc.constantFrom('adamw' as const, 'lamb' as const), ...adamSettings, weightDecay: size }),
);

const after = fc.oneof(
  fc.record({ kind: fc.constant('constant' as const) }),
  fc.record({ kind: fc.constant('step' as const), every: whole(1, 1e9), factor }),
  fc.record({ kind: fc.constant('linear' as const), to: belowOne }),
  fc.record({ kind: fc.constant('exponential' as const), factor }),
  fc.record({ kind: fc.constant('cosine' as const), to: belowOne }),
);

const layer = fc.oneof(
  whole(1, 4096).map((units) => ({ kind: 'dense', units }) as const),
  fc
    .constantFrom('relu' as const, 'gelu' as const, 'sigmoid' as const, 'tanh' as const, 'softmax' as const)
    .map((kind) => ({ kind })),
  share.map((slope) => ({ kind: 'leakyRelu', slope }) as const),
  belowOne.map((rate) => ({ kind: 'dropout', rate }) as const),
  factor.map((epsilon) => ({ kind: 'layerNorm', epsilon }) as const),
);

const loss = fc.oneof(
  fc.constant(undefined),
  fc.constant({ kind: 'meanSquaredError' } as const),
  factor.map((delta) => ({ kind: 'huber', delta }) as const),
);

/** Any job that is right: the losses and tasks that do not go together are left to the table of refusals. */
const anyJob: fc.Arbitrary<JobSpec> = fc
  .record({
    name: fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,39}$/),
    source: fc.oneof(
      path.map((name) => `${name}.csv`),
      fc.uniqueArray(path, { minLength: 1, maxLength: 3 }).map((names) => names.map((name) => `${name}*.csv`)),
    ),
    delimiter: fc.constantFrom('auto', 'whitespace', ',', ';', '\t', '|', ' ', ':', '#'),
    target: fc.uniqueArray(
      word.map((name) => `target ${name}`),
      { minLength: 1, maxLength: 3 },
    ),
    features: fc.oneof(fc.constant('all' as const), fc.array(word, { minLength: 1, maxLength: 4 })),
    task: fc.constantFrom('regression' as const, undefined),
    scale: fc.constantFrom('standard' as const, 'minmax' as const, 'none' as const),
    scaleTarget: fc.constantFrom('standard' as const, 'minmax' as const, 'none' as const),
    validation: split,
    test: split,
    badRows: fc.constantFrom('error' as const, 'skip' as const),
    maxBadRows: whole(0, 1e9),
    missing: fc.constantFrom('error' as const, 'mean' as const, 'zero' as const, 'drop' as const),
    maxCategories: whole(2, 65_536),
    columns: fc.option(
      // The one name for which nothing can be set.
      fc.dictionary(
        word.filter((name) => name !== '__proto__'),
        fc.record({ kind: fc.constant('category' as const), buckets: whole(2, 65_536) }),
        {
          minKeys: 1,
          maxKeys: 3,
        },
      ),
    ),
    layers: fc.array(layer, { maxLength: 6 }),
    loss: loss,
    init: fc.constantFrom(
      'auto' as const,
      'he' as const,
      'heNormal' as const,
      'glorot' as const,
      'glorotNormal' as const,
      'torch' as const,
    ),
    limit: fc.oneof(
      whole(1, 1e6).map((epochs) => ({ kind: 'epochs', epochs }) as const),
      whole(1001, 1e9).map((steps) => ({ kind: 'steps', steps }) as const),
    ),
    batch: whole(4096, 1_048_576),
    wire: fc.constantFrom('float32' as const, 'bfloat16' as const, 'int8' as const),
    microBatches: fc.oneof(
      fc.constant('auto' as const),
      whole(0, 12).map((power) => 2 ** power),
    ),
    localSteps: fc.option(
      fc.record({
        steps: whole(1, 4096),
        replicas: fc.constantFrom(1, 4, 1024),
        outer: fc.record({ learningRate: positive, momentum: belowOne }),
      }),
      { nil: undefined },
    ),
    optimizer,
    schedule: fc.record({ warmup: whole(0, 1000), after }),
    onNonFinite: fc.constantFrom('stop' as const, 'skip' as const),
    verify: share,
    clipNorm: fc.option(positive, { nil: undefined }),
    l2: fc.option(size, { nil: undefined }),
    classWeights: fc.option(
      fc.oneof(
        fc.constant('balanced' as const),
        fc.dictionary(word, fc.double({ min: 0, max: 1000, noNaN: true }), { maxKeys: 3 }),
      ),
    ),
    tolerance: fc.option(belowOne, { nil: undefined }),
    patience: fc.option(whole(1, 1e6), { nil: undefined }),
    metric: fc.constantFrom('loss' as const, 'r2' as const),
    keepWeights: fc.constantFrom('last' as const, 'best' as const),
    shuffle: fc.boolean(),
    seed: whole(0, 4_294_967_295),
    everyMs: fc.oneof(
      whole(1, 604_800_000),
      whole(1, 604_800).map((seconds) => seconds * 1000),
    ),
    keep: whole(1, 1000),
  })
  .map((one) => ({
    apiVersion: 'ropeteam/v1',
    name: one.name,
    data: {
      source: one.source,
      format: 'csv',
      delimiter: one.delimiter,
      target: one.target,
      features: one.features,
      ...(one.task === undefined ? {} : { task: one.task }),
      scale: one.scale,
      scaleTarget: one.scaleTarget,
      split: { validation: one.validation, test: one.test },
      badRows: one.badRows,
      maxBadRows: one.maxBadRows,
      missing: one.missing,
      maxCategories: one.maxCategories,
      ...(one.columns === null ? {} : { columns: one.columns }),
    },
    model: { layers: one.layers, ...(one.loss === undefined ? {} : { loss: one.loss }), init: one.init },
    train: {
      limit: one.limit,
      batch: one.batch,
      microBatches: one.microBatches,
      wire: one.wire,
      ...(one.localSteps === undefined || one.microBatches !== 'auto' ? {} : { localSteps: one.localSteps }),
      optimizer: one.optimizer,
      schedule: one.schedule,
      ...(one.classWeights === null ? {} : { classWeights: one.classWeights }),
      ...(one.clipNorm === undefined ? {} : { clipNorm: one.clipNorm }),
      ...(one.l2 === undefined || 'weightDecay' in one.optimizer ? {} : { l2: one.l2 }),
      stop: {
        ...(one.tolerance === undefined ? {} : { tolerance: one.tolerance }),
        ...(one.patience === undefined ? {} : { patience: one.patience }),
      },
      metric: one.metric,
      keep: one.keepWeights,
      onNonFinite: one.onNonFinite,
      verify: one.verify,
      shuffle: one.shuffle,
      seed: one.seed,
    },
    checkpoint: { everyMs: one.everyMs, keep: one.keep },
  }));

test('the effective job.yaml of any job is read back as that job', () => {
  fc.assert(
    fc.property(anyJob, (job) => {
      const { stop, ...train } = job.train;
      expect(parseJob(formatJob(job), 'job.yaml')).toEqual({ ...job, train: { ...train, stop } });
    }),
    { numRuns: 400 },
  );
});

test('the effective job.yaml writes every default out and says what follows from the data', () => {
  const job = parseJob(
    'apiVersion: ropeteam/v1\nname: line\ndata: { source: line.csv, target: y }\nmodel: { layers: [] }\n',
    'job.yaml',
  );
  expect(formatJob(job)).toBe(`# The effective job: every setting with the value the run uses.

apiVersion: ropeteam/v1
name: line
data:
  source: line.csv
  delimiter: auto
  target: y
  features: all
  scale: standard
  scaleTarget: none
  split: { validation: 0.1, test: 0.1 }
  badRows: error
  maxBadRows: 100
  missing: error
  maxCategories: 64
  # format: told from the name of each file
  # task: told from the target column
model:
  layers: []
  init: auto
  # loss: follows from the task and the number of classes
train:
  epochs: 10
  batch: 32
  microBatches: auto
  wire: float32
  optimizer: { adam: { learningRate: 0.001, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } }
  schedule: { warmup: 0, constant: {} }
  stop: {}
  metric: loss
  keep: last
  onNonFinite: stop
  verify: 0
  shuffle: true
  seed: 7
checkpoint:
  every: 30s
  keep: 3
`);
});
