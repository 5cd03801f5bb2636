/** Files in, predictions and figures out. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { saveModel } from '#storage';
import type { RopeteamError } from '#training';
import { evaluateTable } from './evaluate-table.js';
import { loadModel, type Model } from './open-model.js';
import { predictTable } from './predict-table.js';
import { exampleRows, loadedModel, trainedModel } from './trained-model.fixture.js';

let folder = '';
let model: Model;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ropeteam-tables-'));
  model = await loadedModel(await trainedModel());
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const HEADER = 'id;shape;colour;weight;year;size';
const csvRow = (row: ReturnType<typeof exampleRows>[number], id: number): string =>
  `${id};${row.shape};"${row.colour.replaceAll('"', '""')}";${row.weight};${row.year};${row.size ?? 'NA'}`;

async function tableOf(lines: readonly string[]) {
  const path = join(folder, 'table.csv');
  await writeFile(path, `${lines.join('\n')}\n`);
  return { name: 'table.csv', path };
}

async function predicted(lines: readonly string[]): Promise<string> {
  let text = '';
  await predictTable(model, await tableOf(lines), {
    write: async (part) => {
      text += part;
    },
  });
  return text;
}

/** The error it ends with. */
async function refusal(promise: Promise<unknown>): Promise<RopeteamError> {
  return await promise.then(
    () => {
      throw new Error('it was accepted');
    },
    (error: RopeteamError) => error,
  );
}

describe('predicting a file', () => {
  test('keeps every row as it stands and adds what predict says of it', async () => {
    const rows = exampleRows(1000); // several turns of the kernel, several chunks of the file
    const lines = rows.map(csvRow);
    const [heading, ...written] = (await predicted([HEADER, ...lines])).trimEnd().split('\n');
    expect(heading).toBe(`${HEADER};predicted_answer;p_a;p_b;"p_c ""d"", e"`);
    const expected = model.predict(rows).map((prediction, index) => {
      if (prediction.kind !== 'class') throw new Error('it is a classifier');
      const label = prediction.label.includes('"') ? '"c ""d"", e"' : prediction.label;
      const shares = Object.values(prediction.probabilities ?? {}).map((p) => String(Number(p.toFixed(6))));
      return [lines[index], label, ...shares].join(';');
    });
    expect(written).toEqual(expected);
  });

  test('of a text between blanks the cells come back between single ones', async () => {
    const rows = exampleRows(3).map(({ year, weight }) => `  ${year}\t ${weight}   "blue, dark" o  4.5`);
    const written = (await predicted(['year  weight colour shape size', ...rows])).trimEnd().split('\n');
    expect(written[0]).toMatch(/^year weight colour shape size predicted_answer p_a /);
    expect(written[1]).toMatch(/^[\d.]+ [-\d.e]+ "blue, dark" o 4\.5 \S+/);
    expect(written).toHaveLength(4);
  });

  test('does not read on while nobody takes what is written', async () => {
    const file = await tableOf([HEADER, ...exampleRows(20_000).map(csvRow)]);
    const abort = new AbortController();
    let parts = 0;
    let most = 0;
    let length = 0;
    const end = predictTable(model, file, {
      signal: abort.signal,
      write: async (text) => {
        parts++;
        most = Math.max(most, text.length);
        length += text.length;
        if (parts === 5) abort.abort(new Error('enough'));
      },
    });
    await expect(end).rejects.toThrow('enough');
    expect(most).toBeLessThan(1 << 17);
    // Of 1.3 MB, what was in hand when it was stopped.
    expect(length).toBeLessThan(400_000);
  });

  test('a file with a header alone has a header alone', async () => {
    expect(await predicted([HEADER])).toMatch(/^id;.*predicted_answer.*\n$/);
  });

  test.each([
    ['an unknown word', ';o;green;0;0;0', 'DATA.CELL', 'table.csv:3, column colour: "green" did not occur'],
    ['a number that is none', ';o;x;zero;0;0', 'DATA.CELL', 'table.csv:3, column weight: "zero" is not a number'],
    ['an empty cell training never saw', ';o;x;0;;0', 'DATA.CELL', 'table.csv:3, column year: the cell is empty'],
    ['a short row', ';o;x', 'DATA.ROW', 'table.csv:3: 3 columns, expected 6'],
    ['a stray quote', ';o;x;"0"1;0;0', 'DATA.ROW', 'table.csv:3: a quote'],
    ['a quote left open', ';o;"x;0;0;0', 'DATA.ROW', 'table.csv:3: the quote'],
  ])('%s is refused with its place', async (_what, row, code, message) => {
    const error = await refusal(predicted([HEADER, '1;o;x;0;0;0', row]));
    expect(error.code).toBe(code);
    expect(error.message).toContain(message);
    expect(error.place?.line).toBe(3);
  });

  test('missing columns, and a column in the way, are named', async () => {
    const missing = await refusal(predicted(['year,shape', '1,o']));
    expect(missing.message).toContain('no column is called size, colour, weight');
    const taken = await refusal(predicted([`${HEADER};p_a`, '1;o;x;0;0;0;1']));
    expect(taken.message).toContain('has a column p_a already');
  });
});

describe('evaluating a file', () => {
  test('agrees with predictions counted by hand', async () => {
    const rows = exampleRows(600);
    const labels = rows.map((_, index) => ['a', 'b', '"c ""d"", e"'][index % 3] ?? '');
    const file = await tableOf([`${HEADER};answer`, ...rows.map((row, id) => `${csvRow(row, id)};${labels[id]}`)]);
    const { samples, metrics, classes } = await evaluateTable(model, file);
    const names = ['a', 'b', 'c "d", e'];
    const predictions = model.predict(rows);
    let right = 0;
    let logSum = 0;
    for (const [index, prediction] of predictions.entries()) {
      const actual = names[index % 3] ?? '';
      if (prediction.kind !== 'class') throw new Error('it is a classifier');
      right += Number(prediction.label === actual);
      logSum -= Math.log(prediction.probabilities?.[actual] ?? 0);
    }
    expect(samples).toBe(600);
    expect(metrics.accuracy).toBe(right / 600);
    expect(classes?.accuracy).toBe(right / 600);
    expect(classes?.logLoss).toBeCloseTo(logSum / 600, 10);
    // Without label smoothing the loss of training is this log-loss, but for float32.
    expect(metrics.loss).toBeCloseTo(logSum / 600, 5);
  });

  test('a label the model has no class for is refused with its place', async () => {
    const file = await tableOf([`${HEADER};answer`, '1;o;x;0;0;0;z']);
    const error = await refusal(evaluateTable(model, file));
    expect(error.message).toContain('table.csv:2, column answer: "z" is not a class of the model');
  });
});

describe('opening a model', () => {
  test('finds it in the folder of its run', async () => {
    const run = join(folder, 'run');
    const trained = await trainedModel();
    await saveModel(join(run, 'model'), trained);
    expect((await loadModel(run)).trained.weights).toEqual(trained.weights);
  });

  test.each([
    ['a weight that was changed', 'model.safetensors', (bytes: Buffer) => bytes.fill(1, bytes.length - 2)],
    [
      'a description of other layers',
      'model.json',
      (bytes: Buffer) => swap(bytes, '"kind": "tanh"', '"kind": "layerNorm", "epsilon": 1'),
    ],
    ['a description of other columns', 'model.json', (bytes: Buffer) => swap(bytes, '"blue, dark",', '')],
    ['a layer nobody knows', 'model.json', (bytes: Buffer) => swap(bytes, '"kind": "tanh"', '"kind": "conv"')],
  ])('%s is refused', async (_what, name, damage) => {
    const path = join(folder, 'damaged');
    await saveModel(path, await trainedModel());
    await writeFile(join(path, name), damage(await readFile(join(path, name))));
    expect((await refusal(loadModel(path))).code).toBe('STORAGE.CORRUPT');
  });
});

function swap(bytes: Buffer, found: string, instead: string): Buffer {
  const text = bytes.toString();
  if (!text.includes(found)) throw new Error(`${found} is not there`);
  return Buffer.from(text.replace(found, instead));
}

test('a model that says of another number of targets how they were scaled is refused', async () => {
  const wrong = await trainedModel({ loss: { kind: 'meanSquaredError' }, targets: [] });
  expect(await refusal(loadedModel(wrong))).toMatchObject({
    code: 'STORAGE.CORRUPT',
    message: expect.stringContaining('it says of 0 targets how they were scaled, and has 1'),
  });
});
