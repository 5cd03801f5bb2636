/** Models as a run leaves them, with weights at random and columns of every kind. For tests. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileModel, initialWeights, type LayerSpec, type LossSpec, type ModelSpec, philox4x32 } from '#kernel';
import { saveModel, type TrainedModel, weightsSha256 } from '#storage';
import type { Preprocessing } from '#training';
import { loadModel, type Model, type Row } from './open-model.js';
import { createRowEncoder } from './row-encoder.js';

/** Numbers on both sides of a word column, one far from 0, one that may be empty; quotes and commas in a word. */
export const preprocessing: Preprocessing = {
  scale: 'standard',
  columns: [
    { kind: 'number', name: 'year', shift: 1_700_000_000.25, factor: 1 / 3 },
    { kind: 'number', name: 'size', shift: -2.5, factor: 0.75, missing: 4.5 },
    { kind: 'oneHot', name: 'colour', categories: ['blue, dark', 'naïve "red"', 'x'] },
    { kind: 'number', name: 'weight', shift: 0.125, factor: 8 },
    { kind: 'oneHot', name: 'shape', categories: ['o'], unseen: ['d'] },
  ],
};
const INPUTS = 7;

export interface ModelParts {
  readonly layers?: readonly LayerSpec[];
  readonly loss?: LossSpec;
  readonly classes?: readonly string[];
  readonly targetNames?: readonly string[];
  readonly columns?: Preprocessing['columns'];
  readonly targets?: Preprocessing['targets'];
}

/** @returns a model whose output layer suits its loss and classes */
export async function trainedModel(parts: ModelParts = {}): Promise<TrainedModel> {
  const { loss = { kind: 'softmaxCrossEntropy' }, columns = preprocessing.columns } = parts;
  const isRegression = loss.kind === 'meanSquaredError' || loss.kind === 'huber';
  const classes = isRegression ? [] : (parts.classes ?? ['a', 'b', 'c "d", e']);
  const targetNames = parts.targetNames ?? ['answer'];
  const binary = loss.kind === 'binaryCrossEntropy' || (loss.kind === 'hinge' && classes.length === 2);
  const outputs = isRegression ? targetNames.length : binary ? 1 : classes.length;
  const inputs = createRowEncoder({ scale: 'standard', columns }).featureCount;
  const layers = [...(parts.layers ?? [{ kind: 'dense', units: 9 }, { kind: 'tanh' }]), dense(outputs)];
  const spec: ModelSpec = { inputs, outputs, layers, loss, init: 'torch' };
  const program = compileModel(spec);
  const weights = initialWeights(program, 5);
  for (const [index, value] of weights.entries()) weights[index] = value + noise(index) / 8;
  const samples = { train: 3, validation: 0, test: 0 };
  return {
    run: 'example-1',
    kernelId: 'wasm-simd128/1',
    spec,
    parameters: program.parameters,
    weights,
    weightsSha256: await weightsSha256(weights),
    dataset: {
      task: isRegression ? 'regression' : 'classification',
      featureCount: inputs,
      targetCount: isRegression ? outputs : 1,
      targetNames,
      classes,
      preprocessing: { scale: 'standard', columns, ...(parts.targets === undefined ? {} : { targets: parts.targets }) },
      dataSha256: '0'.repeat(64),
      samples,
    },
    metrics: {},
    jobSha256: '0'.repeat(64),
  };
}

/** The same through a folder, as `loadModel` reads it. */
export async function loadedModel(trained: TrainedModel): Promise<Model> {
  const folder = await mkdtemp(join(tmpdir(), 'ropeteam-model-'));
  try {
    await saveModel(folder, trained);
    return await loadModel(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Rows with every column; some cells are empty where the model bears it. */
export function exampleRows(count: number): readonly (Row & ExampleRow)[] {
  const colours = ['blue, dark', 'naïve "red"', 'x', ''];
  return Array.from({ length: count }, (_, index) => ({
    year: 1_700_000_000 + 4 * noise(3 * index),
    size: index % 5 === 4 ? null : 6 * noise(3 * index + 1),
    colour: colours[index % 4]!,
    weight: noise(3 * index + 2) / 4,
    shape: ['', 'o', 'o', 'd'][index % 4]!,
  }));
}

export interface ExampleRow {
  readonly year: number;
  readonly size: number | null;
  readonly colour: string;
  readonly weight: number;
  readonly shape: string;
}

/** In (-1, 1), depending on its place alone. */
function noise(index: number): number {
  return philox4x32([index, 0, 0, 0], [3, 4])[0] / 2 ** 31 - 1;
}

function dense(units: number): LayerSpec {
  return { kind: 'dense', units };
}

/** Every layer there is, by a name; the type keeps it complete. */
const byKind: { readonly [Kind in LayerSpec['kind']]: Extract<LayerSpec, { kind: Kind }> } = {
  dense: { kind: 'dense', units: 12 },
  relu: { kind: 'relu' },
  leakyRelu: { kind: 'leakyRelu', slope: 0.2 },
  gelu: { kind: 'gelu' },
  sigmoid: { kind: 'sigmoid' },
  tanh: { kind: 'tanh' },
  softmax: { kind: 'softmax' },
  dropout: { kind: 'dropout', rate: 0.5 },
  layerNorm: { kind: 'layerNorm', epsilon: 1e-5 },
};

/** A model for each layer, behind the inputs and behind a dense layer, and one for each loss. */
export const everyModel: readonly (readonly [string, ModelParts])[] = [
  ...Object.values(byKind).map((layer): [string, ModelParts] => [
    `layer ${layer.kind}`,
    { layers: [layer, dense(INPUTS + 4), layer] },
  ]),
  ['loss softmaxCrossEntropy', {}],
  ['loss binaryCrossEntropy', { loss: { kind: 'binaryCrossEntropy' }, classes: ['no', 'yes'] }],
  ['loss hinge of two classes', { loss: { kind: 'hinge' }, classes: ['no', 'yes'] }],
  ['loss hinge of three classes', { loss: { kind: 'hinge' } }],
  ['loss meanSquaredError of two targets', { loss: { kind: 'meanSquaredError' }, targetNames: ['u', 'v w'] }],
  ['loss huber', { loss: { kind: 'huber', delta: 1 } }],
  [
    'two scaled targets, one far from 0 for what its values differ',
    {
      loss: { kind: 'meanSquaredError' },
      targetNames: ['price', 'second'],
      targets: [
        { shift: 253_817.25, factor: 1 / 81_234.5 },
        { shift: 1_700_000_000, factor: 0.25 },
      ],
    },
  ],
];
