/**
 * The cells of a table while its columns are being understood: 8 bytes a cell, row after row, in a `BlockStore`.
 *
 * A column is a dictionary of its different texts until it has more of them than a column of words may have; from there
 * on only its numbers are kept. So whether a column holds words or numbers is decided at the end, in one pass.
 */
import { type BlockSpace, openBlockSpace } from './block-store.js';
import { type Cell, readCell, trimCell } from './cell.js';
import { bucketOf } from './word-buckets.js';

/** In a finished number column: a cell that is no number. (Missing is NaN.) */
export const UNUSABLE = Number.POSITIVE_INFINITY;

/** Texts of unusable cells kept for error messages once a column has no dictionary. */
export const KEPT_TEXTS = 20;
const BLOCK_CELLS = 1 << 18;

export interface TableColumn {
  readonly name: string;
  /** Position in the file's header, from 0. */
  readonly index: number;
  /** Different texts its dictionary may hold. */
  readonly limit: number;
  /** Present: it holds words, and each is kept as its bucket alone. */
  readonly buckets?: number;
}

export interface ColumnContent {
  readonly column: TableColumn;
  /** Text by code; undefined once there were more than `limit` of them. */
  readonly texts: readonly string[] | undefined;
  /** What each text is, by code; as long as `texts`. */
  readonly cells: readonly Cell[];
  /** Cells by what they are. */
  readonly counts: Readonly<Record<Cell['kind'], number>>;
  /** Texts of the first unusable cells by row, where there is no dictionary. */
  readonly strays: ReadonlyMap<number, string>;
}

export interface Table {
  readonly rows: number;
  readonly columns: readonly ColumnContent[];
  /** Code in a column with a dictionary; else the number, NaN for missing or `UNUSABLE`. */
  cell(row: number, column: number): number;
  /** Line of the file the row begins in, from 1. */
  line(row: number): number;
}

export interface TableBuilder {
  /** Adds a row; `cells` are all cells of the record, in the order of the header. A number is what its text would be. */
  add(cells: readonly (string | number)[], line: number): void;
  finish(): Table;
}

interface ColumnState extends ColumnContent {
  texts: string[] | undefined;
  /** By text, and by number for those that came as one: most are looked up without being written out. */
  codes: Map<string | number, number>;
  cells: Cell[];
  counts: Record<Cell['kind'], number>;
  strays: Map<number, string>;
  /** Rows before this one hold codes of a dictionary that was dropped, and `dropped` the number of each code. */
  droppedAt: number;
  dropped: Float64Array;
}

const NOTHING_DROPPED = new Float64Array(0);

/** @param space where its cells go; absent: they stay in memory */
export function buildTable(columns: readonly TableColumn[], space?: BlockSpace): TableBuilder {
  const width = columns.length + 1;
  const shift = Math.max(0, Math.floor(Math.log2(BLOCK_CELLS / width)));
  const mask = (1 << shift) - 1;
  const store = (space ?? openBlockSpace(undefined)).open((length) => new Float64Array(length));
  let block = new Float64Array(width << shift);
  let rows = 0;

  const states = columns.map(
    (column): ColumnState => ({
      column,
      texts: column.buckets === undefined ? [] : undefined,
      codes: new Map(),
      cells: [],
      counts: { number: 0, missing: 0, unusable: 0, word: 0 },
      strays: new Map(),
      droppedAt: 0,
      dropped: NOTHING_DROPPED,
    }),
  );

  /** Of rows that were added, as they were stored. */
  const stored = (row: number, column: number): number => {
    const from = row >>> shift === rows >>> shift ? block : store.get(row >>> shift);
    return from[(row & mask) * width + column]!;
  };

  /** From codes to numbers: the column has too many different texts to be words. */
  const dropDictionary = (state: ColumnState, position: number): void => {
    if (state.cells.some(isStray)) {
      for (let row = 0; row < rows && state.strays.size < KEPT_TEXTS; row++) {
        const code = stored(row, position);
        if (isStray(state.cells[code]!)) keepStray(state, row, state.texts![code]!);
      }
    }
    state.droppedAt = rows;
    state.dropped = Float64Array.from(state.cells, storedValue);
    state.texts = undefined;
    state.codes = new Map();
    state.cells = [];
  };

  const storeText = (state: ColumnState, position: number, text: string): number => {
    const { buckets } = state.column;
    if (buckets !== undefined) {
      state.counts[text === '' ? 'missing' : 'word']++;
      return text === '' ? Number.NaN : bucketOf(text, buckets);
    }
    if (state.texts !== undefined) {
      const known = state.codes.get(text);
      if (known !== undefined) {
        state.counts[state.cells[known]!.kind]++;
        return known;
      }
      if (state.texts.length < state.column.limit) {
        const cell = readCell(text);
        state.counts[cell.kind]++;
        state.codes.set(text, state.texts.length);
        state.cells.push(cell);
        return state.texts.push(text) - 1;
      }
      dropDictionary(state, position);
    }
    const cell = readCell(text);
    state.counts[cell.kind]++;
    if (isStray(cell)) keepStray(state, rows, text);
    return storedValue(cell);
  };

  const storeNumber = (state: ColumnState, position: number, value: number): number => {
    const known = state.codes.get(value);
    if (known !== undefined) {
      state.counts[state.cells[known]!.kind]++;
      return known;
    }
    if (state.texts === undefined && state.column.buckets === undefined && Number.isFinite(Math.fround(value))) {
      state.counts.number++;
      return value;
    }
    const code = storeText(state, position, String(value));
    if (state.texts !== undefined) state.codes.set(value, code);
    return code;
  };

  return {
    add(cells, line) {
      const base = (rows & mask) * width;
      for (let position = 0; position < states.length; position++) {
        const state = states[position]!;
        const cell = cells[state.column.index]!;
        block[base + position] =
          typeof cell === 'number' ? storeNumber(state, position, cell) : storeText(state, position, trimCell(cell));
      }
      block[base + states.length] = line;
      rows++;
      if ((rows & mask) !== 0) return;
      store.push(block);
      block = new Float64Array(width << shift);
    },
    finish: () => ({
      rows,
      columns: states,
      cell(row, column) {
        const value = stored(row, column);
        const { droppedAt, dropped } = states[column]!;
        return row < droppedAt ? dropped[value]! : value;
      },
      line: (row) => stored(row, states.length),
    }),
  };
}

function storedValue(cell: Cell): number {
  return cell.kind === 'word' || cell.kind === 'unusable' ? UNUSABLE : cell.value;
}

function isStray(cell: Cell): boolean {
  return cell.kind === 'word' || cell.kind === 'unusable';
}

function keepStray(state: ColumnState, row: number, text: string): void {
  if (state.strays.size < KEPT_TEXTS) state.strays.set(row, text);
}
