/**
 * How columns become the numbers a model sees, fitted on the training samples alone.
 *
 * All sums are in double precision and in the order of the samples, so the same data gives the same bits.
 */
import { setImmediate } from 'node:timers/promises';
import type { ColumnEncoding, DataSpec, Preprocessing } from '#training';
import type { FeatureKind } from './column-kinds.js';
import type { Table } from './table.js';

/** Cells looked at before the event loop gets its turn: a millisecond or two. */
const CELLS_A_TURN = 1 << 18;

export interface Fitted {
  readonly preprocessing: Preprocessing;
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
  const moments = await measure(table, kinds.length, rows, spec.missing);
  const constant: string[] = [];
  const columns = kinds.map((kind, index): ColumnEncoding => {
    if (kind.kind === 'words') {
      if (kind.categories.length === 1) constant.push(kind.name);
      return { kind: 'oneHot', name: kind.name, categories: kind.categories };
    }
    const { fill, mean, low, high, deviation } = moments[index]!;
    const scaled = scaling(spec.scale, mean, low, high, deviation);
    if (low === high) constant.push(kind.name);
    const missing = spec.missing === 'mean' || spec.missing === 'zero' ? { missing: fill } : {};
    return { kind: 'number', name: kind.name, ...scaled, ...missing };
  });
  return { preprocessing: { scale: spec.scale, columns }, warnings: constantWarning(constant) };
}

/** Numbers in one encoded sample. */
export function countFeatures(preprocessing: Preprocessing): number {
  return preprocessing.columns.reduce(
    (sum, column) => sum + (column.kind === 'number' ? 1 : column.categories.length),
    0,
  );
}

/**
 * Writes one encoded sample: `(value - shift) · factor` in double precision, rounded once; 1 for a word's category and 0
 * for the others, all 0 for an empty cell.
 * @param into [F] from `offset`
 */
export function encodeSample(
  preprocessing: Preprocessing,
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
      into.fill(0, at, at + column.categories.length);
      if (!Number.isNaN(value)) into[at + value] = 1;
      at += column.categories.length;
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

async function measure(
  table: Table,
  width: number,
  rows: Uint32Array,
  missing: DataSpec['missing'],
): Promise<readonly Moments[]> {
  const turn = Math.max(1, Math.floor(CELLS_A_TURN / width));
  const everyCell = async (visit: (column: number, value: number) => void): Promise<void> => {
    for (let begin = 0; begin < rows.length; begin += turn) {
      for (const row of rows.subarray(begin, begin + turn)) {
        for (let column = 0; column < width; column++) visit(column, table.cell(row, column));
      }
      await setImmediate();
    }
  };

  const sums = new Float64Array(width);
  const present = new Float64Array(width);
  await everyCell((column, value) => {
    if (Number.isNaN(value)) return;
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
function scaling(scale: DataSpec['scale'], mean: number, low: number, high: number, deviation: number) {
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
