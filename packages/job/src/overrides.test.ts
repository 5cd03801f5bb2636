import { expect, test } from 'vitest';
import { RopeteamError } from '#training';
import { parseJob } from './parse-job.js';

const job = `apiVersion: ropeteam/v1
name: line
data: { source: line.csv, target: y }
model: { layers: [{ dense: 8 }, relu] }
train:
  epochs: 30
  clipNorm: 1
  optimizer: adam
`;
const trainOf = (...overrides: readonly string[]) => parseJob(job, 'job.yaml', overrides).train;

function refusal(...overrides: readonly string[]): RopeteamError {
  try {
    parseJob(job, 'job.yaml', overrides);
  } catch (error) {
    if (error instanceof RopeteamError) return error;
    throw error;
  }
  throw new Error('the job was accepted');
}

test('an override takes the place of the value in the file, the last one of several', () => {
  expect(trainOf('train.epochs=3', 'train.epochs=4').limit).toEqual({ kind: 'epochs', epochs: 4 });
});

test('an override may make the groups it needs', () => {
  expect(parseJob(job, 'job.yaml', ['checkpoint.every=2h', 'data.split.test=0']).checkpoint.everyMs).toBe(7_200_000);
});

test('an override reads lists, maps and words as YAML does', () => {
  const spec = parseJob(job, 'job.yaml', [
    'model.layers=[{ dense: 3 }, tanh]',
    'data.target=yes',
    'train.stop={ patience: 2 }',
  ]);
  expect(spec.model.layers).toEqual([{ kind: 'dense', units: 3 }, { kind: 'tanh' }]);
  expect(spec.data.target).toEqual(['yes']);
  expect(spec.train.stop).toEqual({ patience: 2 });
});

test('an item of a list is set by its number', () => {
  expect(parseJob(job, 'job.yaml', ['model.layers.0.dense=128']).model.layers[0]).toEqual({
    kind: 'dense',
    units: 128,
  });
});

test('a setting of an optimizer named by a bare word is set', () => {
  expect(trainOf('train.optimizer.adam.learningRate=0.5').optimizer).toMatchObject({ kind: 'adam', learningRate: 0.5 });
});

test('an override of one of two settings that exclude each other wins', () => {
  expect(trainOf('train.steps=99').limit).toEqual({ kind: 'steps', steps: 99 });
  expect(trainOf('train.optimizer.sgd.learningRate=0.5').optimizer).toEqual({ kind: 'sgd', learningRate: 0.5 });
});

test('null takes a setting out, which leaves its default', () => {
  expect(trainOf('train.clipNorm=null')).not.toHaveProperty('clipNorm');
  expect(trainOf('train.epochs=null').limit).toEqual({ kind: 'epochs', epochs: 10 });
});

test('an override mends what is wrong in the file', () => {
  const broken = job.replace('epochs: 30', 'epochs: many');
  expect(parseJob(broken, 'job.yaml', ['train.epochs=3']).train.limit).toEqual({ kind: 'epochs', epochs: 3 });
});

test.each([
  ['train.epochs', /must be written key=value/, /--set train\.epochs=3/],
  ['=3', /must be written key=value/, /--set/],
  ['train..epochs=3', /must be written key=value/, /--set/],
  ['train.epochs=', /has no value/, /null/],
  ['train.epochs=# three', /has no value/, /null/],
  ['train.epochs=[', /./, /brackets/],
  ['train.epochs=*a', /aliases are not allowed/, /./],
  ['train.epochs=many', /whole number from 1 to 1000000, received the text "many"/, /^$/],
  ['train.epohcs=3', /unknown setting "epohcs" in train/, /did you mean "epochs"\?/],
  ['train=3', /train must be a group of settings, received 3/, /^$/],
  ['model.layers.7=relu', /model\.layers must be a list/, /^$/],
  ['__proto__.x=1', /unknown setting "__proto__"/, /./],
  [`train.epochs=${'['.repeat(5000)}`, /nested more than 64 deep/, /./],
])('--set %s is refused and named as the place', (override, words, hint) => {
  const error = refusal(override);
  expect(error.message).toMatch(words);
  expect(error.hint ?? '').toMatch(hint);
  expect(error.place?.file.startsWith(`--set ${override.slice(0, 60)}`)).toBe(true);
  expect(error.place).not.toHaveProperty('line');
});
