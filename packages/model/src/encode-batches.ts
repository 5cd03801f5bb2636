/** A table's rows, encoded for a model batch by batch; a row it cannot take is an error with its line. */
import {
  readSampleRows,
  type SampleFile,
  type SourceFile,
  type TableHeader,
  type TableReader,
  type TableRow,
} from '#storage';
import { RopeteamError } from '#training';
import type { Model } from './open-model.js';
import type { CellProblem } from './row-encoder.js';

export interface EncodedBatch {
  readonly header: TableHeader;
  readonly rows: readonly TableRow[];
  /** [rows, F] */
  readonly features: Float32Array;
}

export interface BatchOptions {
  /** Columns the file must have besides the model's inputs. */
  readonly alsoNeeded?: readonly string[];
  onHeader?(header: TableHeader): void;
  /** Reading waits for it. */
  onBatch(batch: EncodedBatch): Promise<void> | void;
  readonly signal?: AbortSignal;
}

/** @throws RopeteamError DATA.* with file, line and column */
export async function encodeBatches(
  { encoder, forward }: Model,
  file: SampleFile,
  options: BatchOptions,
): Promise<void> {
  const { alsoNeeded = [], onHeader, onBatch, signal } = options;
  let header: TableHeader | undefined;
  let positions: readonly number[] = [];
  const waiting: TableRow[] = [];
  const take = async (rows: readonly TableRow[]): Promise<void> => {
    if (header === undefined) throw new Error('rows came before their header');
    const features = new Float32Array(rows.length * encoder.featureCount);
    for (const [index, row] of rows.entries()) {
      const cells = positions.map((position) => row.cells[position]);
      const problem = encoder.encode(cells, features, index * encoder.featureCount);
      if (problem !== undefined) throw cellError(file, row, problem);
    }
    await onBatch({ header, rows, features });
  };
  const reader: TableReader = {
    ...(signal === undefined ? {} : { signal }),
    onHeader(found) {
      header = found;
      positions = columnPositions(file, found, encoder.names);
      columnPositions(file, found, alsoNeeded);
      onHeader?.(found);
    },
    async onRows(rows) {
      // Batches are cut by the file alone, never by how it was read: sums of floats have the same bits each time.
      waiting.push(...rows);
      while (waiting.length >= forward.mostSamples) await take(waiting.splice(0, forward.mostSamples));
    },
  };
  await readSampleRows(file, reader, alsoNeeded);
  if (waiting.length > 0) await take(waiting);
  if (header === undefined)
    throw new RopeteamError('DATA.FILE', { file: file.name }, `${file.name} has no header line`);
}

/** Where the named columns are. @throws RopeteamError DATA.COLUMN naming every one that is missing */
export function columnPositions(file: SourceFile, header: TableHeader, names: readonly string[]): readonly number[] {
  const { names: found, line } = header;
  const missing = names.filter((name) => !found.includes(name));
  if (missing.length > 0) {
    const shown = missing.slice(0, 8).join(', ') + (missing.length > 8 ? `, … (${missing.length})` : '');
    const column = missing[0] ?? '';
    throw new RopeteamError('DATA.COLUMN', { file: file.name, column }, `${file.name}: no column is called ${shown}`, {
      place: { file: file.name, line },
      hint: `the model was trained on them; the columns here are ${found.slice(0, 10).join(', ')}`,
    });
  }
  return names.map((name) => {
    const first = found.indexOf(name);
    if (first === found.lastIndexOf(name)) return first;
    const message = `${file.name}: two columns are called ${name}`;
    throw new RopeteamError('DATA.COLUMN', { file: file.name, column: name }, message, {
      place: { file: file.name, line },
      hint: 'rename one of them',
    });
  });
}

export function cellError(
  { name: file }: SourceFile,
  { line }: TableRow,
  { column, reason, hint }: CellProblem,
): RopeteamError {
  return new RopeteamError('DATA.CELL', { file, line, column }, `${file}:${line}, column ${column}: ${reason}`, {
    place: { file, line },
    hint,
  });
}
