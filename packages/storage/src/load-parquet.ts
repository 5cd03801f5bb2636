/** Reads the chosen columns of a Parquet file, row group by row group. */
import { stat } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { readBytes, type SourceFile } from './file-bytes.js';
import type { ChosenColumns, Header } from './header.js';
import type { ReadFile, ReadOptions } from './load-table.js';
import { openParquet, type ParquetColumn } from './parquet-file.js';
import { startParquetTrial } from './parquet-trial.js';
import type { Problems } from './problems.js';
import { fileError } from './resolve-inside.js';

/** A few milliseconds of work: how long the event loop is held. */
const ROWS_A_TURN = 1 << 13;

/** @throws RopeteamError as `openParquet` does */
export async function loadParquet(named: SourceFile, options: ReadOptions): Promise<ReadFile> {
  const { gathering, problems, hash, signal } = options;
  const file: SourceFile = { ...named, content: 'binary' };
  const { size } = await stat(file.path).catch((error: unknown) => Promise.reject(fileError(file.name, error)));
  await using trial = startParquetTrial(file, size);
  await trial.opened();
  await using parquet = await openParquet(file);
  const header: Header = { file, line: 1, cells: parquet.columns.map(({ name }) => name) };
  const into = gathering.begin(header);
  if (into === undefined || refuseColumns(file, parquet.columns, into.columns, problems)) {
    return { delimiter: ',', brokenRows: 0, useless: true };
  }
  // The library goes to and fro in the file; the hash is over its bytes in their order.
  const chosen = [...into.columns.features, ...into.columns.targets];
  const decoded = trial.decoded(chosen.map(({ name }) => name));
  decoded.catch(() => undefined); // heard below, after the hash
  for await (const _ of readBytes(file, { hash, ...(signal === undefined ? {} : { signal }) }));
  await decoded;

  const cells: (string | number)[] = header.cells.map(() => '');
  let line = 0;
  for await (const group of parquet.groups(chosen.map(({ name }) => name))) {
    const values: { readonly index: number; readonly at: (row: number) => string | number }[] = [];
    for (const { name, index } of chosen) {
      signal?.throwIfAborted();
      values.push({ index, at: cellReader(parquet.columns[index]!, await group.read(name)) });
      await setImmediate();
    }
    for (let row = 0; row < group.rows; row++) {
      for (const { index, at } of values) cells[index] = at(row);
      into.add(cells, ++line);
      if (row % ROWS_A_TURN === ROWS_A_TURN - 1) {
        options.onProgress?.(gathering.rows);
        signal?.throwIfAborted();
        await setImmediate();
      }
    }
  }
  options.onProgress?.(gathering.rows);
  return { delimiter: ',', brokenRows: 0, useless: false };
}

/** Whether a column was chosen that cannot be read; each is a problem. */
function refuseColumns(
  file: SourceFile,
  all: readonly ParquetColumn[],
  { features, targets }: ChosenColumns,
  problems: Problems,
): boolean {
  const refused = [...features, ...targets].flatMap((cell) => {
    const column = all[cell.index]!;
    return column.kind === 'refused' ? [{ cell, holds: column.holds }] : [];
  });
  for (const { cell, holds } of refused) {
    const hint = 'write what matters of it as columns of numbers or texts, and leave it out with data.features';
    problems.add({ code: 'DATA.COLUMN', file, line: 1, cell, reason: `holds ${holds}`, hint });
  }
  return refused.length > 0;
}

/** Whole numbers of 64 bits become the nearest double. */
export function cellReader({ kind }: ParquetColumn, values: ArrayLike<unknown>): (row: number) => string | number {
  const read = kind === 'numbers' ? Number : String;
  return (row) => {
    const value = values[row];
    return value === null || value === undefined ? '' : read(value);
  };
}
