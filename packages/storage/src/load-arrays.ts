/** Two arrays, samples and labels, as a table: the labels are its targets, each number of a sample is a feature. */
import { type ArrayHeader, arrayError, type MoreBytes } from './array-header.js';
import type { BlockSpace } from './block-store.js';
import { MAX_CLASSES } from './column-kinds.js';
import type { SourceFile } from './file-bytes.js';
import type { ChosenColumns, Header, NamedColumn } from './header.js';
import type { LoadOptions } from './load-files.js';
import type { LoadedTable, UselessFile } from './load-table.js';
import { type LoadedArray, readArray } from './read-array.js';
import { buildTable, type ColumnContent, type Table, UNUSABLE } from './table.js';

export type HeaderReader = (file: SourceFile, bytes: Buffer) => ArrayHeader | MoreBytes;

/**
 * Features are called `x0`, `x1`, … in the order they lie in the file (an image's pixels row by row); the labels by the names
 * in `data.target`, one for each label of a sample.
 * @throws RopeteamError DATA.FORMAT, DATA.LIMIT for what is no such file, and when the two do not belong together
 */
export async function loadArrays(
  samples: readonly [SourceFile, HeaderReader],
  labels: readonly [SourceFile, HeaderReader],
  options: LoadOptions,
): Promise<LoadedTable | UselessFile> {
  const { hash, signal, spec, problems } = options;
  const read = ([file, readHeader]: readonly [SourceFile, HeaderReader]): Promise<LoadedArray> =>
    readArray(
      { ...file, content: 'binary' },
      {
        readHeader,
        hash,
        ...(options.space === undefined ? {} : { space: options.space }),
        ...(signal === undefined ? {} : { signal }),
        ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
      },
    );
  const x = await read(samples);
  const y = await read(labels);
  if (x.rows !== y.rows) {
    const what = `has ${y.rows} labels, but ${x.file.name} has ${x.rows} samples`;
    throw arrayError(y.file, what, 'name two files that belong together in data.source and data.labels');
  }
  const names = labelNames(spec.target, y);
  const header: Header = {
    file: x.file,
    line: 1,
    cells: [...Array.from({ length: x.width }, (_, n) => `x${n}`), ...names],
  };
  const columns = options.choose(header, problems);
  if (columns === undefined) return { delimiter: ',', table: undefined, brokenRows: 0 };
  const table = arrayTable(x, y, columns, options.space);
  const fileOf = (): SourceFile => x.file;
  return { file: x.file, labelsFile: y.file, delimiter: ',', header, columns, table, fileOf, brokenRows: 0 };
}

function labelNames(target: readonly string[], { file, width }: LoadedArray): readonly string[] {
  if (target.length === width) return target;
  const what = `has ${width} labels a sample, but data.target names ${target.length}`;
  throw arrayError(file, what, `list ${width} names in data.target`);
}

/** Features stay in the array they were read into; only the labels get a dictionary. */
function arrayTable(x: LoadedArray, y: LoadedArray, { features, targets }: ChosenColumns, space?: BlockSpace): Table {
  const labels = buildTable(
    targets.map((column) => ({ ...column, index: column.index - x.width, limit: MAX_CLASSES + 1 })),
    space,
  );
  const cells: string[] = [];
  for (let row = 0; row < y.rows; row++) {
    for (let n = 0; n < y.width; n++) cells[n] = String(y.at(row, n));
    labels.add(cells, row + 1);
  }
  const targetTable = labels.finish();
  const numFeatures = features.length;
  const sources = features.map(({ index }) => index);
  return {
    rows: x.rows,
    columns: [...features.map((column) => featureContent(column, x.rows)), ...targetTable.columns],
    cell: (row, column) =>
      column < numFeatures ? usable(x.at(row, sources[column]!)) : targetTable.cell(row, column - numFeatures),
    line: (row) => row + 1,
  };
}

function featureContent(column: NamedColumn, rows: number): ColumnContent {
  return {
    column: { ...column, limit: 0 },
    texts: undefined,
    cells: [],
    counts: { number: rows, missing: 0, unusable: 0, word: 0 },
    strays: new Map(),
  };
}

/** A number no float32 can hold is reported as a cell of a CSV file that says so would be. */
function usable(value: number): number {
  return Number.isNaN(value) || Number.isFinite(Math.fround(value)) ? value : UNUSABLE;
}
