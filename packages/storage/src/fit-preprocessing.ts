/**
 * How columns become the numbers a model sees, fitted on the training samples alone.
 *
 * All sums are in double precision and in the order of the samples, so the same data gives the same bits.
 */
import { setImmediate } from 'node:timers/promises';
import type { ColumnEncoding, DataSpec, Preprocessing, Scale, TargetScaling } from '#training';
import type { FeatureKind } from './column-kinds.js';
import type { Table } from './table.js';
import { HASH_SEED } from './word-buckets.js';

/** Cells looked at before the event loop gets its turn: a millisecond or two. */
const CELLS_A_TURN = 1 << 18;

export interface Fitted {
  readonly preprocessing: Preprocessing;
  /** By column of words, the input of each word in the table: -1 for one without. Nothing for a column of numbers. */
  readonly places: readonly (Int32Array | undefined)[];
  readonly warnings: readonly string[];
}

/**
 * @param kinds of the table's first columns, its features
 * @param rows of the table that are training samples
 */
export async function fitPreprocessing(
  table: Table,
  kinds: readonly FeatureKind[],
  rows: Uint32Array,
  spec: Pick<DataSpec, 'scale' | 'missing'>,
): Promise<Fitted> {
  const seen = kinds.map((kind) => (kind.kind === 'words' ? new Uint8Array(kind.categories.length) : undefined));
  const moments = await measure(table, 0, seen, rows, spec.missing);
  const constant: string[] = [];
  const columns = kinds.map((kind, index): ColumnEncoding => {
    if (kind.kind === 'words') {
      const isSeen = (_: string, category: number): boolean => seen[index]?.[category] === 1;
      const categories = kind.categories.filter(isSeen);
      if (categories.length === 1) constant.push(kind.name);
      if (categories.length === kind.categories.length) return { kind: 'oneHot', name: kind.name, categories };
      const unseen = kind.categories.filter((word, category) => !isSeen(word, category));
      return { kind: 'oneHot', name: kind.name, categories, unseen };
    }
    if (kind.kind === 'hashed') return { ...kind, seed: HASH_SEED };
    const { fill, mean, low, high, deviation } = moments[index]!;
    const scaled = scaling(spec.scale, mean, low, high, deviation);
    if (low === high) constant.push(kind.name);
    const missing = spec.missing === 'mean' || spec.missing === 'zero' ? { missing: fill } : {};
    return { kind: 'number', name: kind.name, ...scaled, ...missing };
  });
  return {
    preprocessing: { scale: spec.scale, columns },
    places: seen.map((of) => of && placesOf(of)),
    warnings: [...constantWarning(constant), ...columns.flatMap(unseenWarning)],
  };
}

/**
 * How the targets of a regression are scaled; undefined where they stay as they are. One that is the same everywhere becomes 0.
 * @param first column of the table that is a target; the others follow
 * @param rows of the table that are training samples
 */
export async function fitTargets(
  table: Table,
  first: number,
  rows: Uint32Array,
  scale: Scale,
): Promise<readonly TargetScaling[] | undefined> {
  if (scale === 'none') return undefined;
  const words = Array.from({ length: table.columns.length - first }, () => undefined);
  const moments = await measure(table, first, words, rows, 'error');
  return moments.map(({ mean, low, high, deviation }) => {
    const { shift, factor } = scaling(scale, mean, low, high, deviation);
    return { shift, factor: factor === 0 ? 1 : factor };
  });
}

/** Words of the training samples get the inputs, in order. */
function placesOf(seen: Uint8Array): Int32Array {
  let next = 0;
  return Int32Array.from(seen, (is) => (is === 1 ? next++ : -1));
}

function unseenWarning(column: ColumnEncoding): readonly string[] {
  if (column.kind !== 'oneHot' || column.unseen === undefined) return [];
  const { name, unseen } = column;
  const words = unseen.length === 1 ? 'one word' : `${unseen.length} words`;
  const shown = unseen.slice(0, 5).join(', ') + (unseen.length > 5 ? ', …' : '');
  return [`column ${name}: ${words} (${shown}) in no training sample, so the model sees no category there`];
}

/** Numbers in one encoded sample. */
export function countFeatures(preprocessing: Preprocessing): number {
  return preprocessing.columns.reduce((sum, column) => sum + widthOf(column), 0);
}

function widthOf(column: ColumnEncoding): number {
  switch (column.kind) {
    case 'number':
      return 1;
    case 'oneHot':
      return column.categories.length;
    case 'hashed':
      return column.buckets;
    default:
      return column satisfies never;
  }
}

/**
 * Writes one encoded sample: `(value - shift) · factor` in double precision, rounded once; 1 for a word's category and 0
 * for the others, all 0 for an empty cell and for a word of no training sample.
 * @param into [F] from `offset`
 */
export function encodeSample(
  { preprocessing, places }: Pick<Fitted, 'preprocessing' | 'places'>,
  table: Table,
  row: number,
  into: Float32Array,
  offset: number,
): void {
  let at = offset;
  for (const [index, column] of preprocessing.columns.entries()) {
    const value = table.cell(row, index);
    if (column.kind === 'number') {
      const present = Number.isNaN(value) ? (column.missing ?? column.shift) : value;
      into[at++] = (present - column.shift) * column.factor;
    } else {
      const width = widthOf(column);
      into.fill(0, at, at + width);
      const place = Number.isNaN(value) ? -1 : column.kind === 'hashed' ? value : places[index]![value]!;
      if (place >= 0) into[at + place] = 1;
      at += width;
    }
  }
}

interface Moments {
  /** What a missing value is taken for. */
  fill: number;
  mean: number;
  low: number;
  high: number;
  deviation: number;
}

/** Goes over the training samples twice; the words there are marked on the first way. @param first column of `seen` */
async function measure(
  table: Table,
  first: number,
  seen: readonly (Uint8Array | undefined)[],
  rows: Uint32Array,
  missing: DataSpec['missing'],
): Promise<readonly Moments[]> {
  const width = seen.length;
  const turn = Math.max(1, Math.floor(CELLS_A_TURN / width));
  const everyCell = async (visit: (column: number, value: number) => void): Promise<void> => {
    for (let begin = 0; begin < rows.length; begin += turn) {
      for (const row of rows.subarray(begin, begin + turn)) {
        for (let column = 0; column < width; column++) visit(column, table.cell(row, first + column));
      }
      await setImmediate();
    }
  };

  const sums = new Float64Array(width);
  const present = new Float64Array(width);
  await everyCell((column, value) => {
    if (Number.isNaN(value)) return;
    const words = seen[column];
    if (words !== undefined) words[value] = 1;
    sums[column]! += value;
    present[column]! += 1;
  });
  const moments = Array.from({ length: width }, (_, column): Moments => {
    const mean = present[column] === 0 ? 0 : sums[column]! / present[column]!;
    const fill = missing === 'mean' ? mean : 0;
    const absent = rows.length - present[column]!;
    return {
      fill,
      mean: (sums[column]! + absent * fill) / rows.length,
      low: Number.POSITIVE_INFINITY,
      high: Number.NEGATIVE_INFINITY,
      deviation: 0,
    };
  });
  await everyCell((column, value) => {
    const of = moments[column]!;
    const filled = Number.isNaN(value) ? of.fill : value;
    if (filled < of.low) of.low = filled;
    if (filled > of.high) of.high = filled;
    of.deviation += (filled - of.mean) ** 2;
  });
  for (const of of moments) of.deviation = Math.sqrt(of.deviation / rows.length);
  return moments;
}

/** A column that is the same everywhere tells nothing: it becomes 0 and never a division by zero. */
function scaling(scale: Scale, mean: number, low: number, high: number, deviation: number) {
  if (scale === 'none') return { shift: 0, factor: 1 };
  const shift = scale === 'standard' ? mean : low;
  const factor = 1 / (scale === 'standard' ? deviation : high - low);
  return low < high && Number.isFinite(factor) ? { shift, factor } : { shift, factor: 0 };
}

/** One warning however many columns: a table of images has hundreds of pixels that are always 0. */
function constantWarning(names: readonly string[]): readonly string[] {
  if (names.length === 0) return [];
  const listed = names.slice(0, 5).join(', ') + (names.length > 5 ? ', …' : '');
  const columns = names.length === 1 ? `column ${listed} has` : `${names.length} columns (${listed}) have`;
  return [`${columns} the same value in every training sample: the model learns nothing from that`];
}
