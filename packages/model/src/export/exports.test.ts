/** What other runtimes make of an exported model, held against `predict`. */
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TrainedModel } from '#storage';
import type { ColumnEncoding } from '#training';
import type { Prediction, Row } from '../open-model.js';
import { everyModel, exampleRows, loadedModel, type ModelParts, trainedModel } from '../trained-model.fixture.js';
import { exportModel } from './export-model.js';
import { toJsModule } from './to-js-module.js';
import { toJson } from './to-json.js';
import { toOnnx } from './to-onnx.js';

/** What is used here of onnxruntime-node, which `npm test` installs beside the project. */
interface OnnxRuntime {
  readonly InferenceSession: {
    create(model: Uint8Array): Promise<{
      readonly inputNames: readonly string[];
      run(feeds: Readonly<Record<string, unknown>>): Promise<Readonly<Record<string, { readonly data: unknown }>>>;
    }>;
  };
  readonly Tensor: new (type: string, data: readonly unknown[], shape: readonly number[]) => unknown;
}

const runtimePath = process.env.ROPETEAM_TEST_ONNXRUNTIME;
if (runtimePath === undefined) process.stderr.write('no ONNX runtime: ROPETEAM_TEST_ONNXRUNTIME names none\n');

function onnxRuntime(): OnnxRuntime {
  return createRequire(import.meta.url)(runtimePath ?? 'onnxruntime-node') as OnnxRuntime;
}

const TOLERANCE = 1e-5;
const rows = exampleRows(64);

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ropeteam-exports-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Numbers a prediction holds, in the order of classes or targets. */
function numbersOf(prediction: Prediction): readonly number[] {
  return Object.values(prediction.kind === 'numbers' ? prediction.values : (prediction.probabilities ?? {}));
}

/** Largest difference between two lists of numbers, in units of scaled targets; infinite when they are not as long. */
function difference(
  found: readonly (readonly number[])[],
  expected: readonly (readonly number[])[],
  targets: ModelParts['targets'] = [],
): number {
  if (found.flat().length !== expected.flat().length) return Number.POSITIVE_INFINITY;
  const apart = found.map((row, n) =>
    row.map((value, at) => Math.abs(value - expected[n]![at]!) * (targets[at]?.factor ?? 1)),
  );
  return Math.max(...apart.flat());
}

describe.each(everyModel)('%s', (_name, parts) => {
  test.skipIf(runtimePath === undefined)('ONNX says what predict says', async () => {
    const trained = await trainedModel(parts);
    const expected = (await loadedModel(trained)).predict(rows);
    const found = await runOnnx(trained, rows);
    if (expected[0]?.kind === 'class') {
      expect(found.label).toEqual(expected.map((each) => (each.kind === 'class' ? each.label : '')));
    }
    expect(difference(found.numbers, expected.map(numbersOf), parts.targets)).toBeLessThan(TOLERANCE);
  });

  test('the JavaScript module says what predict says', async () => {
    const trained = await trainedModel(parts);
    const expected = (await loadedModel(trained)).predict(rows);
    const found = await askModule(trained, rows);
    if (expected[0]?.kind === 'class') {
      expect(found.map(({ label }) => label)).toEqual(
        expected.map((each) => (each.kind === 'class' ? each.label : '')),
      );
    }
    const numbers = found.map(({ label, probabilities, ...values }) =>
      Object.values(label === undefined ? values : (probabilities ?? {})).map(Number),
    );
    expect(difference(numbers, expected.map(numbersOf), parts.targets)).toBeLessThan(TOLERANCE);
  });
});

test('the models differ from row to row: agreement is no accident', async () => {
  for (const [name, parts] of everyModel.filter(([, { loss }]) => loss?.kind !== 'hinge')) {
    const predictions = (await loadedModel(await trainedModel(parts))).predict(rows).map(numbersOf);
    const spread =
      Math.max(...predictions.map(([first = 0]) => first)) - Math.min(...predictions.map(([first = 0]) => first));
    expect(spread, name).toBeGreaterThan(100 * TOLERANCE);
  }
});

describe.skipIf(runtimePath === undefined)('ONNX', () => {
  const onlyNumbers: ModelParts = { columns: [{ kind: 'number', name: 'n', shift: 1, factor: 2 }] };
  const onlyWords: ModelParts = { columns: [{ kind: 'oneHot', name: 'w', categories: ['p', 'q'] }] };

  test('a model of numbers alone has one input, of words alone the other', async () => {
    const numbers = await onnxRuntime().InferenceSession.create(toOnnx(await trainedModel(onlyNumbers)));
    const words = await onnxRuntime().InferenceSession.create(toOnnx(await trainedModel(onlyWords)));
    expect([numbers.inputNames, words.inputNames]).toEqual([['numbers'], ['words']]);
  });

  test('an empty cell where training had none gives NaN and never a guess', async () => {
    const session = await onnxRuntime().InferenceSession.create(
      toOnnx(await trainedModel({ ...onlyNumbers, loss: { kind: 'meanSquaredError' } })),
    );
    const { Tensor } = onnxRuntime();
    const { prediction } = await session.run({ numbers: new Tensor('float64', [Number.NaN, 1], [2, 1]) });
    const [first, second] = Array.from((prediction?.data ?? []) as Float32Array);
    expect([Number.isNaN(first), Number.isFinite(second)]).toEqual([true, true]);
  });
});

describe('the JavaScript module', () => {
  test('refuses a word, and a number, that the model cannot take', async () => {
    const [row] = rows;
    const wrong = [{ colour: 'green' }, { year: '1,5' }, { year: null }].map((cells) => ({ ...row, ...cells }));
    expect(await askModule(await trainedModel(), wrong)).toEqual([
      { refused: 'TypeError: colour: "green" was not in the training data' },
      { refused: 'TypeError: year: 1,5 is not a number' },
      { refused: expect.stringContaining('TypeError: year: the cell is empty') },
    ]);
  });

  test('imports nothing and names its columns and labels in its types', async () => {
    const { code, types } = await toJsModule(await trainedModel());
    expect(code).not.toMatch(/^\s*import\b|\bimport\s*\(|\brequire\s*\(/m);
    expect(types).toContain('readonly "year": number | string;');
    expect(types).toContain('export type Label = "a" | "b" | "c \\"d\\", e";');
  });
});

describe('a hashed column', () => {
  const hashed: ModelParts = {
    columns: [
      { kind: 'number', name: 'weight', shift: 0.125, factor: 8 },
      { kind: 'hashed', name: 'colour', buckets: 5, seed: 7 },
      { kind: 'hashed', name: 'year', buckets: 3, seed: 0 },
    ],
  };

  test('is the same in the JavaScript module as in predict, for words of no training data too', async () => {
    const trained = await trainedModel(hashed);
    const words = rows.map((row, index) => ({ ...row, colour: `${row.colour}-${index}-\u{1f427}` }));
    const expected = (await loadedModel(trained)).predict([...rows, ...words]).map(numbersOf);
    const found = await askModule(trained, [...rows, ...words]);
    const numbers = found.map(({ probabilities }) => Object.values(probabilities ?? {}));
    expect(difference(numbers, expected)).toBeLessThan(TOLERANCE);
    expect(new Set(expected.map(([first]) => first?.toFixed(4))).size).toBeGreaterThan(50);
  });

  test('is refused by ONNX, which names the format that has it', async () => {
    const trained = await trainedModel(hashed);
    expect(() => toOnnx(trained)).toThrow(
      expect.objectContaining({
        code: 'MODEL.EXPORT',
        message: 'column colour is hashed, and ONNX has no operator for the hash of a text',
        hint: expect.stringContaining('export as js'),
      }),
    );
  });
});

test('JSON has every weight, to the last bit', async () => {
  const trained = await trainedModel();
  const parsed = JSON.parse(toJson(trained)) as { parameters: Record<string, { values: readonly unknown[] }> };
  const values = Object.values(parsed.parameters).flatMap((parameter) => parameter.values.flat() as number[]);
  expect(Float32Array.from(values)).toEqual(trained.weights);
});

async function runOnnx(trained: TrainedModel, given: readonly Row[]) {
  const { Tensor } = onnxRuntime();
  const session = await onnxRuntime().InferenceSession.create(toOnnx(trained));
  const { columns } = trained.dataset.preprocessing;
  const named = (kind: ColumnEncoding['kind']) =>
    columns.filter((column) => column.kind === kind).map(({ name }) => name);
  const [numbers, words] = [named('number'), named('oneHot')];
  const feeds = {
    numbers: new Tensor(
      'float64',
      given.flatMap((row) => numbers.map((name) => Number(row[name] ?? Number.NaN))),
      [given.length, numbers.length],
    ),
    words: new Tensor(
      'string',
      given.flatMap((row) => words.map((name) => String(row[name] ?? ''))),
      [given.length, words.length],
    ),
  };
  const { label, probabilities, prediction } = await session.run(feeds);
  const values = Array.from(((prediction ?? probabilities)?.data ?? []) as Float32Array);
  const width = values.length / given.length;
  return {
    label: Array.from((label?.data ?? []) as readonly string[]),
    numbers: given.map((_, index) => values.slice(index * width, (index + 1) * width)),
  };
}

type ModuleAnswer = Readonly<Record<string, unknown>> & {
  readonly label?: string;
  readonly probabilities?: Readonly<Record<string, number>>;
};

/** Imports `model.mjs`, which lies beside it, and predicts the rows on its stdin. */
const ASK = `
import { readFileSync } from 'node:fs';
import { predict } from './model.mjs';
const ask = (row) => { try { return predict(row); } catch (error) { return { refused: String(error) }; } };
process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0, 'utf8')).map(ask)));
`;

/** What the exported module says in a process of its own, with nothing of the checkout within reach. */
async function askModule(trained: TrainedModel, given: readonly Row[]): Promise<readonly ModuleAnswer[]> {
  await exportModel(trained, 'js', join(folder, 'model.mjs'));
  await writeFile(join(folder, 'ask.mjs'), ASK);
  const options = { cwd: folder, input: JSON.stringify(given), encoding: 'utf8' } as const;
  return JSON.parse(execFileSync(process.execPath, ['ask.mjs'], options)) as readonly ModuleAnswer[]; // as ASK writes it
}
