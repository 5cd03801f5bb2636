/** A model is asked about files of every format that train reads, and says the same of the same rows. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RopeteamError } from '#training';
import { evaluateTable } from './evaluate-table.js';
import type { Model } from './open-model.js';
import { predictTable } from './predict-table.js';
import { exampleRows, loadedModel, trainedModel } from './trained-model.fixture.js';

const rows = exampleRows(1500).map((row, index) => ({
  id: index,
  ...row,
  answer: 'abc'[index % 3] === 'c' ? 'c "d", e' : 'ab'[index % 3]!,
}));
const names = ['id', 'year', 'size', 'colour', 'weight', 'shape', 'answer'] as const;

let folder = '';
let model: Model;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ropeteam-formats-'));
  model = await loadedModel(await trainedModel());
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function file(name: string, content: string | Uint8Array) {
  const path = join(folder, name);
  await writeFile(path, content);
  return { name, path };
}

const csvCell = (value: unknown): string => `"${String(value ?? '').replaceAll('"', '""')}"`;
const csv = (delimiter: string): string =>
  [names, ...rows.map((row) => names.map((name) => row[name]))]
    .map((cells) => `${cells.map(csvCell).join(delimiter)}\n`)
    .join('');
const jsonLines = rows.map((row) => `${JSON.stringify(row)}\n`).join('');
const parquet = (): Uint8Array =>
  new Uint8Array(
    parquetWriteBuffer({
      columnData: [
        { name: 'id', data: rows.map(({ id }) => id), type: 'INT32' },
        { name: 'year', data: rows.map(({ year }) => year), type: 'DOUBLE' },
        { name: 'size', data: rows.map(({ size }) => size), type: 'DOUBLE', nullable: true },
        { name: 'colour', data: rows.map(({ colour }) => colour), type: 'STRING' },
        { name: 'weight', data: rows.map(({ weight }) => weight), type: 'DOUBLE' },
        { name: 'shape', data: rows.map(({ shape }) => shape), type: 'STRING' },
        { name: 'answer', data: rows.map(({ answer }) => answer), type: 'STRING' },
      ],
      rowGroupSize: 400,
    }),
  );

async function predicted(of: Model, named: Parameters<typeof predictTable>[1]): Promise<readonly string[]> {
  let text = '';
  await predictTable(of, named, {
    write: async (part) => {
      text += part;
    },
  });
  return text.trimEnd().split('\n');
}

test.each([
  ['rows.tsv', () => csv('\t')],
  ['rows.jsonl', () => jsonLines],
  ['rows.jsonl.gz', () => gzipSync(jsonLines)],
  ['rows.parquet', parquet],
] as const)('%s has the figures of the same rows as CSV', async (name, content) => {
  const expected = await evaluateTable(model, await file('rows.csv', csv(',')));
  expect(await evaluateTable(model, await file(name, content()))).toEqual(expected);
});

test('JSON Lines come back as they were, with the predictions behind their keys', async () => {
  const lines = await predicted(model, await file('rows.ndjson', jsonLines));
  const expected = model.predict(rows);
  expect(lines).toHaveLength(rows.length);
  for (const [index, line] of lines.entries()) {
    const { predicted_answer: label, p_a: share, ...rest } = JSON.parse(line);
    expect(rest).toMatchObject(rows[index]!);
    expect(expected[index]).toMatchObject({ kind: 'class', label });
    const prediction = expected[index]!;
    if (prediction.kind === 'class') expect(share).toBe(Number(prediction.probabilities?.a?.toFixed(6)));
  }
});

test('Parquet comes back as CSV, with the predictions behind its columns', async () => {
  const [heading, first] = await predicted(model, await file('rows.parquet', parquet()));
  expect(heading).toBe(`${names.join(',')},predicted_answer,p_a,p_b,"p_c ""d"", e"`);
  expect(first?.startsWith(`0,${rows[0]!.year},`)).toBe(true);
});

/** A file of NumPy: two dimensions of float32, or one. */
function npy(shape: readonly number[], values: Float32Array): Uint8Array {
  const text = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape.join(', ')},), }`;
  const header = Buffer.from(`${text}${' '.repeat(63 - ((10 + text.length) % 64))}\n`, 'latin1');
  const begin = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, 0, 0]);
  begin.writeUInt16LE(header.length, 8);
  return Buffer.concat([begin, header, Buffer.from(values.buffer)]);
}

test('arrays are named x0, x1, …; their labels lie in a file of their own, and predictions alone come back', async () => {
  const columns = ['x0', 'x1'].map((name) => ({ kind: 'number', name, shift: 0.5, factor: 2 }) as const);
  const ofArrays = await loadedModel(
    await trainedModel({ columns, loss: { kind: 'huber', delta: 1 }, targetNames: ['y'] }),
  );
  const x = Float32Array.from({ length: 600 }, (_, index) => (index % 17) / 8);
  const y = Float32Array.from({ length: 300 }, (_, index) => (index % 5) / 4);
  const samples = await file('x.npy', npy([300, 2], x));
  const labels = await file('y.npy', npy([300], y));
  const table = [...y].map((value, row) => `${x[2 * row]},${x[2 * row + 1]},${value}`);
  const asTable = await file('xy.csv', `x0,x1,y\n${table.join('\n')}\n`);
  expect(await evaluateTable(ofArrays, { ...samples, labels })).toEqual(await evaluateTable(ofArrays, asTable));
  const ofTable = await predicted(ofArrays, asTable);
  expect(await predicted(ofArrays, samples)).toEqual(ofTable.map((line) => line.split(',').at(-1)));

  const refused = await evaluateTable(ofArrays, { ...asTable, labels }).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(RopeteamError);
  expect(refused).toMatchObject({ code: 'USAGE.ARGUMENT' });
});

test('a line that is no object is told with its place', async () => {
  const broken = await file('broken.jsonl', `${jsonLines}[1, 2]\n`);
  const error = await predicted(model, broken).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'DATA.ROW', place: { file: 'broken.jsonl', line: rows.length + 1 } });
});
