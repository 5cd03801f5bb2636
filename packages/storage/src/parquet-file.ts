/** A Parquet file as hyparquet reads it: footer, columns, row groups, with limits on what is unpacked at once. */
import type { FileHandle } from 'node:fs/promises';
import { type AsyncBuffer, type Compressors, parquetMetadataAsync, parquetScan, type SchemaElement } from 'hyparquet';
import { compressors, decompressZstd } from 'hyparquet-compressors';
import { RopeteamError } from '#training';
import { arrayError } from './array-header.js';
import { MAX_COLUMNS } from './column-kinds.js';
import { openRegular, type SourceFile } from './file-bytes.js';

/** A page is 1 MB as most programs write it. */
const MAX_PAGE_BYTES = 1 << 28;
/** Of the columns that are read, of one row group. */
const MAX_GROUP_BYTES = 1 << 30;
/** As many as any program puts into a row group by default. */
const MAX_GROUP_ROWS = 1 << 26;

/** What a column's values become, or why they cannot be features or labels. */
export type ParquetColumn =
  | { readonly name: string; readonly kind: 'numbers' | 'texts' | 'booleans' }
  | { readonly name: string; readonly kind: 'refused'; readonly holds: string };

export interface ParquetGroup {
  readonly rows: number;
  /** A column's values, as many as there are rows; null or undefined where there is none. */
  read(column: string): Promise<ArrayLike<unknown>>;
}

export interface ParquetFile {
  readonly columns: readonly ParquetColumn[];
  /** The row groups in turn. @throws RopeteamError DATA.LIMIT for one that is too large, with those columns */
  groups(columns: readonly string[]): AsyncGenerator<ParquetGroup>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** @throws RopeteamError DATA.FILE, DATA.FORMAT, DATA.LIMIT for what is no such file */
export async function openParquet(file: SourceFile): Promise<ParquetFile> {
  const handle = await openRegular(file);
  try {
    await refuseGzip(handle, file);
    const buffer = await asyncBufferOf(handle);
    const metadata = await told(file, () => parquetMetadataAsync(buffer, { geoparquet: false }));
    const columns = await told(file, async () => topLevelColumns(metadata.schema));
    if (columns.length > MAX_COLUMNS) throw tooLarge(file, `has ${columns.length} columns`, MAX_COLUMNS);
    return {
      columns,
      async *groups(names) {
        const scan = await told(file, () =>
          parquetScan({ file: buffer, metadata, columns: [...names], compressors: boundedCompressors(file) }),
        );
        let rowStart = 0;
        for (const [index, { num_rows, columns: chunks }] of metadata.row_groups.entries()) {
          const rows = Number(num_rows);
          const read = chunks.filter(({ meta_data }) => names.includes(meta_data?.path_in_schema[0] ?? ''));
          const bytes = read.reduce((sum, { meta_data }) => sum + Number(meta_data?.total_uncompressed_size ?? 0), 0);
          const group = `has ${rows} rows in row group ${index}`;
          if (rows > MAX_GROUP_ROWS) throw tooLarge(file, group, MAX_GROUP_ROWS);
          if (bytes > MAX_GROUP_BYTES) throw tooLarge(file, `${group}, ${bytes} bytes`, MAX_GROUP_BYTES);
          const rowEnd = rowStart + rows;
          const range = { rowStart, rowEnd };
          yield {
            rows,
            async read(column) {
              const values = await told(file, () => scan.readColumn({ column, ...range }));
              if (values.length === rows) return values;
              const what = `says row group ${index} has ${rows} rows, but column ${column} has ${values.length} there`;
              throw arrayError(file, what, 'copy or download the file again');
            },
          };
          rowStart = rowEnd;
        }
      },
      [Symbol.asyncDispose]: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** The schema is a tree written depth first; children of the root are the columns. */
function topLevelColumns([root, ...elements]: readonly SchemaElement[]): readonly ParquetColumn[] {
  const columns: ParquetColumn[] = [];
  let at = 0;
  const skip = (): void => {
    const children = elements[at++]?.num_children ?? 0;
    for (let child = 0; child < children && at < elements.length; child++) skip();
  };
  for (let child = 0; child < (root?.num_children ?? 0) && at < elements.length; child++) {
    columns.push(describeColumn(elements[at]!));
    skip();
  }
  return columns;
}

function describeColumn(element: SchemaElement): ParquetColumn {
  const { name, type } = element;
  const refused = (holds: string): ParquetColumn => ({ name, kind: 'refused', holds });
  if ((element.num_children ?? 0) > 0) return refused('lists or other nested values');
  if (element.repetition_type === 'REPEATED') return refused('lists');
  const means = element.logical_type?.type ?? element.converted_type ?? '';
  if (/^(DATE|TIME|TIMESTAMP|INTERVAL)/.test(means) || type === 'INT96') return refused('dates or times');
  if (means === 'DECIMAL') {
    // Only this older mark makes the library apply the scale.
    return element.converted_type === 'DECIMAL' ? { name, kind: 'numbers' } : refused('decimals without their scale');
  }
  switch (type) {
    case 'BOOLEAN':
      return { name, kind: 'booleans' };
    case 'INT32':
    case 'INT64':
    case 'FLOAT':
    case 'DOUBLE':
      return { name, kind: 'numbers' };
    case 'BYTE_ARRAY':
      return /^(|UTF8|STRING|ENUM)$/.test(means) ? { name, kind: 'texts' } : refused(`values of the type ${means}`);
    case 'FIXED_LEN_BYTE_ARRAY':
      if (means === 'FLOAT16') return { name, kind: 'numbers' };
      return means === 'UUID'
        ? { name, kind: 'texts' }
        : refused(means === '' ? 'bytes' : `values of the type ${means}`);
    default:
      return refused('values of no known type');
  }
}

async function asyncBufferOf(handle: FileHandle): Promise<AsyncBuffer> {
  const { size } = await handle.stat();
  return {
    byteLength: size,
    async slice(start, end = size) {
      const bytes = new Uint8Array(Math.max(0, Math.min(end, size) - start));
      let filled = 0;
      while (filled < bytes.length) {
        const { bytesRead } = await handle.read(bytes, filled, bytes.length - filled, start + filled);
        if (bytesRead === 0) throw new Error('the file became shorter while it was read');
        filled += bytesRead;
      }
      return bytes.buffer;
    },
  };
}

/** What a page says of its size decides what is allocated for it: not more than is plausible. */
function boundedCompressors(file: SourceFile): Compressors {
  const all: Compressors = {
    ...compressors,
    // Into memory of that size, whatever the frame says of itself.
    ZSTD: (input, length) => decompressZstd(input, new Uint8Array(length)),
  };
  return Object.fromEntries(
    Object.entries(all).map(([codec, decompress]) => [
      codec,
      (input: Uint8Array, length: number) => {
        if (length > MAX_PAGE_BYTES) throw tooLarge(file, `has a page of ${length} bytes`, MAX_PAGE_BYTES);
        return decompress(input, length);
      },
    ]),
  );
}

async function refuseGzip(handle: FileHandle, file: SourceFile): Promise<void> {
  const magic = Buffer.alloc(2);
  await handle.read(magic, 0, 2, 0);
  if (magic[0] === 0x1f && magic[1] === 0x8b) {
    throw arrayError(file, 'is gzipped, and Parquet is read from its end', `unpack it with: gunzip ${file.name}`);
  }
}

/** What the library throws is told as a damaged file; it has no errors of its own kind. */
async function told<T>(file: SourceFile, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    if (cause instanceof RopeteamError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    const message = `${file.name} cannot be read as Parquet: ${reason}`;
    throw new RopeteamError('DATA.FORMAT', { file: file.name }, message, {
      cause,
      place: { file: file.name },
      hint: 'write it again (pandas: to_parquet), or set data.format if it is of another kind',
    });
  }
}

function tooLarge(file: SourceFile, what: string, limit: number): RopeteamError {
  return new RopeteamError(
    'DATA.LIMIT',
    { file: file.name, limit },
    `${file.name} ${what}, at most ${limit} are read`,
    {
      place: { file: file.name },
      hint: 'write it with smaller row groups (pyarrow: row_group_size), or name fewer columns in data.features',
    },
  );
}
