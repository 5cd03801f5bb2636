/** From what a table's cells say to numbers: values, category indexes, class indexes. Worked out as cells are asked for. */
import type { Cell } from './cell.js';
import type { FeatureKind, TargetKind } from './column-kinds.js';
import { type Table, UNUSABLE } from './table.js';

export interface EncodedTable {
  /** Of the same rows and columns; its cells are numbers, NaN for a missing one and `UNUSABLE` for one that is neither. */
  readonly table: Table;
  /** What an unusable cell says, where that is still known: for an error message. */
  strayText(row: number, column: number): string | undefined;
}

/** What the cells of one column become. */
interface ColumnEncoder {
  encode(stored: number): number;
  text(stored: number, row: number): string | undefined;
}

/**
 * Encodes all columns: numbers as they are, words as the index of their category, labels as the index of their class.
 * @param features of the table's first columns; the targets follow
 */
export function encodeTable(table: Table, features: readonly FeatureKind[], target: TargetKind): EncodedTable {
  const encoders = table.columns.map((_, column) => encoderOf(table, column, features[column], target));
  return {
    table: {
      rows: table.rows,
      columns: table.columns,
      cell: (row, column) => encoders[column]!.encode(table.cell(row, column)),
      line: (row) => table.line(row),
    },
    strayText: (row, column) => encoders[column]!.text(table.cell(row, column), row),
  };
}

function encoderOf(table: Table, column: number, feature: FeatureKind | undefined, target: TargetKind): ColumnEncoder {
  if (feature?.kind === 'words') return wordEncoder(table, column, feature.categories);
  if (feature === undefined && target.kind === 'classification') {
    return target.numeric
      ? numericLabelEncoder(table, column, target.classes)
      : wordEncoder(table, column, target.classes);
  }
  // A column without a dictionary holds its numbers as they are stored.
  return table.columns[column]!.texts === undefined
    ? { encode: (stored) => stored, text: keptTexts(table, column) }
    : cellEncoder(table, column, storedNumber);
}

function wordEncoder(table: Table, column: number, categories: readonly string[]): ColumnEncoder {
  if (table.columns[column]!.texts === undefined) {
    // Too many different texts to be these words; some of them may be, but which ones is no longer known.
    return { encode: () => UNUSABLE, text: keptTexts(table, column) };
  }
  const indexes = new Map(categories.map((category, index) => [category, index]));
  return cellEncoder(table, column, (_, text) => (text === '' ? Number.NaN : (indexes.get(text) ?? UNUSABLE)));
}

function numericLabelEncoder(table: Table, column: number, classes: readonly string[]): ColumnEncoder {
  const indexes = new Map(classes.map((label, index) => [Number(label), index]));
  return cellEncoder(table, column, (cell) =>
    cell.kind === 'number' ? (indexes.get(cell.value) ?? UNUSABLE) : storedNumber(cell),
  );
}

function storedNumber({ kind, value }: Cell): number {
  return kind === 'word' || kind === 'unusable' ? UNUSABLE : value;
}

function cellEncoder(table: Table, column: number, encode: (cell: Cell, text: string) => number): ColumnEncoder {
  const { texts, cells } = table.columns[column]!;
  if (texts === undefined) {
    return {
      encode: (value) => (value === UNUSABLE ? UNUSABLE : encode(numberCell(value), '')),
      text: keptTexts(table, column),
    };
  }
  const values = Float64Array.from(texts, (text, code) => encode(cells[code]!, text));
  return { encode: (code) => values[code]!, text: (code) => texts[code] };
}

function keptTexts(table: Table, column: number): ColumnEncoder['text'] {
  const { strays } = table.columns[column]!;
  return (_, row) => strays.get(row);
}

function numberCell(value: number): Cell {
  return Number.isNaN(value) ? { kind: 'missing', value } : { kind: 'number', value };
}
