/** What is told of columns, against tables in which it was put. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { DataSpec } from '#training';
import { type DataReport, describeData } from './data-report.js';
import { dataSpec } from './data-spec.fixture.js';

const ROWS = 200;

async function reportOn(
  rows: readonly (readonly (string | number)[])[],
  header: readonly string[],
  changes: Partial<DataSpec> = {},
): Promise<DataReport> {
  const folder = await mkdtemp(join(tmpdir(), 'ropeteam-report-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, 'rows.csv');
  await writeFile(file, `${[header, ...rows].map((row) => row.join(',')).join('\n')}\n`);
  const { task: _, ...open } = dataSpec(changes); // which task it is, follows from the target
  const spec: DataSpec = open;
  return await describeData({ spec, resolve: () => file, directory: folder });
}

const rowsOf = (row: (index: number) => readonly (string | number)[]) =>
  Array.from({ length: ROWS }, (_, index) => row(index));
/** Numbers without an order that a column could follow by chance. */
const scatter = (index: number, factor: number): number => (index * factor) % 97;

test('kinds, missing cells, different values and ranges of columns, rows of classes', async () => {
  const rows = rowsOf((index) => [
    scatter(index, 31) / 4,
    index % 4 === 0 ? '' : 'abc'[index % 3]!,
    index % 2 === 0 ? 'no' : 'yes',
  ]);
  const report = await reportOn(rows, ['size', 'letter', 'y'], { missing: 'mean' });
  expect(report).toMatchObject({ rows: ROWS, skippedRows: 0, findings: [] });
  expect(report.features).toEqual([
    { name: 'size', holds: 'numbers', missing: 0, range: { least: 0, most: 24, mean: expect.closeTo(11.9, 0) } },
    { name: 'letter', holds: 'words', missing: ROWS / 4, different: 3 },
  ]);
  expect(report.targets).toEqual([{ name: 'y', holds: 'classes', missing: 0, different: 2 }]);
  expect(report.classes).toEqual([
    { label: 'no', rows: ROWS / 2 },
    { label: 'yes', rows: ROWS / 2 },
  ]);
});

test('a constant column, a row number, a column twice, one that tells the class, a rare class', async () => {
  const rows = rowsOf((index) => {
    const label = index % 50 === 0 ? 'rare' : index % 2 === 0 ? 'one' : 'two';
    return [7, index + 1, scatter(index, 31), scatter(index, 31), `code ${label}`, scatter(index, 53), label];
  });
  const report = await reportOn(rows, ['same', 'id', 'a', 'again', 'leak', 'b', 'y']);
  expect(report.findings).toEqual([
    { kind: 'constant', names: ['same'] },
    { kind: 'rowNumber', names: ['id'] },
    { kind: 'sameColumn', names: ['again = a'] },
    { kind: 'tellsTarget', names: ['leak'] },
    { kind: 'rareClasses', names: ['rare'] },
  ]);
});

test('a column that is the target in other units, cells that are mostly missing, a target far from 1', async () => {
  const rows = rowsOf((index) => {
    const price = 50_000 + 13 * scatter(index, 31);
    return [price / 1000 + 3, index % 3 === 0 ? index % 7 : '', scatter(index, 53), price];
  });
  const report = await reportOn(rows, ['thousands', 'seldom', 'b', 'y'], { missing: 'mean' });
  expect(report.findings).toEqual([
    { kind: 'mostlyMissing', names: ['seldom'] },
    { kind: 'tellsTarget', names: ['thousands'] },
    { kind: 'farFromOne', names: ['y'] },
  ]);
  expect(report.targets[0]).toMatchObject({ holds: 'numbers', range: { least: 50_000, most: 51_248 } });
});

test('a column that goes with the target without telling it is not suspected', async () => {
  const rows = rowsOf((index) => [index % 3, scatter(index, 31) + (index % 5), scatter(index, 31)]);
  expect((await reportOn(rows, ['kind', 'near', 'y'])).findings).toEqual([]);
});

test('what can not be read is the error it is when training', async () => {
  await expect(reportOn([[1, 2, 'x']], ['a', 'y'])).rejects.toMatchObject({ code: 'DATA.ROW' });
});
