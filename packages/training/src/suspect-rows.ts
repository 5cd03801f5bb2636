/** Which rows are behind an item that failed too often. */
import { microBatchRange, sampleAtOf } from '#kernel';
import { describeFiles, isFilePattern, listOfFiles } from './data-files.js';
import type { SplitName } from './dataset.js';
import type { ErrorEnvelope } from './errors.js';
import type { DataSpec } from './job-spec.js';
import type { RunShape } from './run-shape.js';
import type { EvaluationItem, GradientItem, WorkerItem } from './work-items.js';

/** What decides the rows of an item. */
export interface RowGround {
  readonly shape: Pick<RunShape, 'microBatches' | 'samples' | 'windows'>;
  readonly seed: number;
  /** Absent: true. */
  readonly shuffle?: boolean;
  readonly data: Pick<DataSpec, 'source' | 'split' | 'missing'>;
  /** Rows of the files that became no sample. */
  readonly skippedRows: number;
}

/** Names at the most: a terminal shows so many at a glance. */
const MOST_NAMED = 32;

/**
 * Sample numbers of an item in its split, from 0 and ascending: those that its micro-batches draw from the permutation of
 * their epoch, or those it measures.
 */
export function samplesOf(
  item: GradientItem | EvaluationItem,
  { shape, seed, shuffle = true }: RowGround,
): readonly number[] {
  if (item.kind === 'evaluation') return Array.from({ length: item.end - item.begin }, (_, at) => item.begin + at);
  const { firstPosition, endPosition, block } = item;
  const rangeOf = (microBatch: number) => microBatchRange(firstPosition, endPosition, shape.microBatches, microBatch);
  const begin = rangeOf(block.begin).begin;
  const { windows } = shape;
  const sampleAt = sampleAtOf(seed, item.epoch, shape.samples.train, { shuffle, windows });
  const samples = Array.from({ length: rangeOf(block.end - 1).end - begin }, (_, at) => sampleAt(begin + at));
  return samples.sort((left, right) => left - right);
}

/**
 * The error of an item that failed too often, with the file and the numbers of its rows in message and facts.
 *
 * Samples keep the order of their file, so a sample's number is its row's where nothing was drawn out of the file and no
 * row was left out; else the samples are named as what they are. A lease has too many rows to name: its error stays as it is.
 */
export function nameRows(error: ErrorEnvelope, item: WorkerItem, ground: RowGround): ErrorEnvelope {
  if (item.kind === 'lease') return error;
  const { data } = ground;
  const split: SplitName = item.kind === 'gradient' ? 'train' : item.split;
  const own = split === 'train' ? undefined : data.split[split];
  const files = own?.kind === 'file' ? own.path : data.source;
  const file = describeFiles(files);
  const isDrawn = Object.values(data.split).some((part) => part.kind === 'fraction' && part.fraction > 0);
  const isOne = listOfFiles(files).every((name) => !isFilePattern(name)) && listOfFiles(files).length === 1;
  const exact = isOne && (own?.kind === 'file' || !isDrawn) && ground.skippedRows === 0 && data.missing !== 'drop';
  const samples = samplesOf(item, ground);
  const named = samples.slice(0, MOST_NAMED).map((sample) => sample + 1);
  const rows = `${named.join(', ')}${samples.length > MOST_NAMED ? ` and ${samples.length - MOST_NAMED} more` : ''}`;
  const where = exact
    ? `rows ${rows} of ${file}`
    : `samples ${rows} of the ${split} split of ${file}, counted in its order`;
  return { ...error, message: `${error.message}; it computes ${where}`, facts: { ...error.facts, file, rows } };
}
