/** The files of a split, with that of the labels, as one table: by whichever reader their format has. */
import type { Hash } from 'node:crypto';
import { type ArrayFormat, type DataFormat, type DataSpec, formatOfName, isBareArray, RopeteamError } from '#training';
import type { BlockSpace } from './block-store.js';
import type { SourceFile } from './file-bytes.js';
import { gatherRows } from './gather-rows.js';
import type { ChosenColumns, Header } from './header.js';
import { readIdxHeader } from './idx-header.js';
import { type HeaderReader, loadArrays } from './load-arrays.js';
import { findAllKeys, loadJsonLines } from './load-json-lines.js';
import { loadParquet } from './load-parquet.js';
import { type LoadedTable, loadTable, type ReadFile, type ReadOptions, type UselessFile } from './load-table.js';
import { readNpyHeader } from './npy-header.js';
import type { Problems } from './problems.js';

/** Files of the job, and that of their labels if there is one. */
export interface NamedFiles {
  /** One at the least; their rows follow each other in this order. */
  readonly samples: readonly SourceFile[];
  readonly labels?: SourceFile;
}

export interface LoadOptions {
  readonly spec: DataSpec;
  readonly hash: Hash;
  /** Picks the columns, or adds to `problems` and returns undefined. */
  choose(header: Header, problems: Problems): ChosenColumns | undefined;
  readonly problems: Problems;
  /** Where cells go; absent: they stay in memory. */
  readonly space?: BlockSpace;
  readonly signal?: AbortSignal;
  /** Called now and then with the number of rows read so far. */
  readonly onProgress?: (rows: number) => void;
}

/**
 * The rows of all files; no table when `problems` has something that makes them useless.
 * @throws RopeteamError CONFIG.CONFLICT where a file of labels is missing, or named for files that have columns, and for
 * files that can't be read as one
 */
export async function loadFiles(
  { samples, labels }: NamedFiles,
  options: LoadOptions,
): Promise<LoadedTable | UselessFile> {
  const { spec } = options;
  const [first, ...others] = samples;
  if (first === undefined) throw new Error('a split needs a file');
  const formatOf = ({ name }: SourceFile): DataFormat => spec.format ?? formatOfName(name);
  const format = formatOf(first);
  const other = others.find((file) => formatOf(file) !== format);
  if (other !== undefined) throw mixedFormats(first, format, other, formatOf(other));
  if (!isBareArray(format)) {
    if (labels !== undefined) throw unwantedLabels(first);
    return loadTables(samples, format, options);
  }
  if (others.length > 0) throw severalArrays(first);
  if (labels === undefined) throw missingLabels(first);
  return loadArrays([first, headerReader(format)], [labels, headerReader(formatOf(labels))], options);
}

async function loadTables(
  files: readonly SourceFile[],
  format: Exclude<DataFormat, ArrayFormat>,
  options: LoadOptions,
): Promise<LoadedTable | UselessFile> {
  const gathering = gatherRows(options);
  const read: ReadOptions = { ...options, gathering };
  const readFile = await readerOf(files, format, read);
  let delimiter: string | undefined;
  let brokenRows = 0;
  for (const file of files) {
    const one = await readFile(file);
    delimiter ??= one.delimiter;
    brokenRows += one.brokenRows;
    if (one.useless) return { delimiter, table: undefined, brokenRows };
  }
  const gathered = gathering.finish();
  if (gathered === undefined) throw new Error('a file without a header must have left a problem');
  return { ...gathered, file: gathered.header.file, delimiter: delimiter ?? ',', brokenRows };
}

async function readerOf(
  files: readonly SourceFile[],
  format: Exclude<DataFormat, ArrayFormat>,
  options: ReadOptions,
): Promise<(file: SourceFile) => Promise<ReadFile>> {
  switch (format) {
    case 'jsonl': {
      const keys = await findAllKeys(files, options.signal === undefined ? {} : { signal: options.signal });
      return (file) => loadJsonLines(file, keys, options);
    }
    case 'parquet':
      return (file) => loadParquet(file, options);
    case 'tsv': {
      const { spec } = options;
      const tabbed = spec.delimiter === 'auto' ? { ...options, spec: { ...spec, delimiter: '\t' } } : options;
      return (file) => loadTable(file, tabbed);
    }
    case 'csv':
      return (file) => loadTable(file, options);
    default:
      return format satisfies never;
  }
}

/** A file of labels whose name says nothing is taken for NPY, which then says what it found instead. */
export function headerReader(format: DataFormat): HeaderReader {
  return format === 'idx' ? readIdxHeader : readNpyHeader;
}

function mixedFormats(first: SourceFile, format: DataFormat, other: SourceFile, of: DataFormat): RopeteamError {
  const message = `${first.name} is ${format} and ${other.name} is ${of}, by their names; files that are read as one have one format`;
  return new RopeteamError('CONFIG.CONFLICT', { key: 'data.source' }, message, {
    hint: 'name files of one format, or say with data.format what all of them are',
  });
}

function severalArrays({ name }: SourceFile): RopeteamError {
  const message = `${name} holds one array without names, and other files are named besides`;
  return new RopeteamError('CONFIG.CONFLICT', { key: 'data.source' }, message, {
    hint: 'join the arrays into one file (numpy.concatenate): only files with named columns are read as one',
  });
}

function missingLabels({ name }: SourceFile): RopeteamError {
  return new RopeteamError(
    'CONFIG.CONFLICT',
    { key: 'data.labels' },
    `${name} holds one array without names, and no file of labels is named`,
    {
      hint: 'name the file of the labels in data.labels (for a split: { source: FILE, labels: FILE })',
    },
  );
}

function unwantedLabels({ name }: SourceFile): RopeteamError {
  return new RopeteamError(
    'CONFIG.CONFLICT',
    { key: 'data.labels' },
    `${name} has named columns, and a file of labels is named besides`,
    {
      hint: 'remove it, and name the column of the labels in data.target',
    },
  );
}
