import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { compileModel, type ModelSpec } from '#kernel';
import type { ColumnEncoding, DatasetInfo } from '#training';
import { checkInitialWeights, readInitialWeights } from './initial-weights-file.js';
import { bytesOf, encodeSafetensors, type NamedTensor } from './safetensors.js';
import { weightsSha256 } from './weights.js';

const SPEC: ModelSpec = {
  inputs: 3,
  outputs: 2,
  layers: [{ kind: 'dense', units: 2 }],
  loss: { kind: 'softmaxCrossEntropy' },
  init: 'auto',
};
const column = (name: string, shift: number): ColumnEncoding => ({ kind: 'number', name, shift, factor: 0.5 });
const DATASET: Pick<DatasetInfo, 'classes' | 'targetNames' | 'preprocessing'> = {
  classes: ['cat', 'dog'],
  targetNames: ['animal'],
  preprocessing: { scale: 'standard', columns: [column('a', 1), column('b', 2), column('c', 3)] },
};
const { parameters } = compileModel(SPEC);
const WEIGHT = Float32Array.of(1, 2, 3, 4, 5, 6);
const BIAS = Float32Array.of(-1, 0.5);
const never = new AbortController().signal;

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ropeteam-initial-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const tensor = (name: string, shape: readonly number[], values: Float32Array): NamedTensor => {
  return { name, dtype: 'F32', shape, data: bytesOf(values) };
};
const float64 = (name: string, shape: readonly number[], values: readonly number[]): NamedTensor => {
  return { name, dtype: 'F64', shape, data: new Uint8Array(Float64Array.from(values).buffer) };
};

async function read(tensors: readonly NamedTensor[] | Uint8Array, metadata: Record<string, string> = {}) {
  const path = join(folder, 'stored');
  const bytes = tensors instanceof Uint8Array ? tensors : encodeSafetensors(tensors, new Map(Object.entries(metadata)));
  await writeFile(path, bytes);
  const into = new Float32Array(new SharedArrayBuffer(32));
  const model = { parameters, spec: SPEC, dataset: DATASET };
  return { into, ...(await readInitialWeights({ path, name: 'mine.safetensors' }, model, into, never)) };
}

test('every tensor is read to its place, and what was read is named by its hash', async () => {
  const { into, from, notes } = await read([
    tensor('layers.0.bias', [2], BIAS),
    tensor('layers.0.weight', [2, 3], WEIGHT),
  ]);
  expect([...into]).toEqual([...WEIGHT, ...BIAS]);
  const weightsHash = await weightsSha256(Float32Array.of(...WEIGHT, ...BIAS));
  expect(from).toEqual({ file: 'mine.safetensors', weightsSha256: weightsHash, matchedBy: 'names' });
  expect(notes).toEqual([]);
});

test('the optimizer state of a checkpoint of ours is left out, and that of anybody else is a tensor too many', async () => {
  const tensors = [
    tensor('layers.0.weight', [2, 3], WEIGHT),
    tensor('layers.0.bias', [2], BIAS),
    tensor('optimizer.mean.layers.0.bias', [2], BIAS),
  ];
  const { notes } = await read(tensors, { format: 'ropeteam-checkpoint/1', step: '40' });
  expect(notes).toEqual(['mine.safetensors is a checkpoint of step 40: its optimizer state is not used']);
  await expect(read(tensors)).rejects.toMatchObject({
    code: 'MODEL.INIT',
    message: expect.stringContaining('has no place for optimizer.mean.layers.0.bias [2]'),
  });
});

describe('is refused:', () => {
  const bias = tensor('layers.0.bias', [2], BIAS);

  test.each([
    ['a NaN', tensor('layers.0.weight', [2, 3], Float32Array.of(1, 2, 3, 4, Number.NaN, 6)), 'holds NaN at [1, 1]'],
    [
      'infinities',
      tensor('layers.0.weight', [2, 3], Float32Array.of(1, 2, Number.NEGATIVE_INFINITY, 4, Number.NaN, 6)),
      'holds -Infinity at [0, 2], and 1 more of its 6 values are not finite',
    ],
    [
      'a float64 beyond float32',
      float64('layers.0.weight', [2, 3], [1, 2, 3, 1e300, 5, 6]),
      'holds 1e+300, which is beyond the range of float32, at [1, 0]',
    ],
    [
      'whole numbers',
      { name: 'layers.0.weight', dtype: 'I64' as const, shape: [2, 3], data: new Uint8Array(48) },
      'holds I64, which are no floats',
    ],
  ])('%s, with the tensor and the place', async (_what, weight, message) => {
    await expect(read([weight, bias])).rejects.toMatchObject({
      code: 'MODEL.INIT',
      message: expect.stringContaining(`tensor "layers.0.weight" ${message}`),
      hint: expect.stringMatching(/\w+ \w+/),
    });
  });

  test('a transposed weight, with both sizes and what to do', async () => {
    await expect(read([tensor('layers.0.weight', [3, 2], WEIGHT), bias])).rejects.toMatchObject({
      code: 'MODEL.SHAPE',
      facts: { layer: 'layers.0.weight' },
      message: "layers.0.weight is [2, 3] in this job's model, layers.0.weight in mine.safetensors is [3, 2]",
      hint: expect.stringContaining('transpose'),
    });
  });

  test('several mismatches, all of them at once', async () => {
    const error = read([tensor('layers.0.weight', [3], WEIGHT.subarray(0, 3)), tensor('scale', [2], BIAS)]);
    await expect(error).rejects.toMatchObject({
      code: 'MODEL.INIT',
      problems: [
        { code: 'MODEL.SHAPE' },
        { message: expect.stringContaining('no tensor for layers.0.bias [2]') },
        { message: expect.stringContaining('no place for scale [2]') },
      ],
    });
  });

  test('every cut of a file, and what is no safetensors file, from its header alone', async () => {
    const whole = encodeSafetensors([tensor('layers.0.weight', [2, 3], WEIGHT), bias], new Map());
    const path = join(folder, 'cut');
    for (const bytes of [
      ...Array.from(whole.keys(), (length) => whole.subarray(0, length)),
      Buffer.from('PK\u0003\u0004'.repeat(9)),
    ]) {
      await writeFile(path, bytes);
      await expect(checkInitialWeights({ path, name: 'cut' })).rejects.toMatchObject({ code: 'MODEL.INIT' });
    }
    await writeFile(path, whole);
    await checkInitialWeights({ path, name: 'cut' });
  });

  test('what is not there, and what is a folder', async () => {
    const refused = { code: 'MODEL.INIT', facts: { file: 'x' } };
    await expect(checkInitialWeights({ path: join(folder, 'none'), name: 'x' })).rejects.toMatchObject(refused);
    await expect(checkInitialWeights({ path: folder, name: 'x' })).rejects.toMatchObject(refused);
  });
});

describe('what the weights were for before', () => {
  const tensors = [tensor('layers.0.weight', [2, 3], WEIGHT), tensor('layers.0.bias', [2], BIAS)];

  /** Notes of a run of this model that starts from weights of a model described so. */
  async function notesOf(described: object): Promise<readonly string[]> {
    const [path, modelPath] = [join(folder, 'stored'), join(folder, 'model.json')];
    await writeFile(path, encodeSafetensors(tensors, new Map()));
    await writeFile(modelPath, JSON.stringify(described));
    const model = { parameters, spec: SPEC, dataset: DATASET };
    const into = new Float32Array(8);
    return (await readInitialWeights({ path, name: 'mine', modelPath }, model, into, never)).notes;
  }

  async function description(changes: object = {}): Promise<object> {
    return {
      format: 'ropeteam-model/1',
      architecture: SPEC,
      parameters: [],
      ...DATASET,
      data: {},
      job: {},
      fileSha256: '',
      weightsSha256: await weightsSha256(Float32Array.of(...WEIGHT, ...BIAS)),
      ...changes,
    };
  }

  test('is not worth a word when nothing has changed', async () => {
    expect(await notesOf(await description())).toEqual([]);
  });

  test.each([
    [
      'classes in another order',
      { classes: ['dog', 'cat'] },
      'its classes differ: number 0 was "dog", this job\'s is "cat"',
    ],
    [
      'a class more',
      { classes: ['cat', 'dog', 'eel'] },
      'its classes differ: number 2 was "eel", this job\'s is only 2',
    ],
    ['another target', { targetNames: ['plant'] }, 'its targets differ: number 0 was "plant", this job\'s is "animal"'],
    [
      'activations',
      { architecture: { ...SPEC, layers: [{ kind: 'tanh' }, ...SPEC.layers] } },
      "its layers were tanh, dense, this job's are dense",
    ],
    [
      'other columns',
      { preprocessing: { scale: 'standard', columns: [column('a', 1), column('c', 3), column('b', 2)] } },
      'its columns differ: number 1 was "c", this job\'s is "b"',
    ],
    [
      'columns scaled on other data',
      { preprocessing: { scale: 'standard', columns: [column('a', 1), column('b', 4), column('c', 5)] } },
      '2 of 3 columns became inputs in another way: "b" was (value - 4) * 0.5, is (value - 2) * 0.5',
    ],
    [
      'a target in other units',
      { preprocessing: { ...DATASET.preprocessing, targets: [{ shift: 250_000, factor: 0.5 }] } },
      'the target "animal" was (value - 250000) * 0.5, is not scaled',
    ],
  ])('is told: %s', async (_what, changes, words) => {
    expect(await notesOf(await description(changes))).toEqual([`mine was trained for something else: ${words}`]);
  });

  test('is nobody’s business when the model.json is of another project, or of other weights', async () => {
    expect(await notesOf({ format: 'something/1', classes: ['dog'] })).toEqual([]);
    expect(await notesOf(await description({ weightsSha256: 'ab'.repeat(32), classes: ['dog', 'cat'] }))).toEqual([]);
  });
});
