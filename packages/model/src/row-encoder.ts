/** Rows as users have them, to what the model was trained on: the preprocessing that was fitted in training. */
import { bucketOf, explainNotANumber, readCell } from '#storage';
import type { ColumnEncoding, Preprocessing } from '#training';

/** A cell of a row: a text is read as a cell of a CSV file is. */
export type CellValue = string | number | boolean | null | undefined;

/** Why a cell cannot be encoded. */
export interface CellProblem {
  readonly column: string;
  readonly reason: string;
  readonly hint: string;
}

export interface RowEncoder {
  /** F: numbers in one encoded row. */
  readonly featureCount: number;
  /** Input columns in their order. */
  readonly names: readonly string[];
  /**
   * Encodes one row, given its cells in the order of `names`.
   * @param into [F] from `offset`
   * @returns the first cell that the model cannot take; what was written then means nothing
   */
  encode(cells: readonly CellValue[], into: Float32Array, offset: number): CellProblem | undefined;
}

/** `(value - shift) · factor` in double precision, rounded once; 1 for a word's category and 0 for the others, as in training. */
export function createRowEncoder({ columns }: Preprocessing): RowEncoder {
  const encoders = columns.map(encoderOf);
  return {
    featureCount: encoders.reduce((sum, { width }) => sum + width, 0),
    names: columns.map(({ name }) => name),
    encode(cells, into, offset) {
      let at = offset;
      for (const [index, { width, encode }] of encoders.entries()) {
        const problem = encode(cells[index], into, at);
        if (problem !== undefined) return problem;
        at += width;
      }
      return undefined;
    },
  };
}

interface ColumnEncoder {
  readonly width: number;
  encode(cell: CellValue, into: Float32Array, at: number): CellProblem | undefined;
}

function encoderOf(column: ColumnEncoding): ColumnEncoder {
  switch (column.kind) {
    case 'number':
      return { width: 1, encode: numberEncoder(column) };
    case 'oneHot':
      return { width: column.categories.length, encode: categoryEncoder(column) };
    case 'hashed':
      return { width: column.buckets, encode: bucketEncoder(column) };
    default:
      return column satisfies never;
  }
}

function numberEncoder(column: Extract<ColumnEncoding, { kind: 'number' }>): ColumnEncoder['encode'] {
  const { name, shift, factor, missing } = column;
  return (cell, into, at) => {
    const read = readNumber(cell);
    if (typeof read === 'string') return { column: name, ...explainNotANumber(read) };
    const present = Number.isNaN(read) ? missing : read;
    if (present === undefined) {
      const hint = 'fill the cell, or train with data.missing: mean or zero';
      return { column: name, reason: 'the cell is empty, and the model was trained without empty cells here', hint };
    }
    into[at] = (present - shift) * factor;
    return undefined;
  };
}

function categoryEncoder(column: Extract<ColumnEncoding, { kind: 'oneHot' }>): ColumnEncoder['encode'] {
  const { name, categories, unseen = [] } = column;
  const places = new Map(categories.map((category, place) => [category, place]));
  for (const word of unseen) places.set(word, -1);
  return (cell, into, at) => {
    into.fill(0, at, at + categories.length);
    const text = cell === null || cell === undefined ? '' : String(cell).trim();
    if (text === '') return undefined;
    const place = places.get(text);
    if (place === undefined) {
      const known = categories.slice(0, 8).join(', ') + (categories.length > 8 ? `, … (${categories.length})` : '');
      return {
        column: name,
        reason: `${JSON.stringify(text)} did not occur in the training data; known there: ${known}`,
        hint: 'correct the cell, or leave it empty',
      };
    }
    if (place >= 0) into[at + place] = 1;
    return undefined;
  };
}

function bucketEncoder({ buckets, seed }: Extract<ColumnEncoding, { kind: 'hashed' }>): ColumnEncoder['encode'] {
  return (cell, into, at) => {
    into.fill(0, at, at + buckets);
    const text = cell === null || cell === undefined ? '' : String(cell).trim();
    if (text !== '') into[at + bucketOf(text, buckets, seed)] = 1;
    return undefined;
  };
}

/** The number, NaN for a missing one, or the text that is none. */
export function readNumber(cell: CellValue): number | string {
  if (cell === null || cell === undefined) return Number.NaN;
  if (typeof cell === 'boolean') return Number(cell);
  if (typeof cell === 'number') {
    return Number.isNaN(cell) || Number.isFinite(Math.fround(cell)) ? cell : String(cell);
  }
  const text = cell.trim();
  const { kind, value } = readCell(text);
  return kind === 'number' || kind === 'missing' ? value : text;
}
