/** From what a table's cells say to numbers: values, category indexes, class indexes. In place, once per table. */
import { setImmediate } from 'node:timers/promises';
import type { Cell } from './cell.js';
import type { FeatureKind, TargetKind } from './column-kinds.js';
import { KEPT_TEXTS, type Table, UNUSABLE } from './table.js';

/** By column, the texts of its first unusable cells by row: what an error message quotes. */
export type Strays = readonly ReadonlyMap<number, string>[];

/**
 * Encodes all columns: numbers as they are, words as the index of their category, labels as the index of their class;
 * NaN for a missing cell and `UNUSABLE` for one that is neither.
 * @param features of the table's first columns; the targets follow
 */
export async function encodeTable(table: Table, features: readonly FeatureKind[], target: TargetKind): Promise<Strays> {
  const strays: ReadonlyMap<number, string>[] = [];
  for (const column of table.columns.keys()) {
    strays.push(encodeColumn(table, column, features[column], target));
    await setImmediate();
  }
  return strays;
}

function encodeColumn(
  table: Table,
  column: number,
  feature: FeatureKind | undefined,
  target: TargetKind,
): ReadonlyMap<number, string> {
  if (feature?.kind === 'words') return encodeWords(table, column, feature.categories);
  if (feature === undefined && target.kind === 'classification') {
    return target.numeric
      ? encodeNumericLabels(table, column, target.classes)
      : encodeWords(table, column, target.classes);
  }
  // A column without a dictionary holds its numbers as they are stored.
  const { texts, strays } = table.columns[column]!;
  return texts === undefined ? strays : encodeCells(table, column, storedNumber);
}

function encodeWords(table: Table, column: number, categories: readonly string[]): ReadonlyMap<number, string> {
  const indexes = new Map(categories.map((category, index) => [category, index]));
  if (table.columns[column]!.texts === undefined) {
    // Too many different texts to be these words; some of them may be, but which ones is no longer known.
    table.map(column, () => UNUSABLE);
    return table.columns[column]!.strays;
  }
  return encodeCells(table, column, (_, text) => (text === '' ? Number.NaN : (indexes.get(text) ?? UNUSABLE)));
}

function encodeNumericLabels(table: Table, column: number, classes: readonly string[]): ReadonlyMap<number, string> {
  const indexes = new Map(classes.map((label, index) => [Number(label), index]));
  return encodeCells(table, column, (cell) =>
    cell.kind === 'number' ? (indexes.get(cell.value) ?? UNUSABLE) : storedNumber(cell),
  );
}

function storedNumber({ kind, value }: Cell): number {
  return kind === 'word' || kind === 'unusable' ? UNUSABLE : value;
}

function encodeCells(
  table: Table,
  column: number,
  encode: (cell: Cell, text: string) => number,
): ReadonlyMap<number, string> {
  const content = table.columns[column]!;
  const { texts, cells } = content;
  if (texts === undefined) {
    table.map(column, (value) => (value === UNUSABLE ? UNUSABLE : encode(numberCell(value), '')));
    return content.strays;
  }
  const values = Float64Array.from(texts, (text, code) => encode(cells[code]!, text));
  const strays = new Map<number, string>();
  table.map(column, (code, row) => {
    const value = values[code]!;
    if (value === UNUSABLE && strays.size < KEPT_TEXTS) strays.set(row, texts[code]!);
    return value;
  });
  return strays;
}

function numberCell(value: number): Cell {
  return Number.isNaN(value) ? { kind: 'missing', value } : { kind: 'number', value };
}
