/** The rows of a file in any format that training reads, batch by batch: what a trained model is asked about. */
import { stat } from 'node:fs/promises';
import { type ArrayFormat, type DataFormat, formatOfName, isBareArray, RopeteamError } from '#training';
import { arrayError } from './array-header.js';
import { emptyFile, type SourceFile } from './file-bytes.js';
import { cellOfKey, readJsonLine } from './json-lines.js';
import { headerReader } from './load-files.js';
import { findAllKeys, linesOf } from './load-json-lines.js';
import { cellReader } from './load-parquet.js';
import { openParquet } from './parquet-file.js';
import { startParquetTrial } from './parquet-trial.js';
import { readArray } from './read-array.js';
import { fileError } from './resolve-inside.js';
import { readTableRows, type TableReader, type TableRow } from './table-rows.js';
import { excerpt } from './text-lines.js';

export interface SampleFile extends SourceFile {
  /** Absent: told from the name. */
  readonly format?: DataFormat;
  /** Where it is one array without names: the file of the answers. */
  readonly labels?: SourceFile & { readonly format?: DataFormat };
}

const ROWS_A_BATCH = 1024;

/**
 * Reads a file once, in bounded memory but for arrays, which are held whole, and row groups of Parquet, one of which is.
 * @param targets what the numbers of `labels` are called
 * @throws RopeteamError DATA.* with file and line; what the reader throws
 */
export async function readSampleRows(
  file: SampleFile,
  reader: TableReader,
  targets: readonly string[] = [],
): Promise<void> {
  const format = file.format ?? formatOfName(file.name);
  if (isBareArray(format)) return readArrayRows(file, format, reader, targets);
  if (file.labels !== undefined) {
    const message = `${file.name} has named columns, and a file of labels is named besides`;
    throw new RopeteamError('USAGE.ARGUMENT', { argument: '--labels' }, message, { hint: 'leave --labels out' });
  }
  if (format === 'jsonl') return readJsonRows(file, reader);
  if (format === 'parquet') return readParquetRows(file, reader);
  return readTableRows(file, reader);
}

/** Hands rows on in batches, and waits for each to be taken. */
function batches({ onRows }: TableReader) {
  let pending: TableRow[] = [];
  const flush = async (): Promise<void> => {
    const rows = pending;
    pending = [];
    if (rows.length > 0) await onRows(rows);
  };
  return {
    flush,
    async add(row: TableRow): Promise<void> {
      pending.push(row);
      if (pending.length >= ROWS_A_BATCH) await flush();
    },
  };
}

/** Read twice: which keys there are is known only behind the last line. */
async function readJsonRows(named: SourceFile, reader: TableReader): Promise<void> {
  const file: SourceFile = { ...named, content: 'json' };
  const options = reader.signal === undefined ? {} : { signal: reader.signal };
  const names = await findAllKeys([file], options);
  const rows = batches(reader);
  let headed = false;
  for await (const { text, line } of linesOf(file, options)) {
    const read = readJsonLine(text);
    if (read.kind === 'broken') {
      throw new RopeteamError('DATA.ROW', { file: file.name, line }, `${file.name}:${line}: ${read.reason}`, {
        place: { file: file.name, line, text: excerpt(text) },
        hint: 'write each sample as an object on a line of its own',
      });
    }
    if (!headed) reader.onHeader({ names, text: '', line: 1, delimiter: ',', form: 'json' });
    headed = true;
    // What is nested is no cell of the model's: a column it needs is told as a word it does not know.
    const cells = names.map((name) => cellOfKey(read.values, name) ?? JSON.stringify(read.values[name]));
    await rows.add({ cells, text, line });
  }
  if (!headed) throw emptyFile(file);
  await rows.flush();
}

/** Columns that hold neither numbers nor texts are left out. */
async function readParquetRows(named: SourceFile, reader: TableReader): Promise<void> {
  const { signal } = reader;
  const file: SourceFile = { ...named, content: 'binary' };
  const { size } = await stat(file.path).catch((error: unknown) => Promise.reject(fileError(file.name, error)));
  await using trial = startParquetTrial(file, size);
  await trial.opened();
  await using parquet = await openParquet(file);
  const columns = parquet.columns.filter(({ kind }) => kind !== 'refused');
  const names = columns.map(({ name }) => name);
  const delimited = (cells: readonly (string | number)[]): string =>
    cells.map((cell) => quoted(String(cell))).join(',');
  reader.onHeader({ names, text: delimited(names), line: 1, delimiter: ',', form: 'delimited' });
  await trial.decoded(names);
  const rows = batches(reader);
  let line = 0;
  for await (const group of parquet.groups(names)) {
    const at: ((row: number) => string | number)[] = [];
    for (const column of columns) at.push(cellReader(column, await group.read(column.name)));
    for (let row = 0; row < group.rows; row++) {
      if (row % ROWS_A_BATCH === 0) signal?.throwIfAborted();
      const cells = at.map((read) => read(row));
      await rows.add({ cells, text: delimited(cells), line: ++line });
    }
  }
  await rows.flush();
}

/** Rows have no text: an array has no columns of its own to repeat. */
async function readArrayRows(
  file: SampleFile,
  format: ArrayFormat,
  reader: TableReader,
  targets: readonly string[],
): Promise<void> {
  const read = (source: SourceFile, of: DataFormat) =>
    readArray(
      { ...source, content: 'binary' },
      { readHeader: headerReader(of), ...(reader.signal === undefined ? {} : { signal: reader.signal }) },
    );
  const x = await read(file, format);
  const y = file.labels && (await read(file.labels, file.labels.format ?? formatOfName(file.labels.name)));
  if (y !== undefined && y.rows !== x.rows) {
    const what = `has ${y.rows} labels, but ${x.file.name} has ${x.rows} samples`;
    throw arrayError(y.file, what, 'name two files that belong together');
  }
  if (y !== undefined && y.width !== targets.length) {
    throw arrayError(y.file, `has ${y.width} labels a sample, the model has ${targets.length}`, 'name another file');
  }
  const inputs = Array.from({ length: x.width }, (_, n) => `x${n}`);
  const names = y === undefined ? inputs : [...inputs, ...targets];
  reader.onHeader({ names, text: '', line: 1, delimiter: ',', form: 'bare' });
  const rows = batches(reader);
  for (let row = 0; row < x.rows; row++) {
    const cells = names.map((_, n) => (n < x.width ? x.at(row, n) : (y?.at(row, n - x.width) ?? Number.NaN)));
    await rows.add({ cells, text: '', line: row + 1 });
  }
  await rows.flush();
}

function quoted(cell: string): string {
  return /[",\n\r]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}
