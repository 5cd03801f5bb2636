/** From the files a job names to encoded, split, checksummed shards. */
import { mkdir } from 'node:fs/promises';
import type { DataSpec, DatasetInfo, JobSpec, Preprocessing, ShardInfo, SplitName } from '#training';
import { describeFiles, RopeteamError, resolveWindows, scaleTarget } from '#training';
import { openBlockSpace } from './block-store.js';
import { WHITESPACE } from './csv-records.js';
import { type DatasetReading, type ReadingOptions, readDataset, type Samples } from './dataset-reading.js';
import { farTargets } from './far-targets.js';
import { countFeatures, encodeSample, fitPreprocessing, fitTargets } from './fit-preprocessing.js';
import { openPreparedDataset, type PreparedDataset, writeDatasetInfo, writeShards } from './prepared-dataset.js';
import { type ClassIndexes, classIndexes, splitSamples } from './split-samples.js';

export interface PrepareOptions {
  /** Without patterns: `expandSources` replaces them. */
  readonly spec: DataSpec;
  /** Of the split: a whole number in [0, 2⁵³). */
  readonly seed: number;
  /** How training samples will be ordered: decides their shards. Absent: as for a set that is held whole. */
  readonly order?: Pick<JobSpec['train'], 'shuffle' | 'batch'>;
  /** A path as the job writes it -> a file that can be read. May refuse by throwing. */
  resolve(path: string): string | Promise<string>;
  /** Where the shard files go; made when missing. */
  readonly directory: string;
  /** Size of a shard at the most (one sample at the least). Default 4 MiB. */
  readonly shardBytes?: number;
  /** Cells held in memory at the most while files are read; beyond that they go to disk. Default 64 MiB. */
  readonly readingBytes?: number;
  readonly signal?: AbortSignal;
  /** Rows read so far, over all files. */
  onProgress?(rows: number): void;
}

const DEFAULT_SHARD_BYTES = 4 << 20;
const SPLITS = ['train', 'validation', 'test'] as const;

type SamplesBySplit = Readonly<Record<SplitName, Samples>>;

/**
 * Reads, checks, encodes, splits and scales a data set and writes its shards. The same files, spec and seed give the same
 * bytes. Cells, 8 bytes each, are in memory meanwhile, or on disk if they are many. Samples of a split keep the order of their file.
 *
 * What a column holds and which task it is: see `column-kinds.ts`, from all rows of `data.source`. Categories, scaling and
 * means come from its training samples alone, and no class is without one. Targets of a regression are scaled if the job says so.
 * @throws RopeteamError CONFIG or DATA; several problems come as one error with `problems`, at most 20
 */
export async function prepareDataset(options: PrepareOptions): Promise<PreparedDataset> {
  const { spec, directory, signal } = options;
  checkSpec(spec);
  await mkdir(directory, { recursive: true });
  using space = openBlockSpace(directory, options.readingBytes);
  const reading = await readDataset({ ...readingOptions(options), space });
  const { features, target } = reading;
  const samples = splitRows(reading, spec, options.seed);
  checkCounts(samples, spec);
  const classCounts = countClasses(reading, samples);

  const { table, columns } = { table: reading.source.loaded.table, columns: reading.source.loaded.columns };
  const fitted = await fitPreprocessing(table, features, samples.train.rows, spec);
  const { warnings } = fitted;
  const scaled =
    target.kind === 'regression'
      ? await fitTargets(table, features.length, samples.train.rows, spec.scaleTarget)
      : undefined;
  const preprocessing = { ...fitted.preprocessing, ...(scaled === undefined ? {} : { targets: scaled }) };
  checkCategories(preprocessing, samples.train);
  const featureCount = countFeatures(preprocessing);
  const targetCount = columns.targets.length;
  const shards: ShardInfo[] = [];
  for (const split of SPLITS) {
    const { loaded, rows } = samples[split];
    const { order } = options;
    const rowFloats = featureCount + targetCount;
    const windows =
      split === 'train' && order !== undefined ? resolveWindows(order, rows.length, rowFloats).windows : undefined;
    const shardRows =
      windows?.blockRows ?? Math.max(1, Math.floor((options.shardBytes ?? DEFAULT_SHARD_BYTES) / (rowFloats * 4)));
    const written = await writeShards(directory, shardRows, signal, {
      split,
      samples: rows.length,
      featureCount,
      targetCount,
      encode(sample, into, targets, at) {
        const row = rows[sample]!;
        encodeSample(fitted, loaded.table, row, into, at * featureCount);
        for (let t = 0; t < targetCount; t++) {
          const value = loaded.table.cell(row, features.length + t);
          targets[at * targetCount + t] = scaled === undefined ? value : scaleTarget(scaled[t]!, value);
        }
      },
    });
    shards.push(...written);
  }

  const info: DatasetInfo = {
    task: target.kind,
    featureCount,
    targetCount,
    targetNames: columns.targets.map(({ name }) => name),
    classes: target.kind === 'classification' ? target.classes : [],
    ...(target.kind === 'classification' ? { classCounts } : {}),
    samples: {
      train: samples.train.rows.length,
      validation: samples.validation.rows.length,
      test: samples.test.rows.length,
    },
    shards,
    preprocessing,
    dataSha256: reading.sha256,
    skippedRows: reading.skippedRows,
    warnings: [
      ...warnings,
      ...(scaled === undefined ? await farTargets(reading, samples.train.rows) : []),
      ...reading.warnings,
    ],
  };
  await writeDatasetInfo(directory, info);
  return openPreparedDataset(directory);
}

function readingOptions(options: PrepareOptions): Omit<ReadingOptions, 'space'> {
  const { spec, signal } = options;
  return {
    spec,
    resolve: (path) => options.resolve(path),
    ...(signal === undefined ? {} : { signal }),
    onProgress: (rows) => options.onProgress?.(rows),
  };
}

function splitRows(reading: DatasetReading, spec: DataSpec, seed: number): SamplesBySplit {
  const { source, target, features } = reading;
  const { loaded, rows } = source;
  const share = (split: DataSpec['split']['test']): number => (split.kind === 'fraction' ? split.fraction : 0);
  const parts = splitSamples({
    samples: rows.length,
    validation: share(spec.split.validation),
    test: share(spec.split.test),
    seed,
    ...(target.kind === 'classification' ? { classes: classesOf(target.classes.length) } : {}),
  });
  function classesOf(count: number): ClassIndexes {
    const classes = classIndexes(rows.length, count);
    for (let sample = 0; sample < rows.length; sample++)
      classes[sample] = loaded.table.cell(rows[sample]!, features.length);
    return classes;
  }
  const fromSource = (part: Uint32Array): Samples => {
    for (let at = 0; at < part.length; at++) part[at] = rows[part[at]!]!; // in place: there may be very many
    return { loaded, rows: part };
  };
  return {
    train: fromSource(parts.train),
    validation: reading.validation ?? fromSource(parts.validation),
    test: reading.test ?? fromSource(parts.test),
  };
}

function checkSpec(spec: DataSpec): void {
  if (
    !['auto', WHITESPACE].includes(spec.delimiter) &&
    (spec.delimiter.length !== 1 || /["\r\n]/.test(spec.delimiter))
  ) {
    const message = `data.delimiter is ${JSON.stringify(spec.delimiter)}, not one character other than a quote or a line end`;
    throw new RopeteamError('CONFIG.RANGE', { key: 'data.delimiter' }, message, {
      hint: 'leave it out to have it guessed',
    });
  }
  const { validation, test } = spec.split;
  const shares =
    (validation.kind === 'fraction' ? validation.fraction : 0) + (test.kind === 'fraction' ? test.fraction : 0);
  if (!(shares < 1)) {
    throw new RopeteamError(
      'CONFIG.RANGE',
      { key: 'data.split' },
      `data.split takes ${shares} of the data and leaves none for training`,
      {
        hint: 'choose fractions that add up to less than 1',
      },
    );
  }
}

function checkCounts(samples: SamplesBySplit, spec: DataSpec): void {
  const tooFew = (split: SplitName, count: number, wanted: string): RopeteamError => {
    const own = split === 'train' ? undefined : spec.split[split];
    const file = describeFiles(own?.kind === 'file' ? own.path : spec.source);
    return new RopeteamError(
      'DATA.TOO_FEW',
      { samples: count },
      `${file} leaves ${count} samples for ${split}, ${wanted}`,
      {
        place: { file },
        hint: 'add rows, or make data.split smaller',
      },
    );
  };
  const { train } = samples;
  if (train.rows.length < 2) throw tooFew('train', train.rows.length, 'at least 2 are needed');
  for (const split of ['validation', 'test'] as const) {
    const source = spec.split[split];
    const wanted = source.kind === 'file' || source.fraction > 0;
    if (wanted && samples[split].rows.length === 0) throw tooFew(split, 0, 'at least 1 is needed');
  }
}

/**
 * Training samples of each class. One without any is refused, for the model could not learn it: the split leaves one only
 * where it keeps back nearly all rows.
 */
function countClasses({ target, features, source }: DatasetReading, { train }: SamplesBySplit): readonly number[] {
  if (target.kind !== 'classification') return [];
  const { loaded } = source;
  const counts = target.classes.map(() => 0);
  for (const row of train.rows) counts[train.loaded.table.cell(row, features.length)]!++;
  const absent = counts.indexOf(0);
  if (absent === -1) return counts;
  const lines = Array.from(source.rows)
    .filter((row) => loaded.table.cell(row, features.length) === absent)
    .map((row) => loaded.table.line(row));
  const [line = 1] = lines;
  const file = loaded.file.name;
  const rows = lines.slice(0, 5).join(', ') + (lines.length > 5 ? ', …' : '');
  const message = `${file}: label ${JSON.stringify(target.classes[absent])} occurs in no training sample, only in rows kept back (${lines.length === 1 ? 'line' : 'lines'} ${rows})`;
  throw new RopeteamError('DATA.LABEL', { file, line }, message, {
    place: { file, line },
    hint: 'add rows of this class, make data.split smaller, or leave these rows out',
  });
}

/** A column of words whose every training sample is empty would be no input at all. */
function checkCategories({ columns }: Preprocessing, { loaded }: Samples): void {
  const empty = columns.find((column) => column.kind === 'oneHot' && column.categories.length === 0);
  if (empty === undefined) return;
  const file = loaded.file.name;
  const message = `${file}: column ${empty.name} is empty in every training sample`;
  throw new RopeteamError('DATA.COLUMN', { file, column: empty.name }, message, {
    place: { file, line: loaded.header.line },
    hint: 'leave the column out with data.features, or make data.split smaller',
  });
}
