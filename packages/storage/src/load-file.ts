/** One file of a data set, with that of its labels, as a table: by whichever reader its format has. */
import { type DataFormat, formatOfName, isBareArray, RopeteamError } from '#training';
import type { SourceFile } from './file-bytes.js';
import { readIdxHeader } from './idx-header.js';
import { type HeaderReader, loadArrays } from './load-arrays.js';
import { loadJsonLines } from './load-json-lines.js';
import { loadParquet } from './load-parquet.js';
import { type LoadedTable, type LoadOptions, loadTable, type UselessFile } from './load-table.js';
import { readNpyHeader } from './npy-header.js';

/** A file of the job, and that of its labels if it has one. */
export interface NamedFiles {
  readonly samples: SourceFile;
  readonly labels?: SourceFile;
}

/** @throws RopeteamError CONFIG.CONFLICT where a file of labels is missing, or named for a file that has columns */
export async function loadFile(
  { samples, labels }: NamedFiles,
  options: LoadOptions,
): Promise<LoadedTable | UselessFile> {
  const { spec } = options;
  const format = spec.format ?? formatOfName(samples.name);
  if (!isBareArray(format)) {
    if (labels !== undefined) throw unwantedLabels(samples);
    if (format === 'jsonl') return loadJsonLines(samples, options);
    if (format === 'parquet') return loadParquet(samples, options);
    return loadTable(samples, format === 'tsv' && spec.delimiter === 'auto' ? tabbed(options) : options);
  }
  if (labels === undefined) throw missingLabels(samples);
  return loadArrays(
    [samples, headerReader(format)],
    [labels, headerReader(spec.format ?? formatOfName(labels.name))],
    options,
  );
}

/** A file of labels whose name says nothing is taken for NPY, which then says what it found instead. */
export function headerReader(format: DataFormat): HeaderReader {
  return format === 'idx' ? readIdxHeader : readNpyHeader;
}

function tabbed(options: LoadOptions): LoadOptions {
  return { ...options, spec: { ...options.spec, delimiter: '\t' } };
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
