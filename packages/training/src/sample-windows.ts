/** How far an epoch mixes its samples: over the whole training split, or within windows of a set that is large. */
import { type WindowCut, windowRows } from '#kernel';
import type { DatasetInfo } from './dataset.js';
import type { JobSpec } from './job-spec.js';

/** Encoded training rows up to which each worker holds them all, and every epoch mixes the whole split. */
const MOST_WHOLE_BYTES = 256 * 2 ** 20;
/** What a worker holds at the most unless it is told otherwise, and the machine is not smaller. */
export const DEFAULT_DATA_BYTES = 192 * 2 ** 20;
/** Of the window of a larger split. Each worker holds two: the one in use, and the next. */
const WINDOW_BYTES = 64 * 2 ** 20;
/** A window mixes rows from so many places of the split. */
const WINDOW_BLOCKS = 64;

/** How the training split is ordered and held. */
export interface SampleWindows {
  /** What the job shall say of it: decided by the job and the size of the data alone. */
  readonly shuffle: JobSpec['train']['shuffle'];
  /** Absent: whole. */
  readonly windows?: WindowCut;
}

/** Whether every epoch has an order of its own. */
export function isShuffled(shuffle: JobSpec['train']['shuffle']): boolean {
  return typeof shuffle === 'boolean' ? shuffle : shuffle.mix !== false;
}

/** The cut of a window of at least so many rows. */
export function cutOfWindow(rows: number): WindowCut {
  const blockRows = Math.max(1, Math.ceil(rows / WINDOW_BLOCKS));
  return { blockRows, blocks: Math.max(2, Math.ceil(rows / blockRows)) };
}

/** The windows that a job asks for by itself; none where one would hold the whole split. */
export function askedWindows(shuffle: JobSpec['train']['shuffle'], trainSamples: number): WindowCut | undefined {
  if (typeof shuffle === 'boolean') return undefined;
  const cut = cutOfWindow(shuffle.window);
  return windowRows(cut) >= trainSamples ? undefined : cut;
}

/** The windows of a run on this data. */
export function windowsOf(
  train: Pick<JobSpec['train'], 'shuffle' | 'batch' | 'localSteps'>,
  { samples, featureCount, targetCount }: Pick<DatasetInfo, 'samples' | 'featureCount' | 'targetCount'>,
): SampleWindows {
  // A round of local steps reaches further than a window: its workers hold all rows.
  if (train.localSteps !== undefined) return { shuffle: train.shuffle };
  return resolveWindows(train, samples.train, featureCount + targetCount);
}

/**
 * A step takes its samples from two windows at the most: a window that nobody asked for has room for two batches.
 * @param rowFloats numbers in one encoded sample, its targets included
 */
export function resolveWindows(
  { shuffle, batch }: Pick<JobSpec['train'], 'shuffle' | 'batch'>,
  trainSamples: number,
  rowFloats: number,
): SampleWindows {
  if (typeof shuffle === 'object') {
    const windows = askedWindows(shuffle, trainSamples);
    return windows === undefined ? { shuffle } : { shuffle, windows };
  }
  if (trainSamples * rowFloats * 4 <= MOST_WHOLE_BYTES) return { shuffle };
  const rows = Math.max(WINDOW_BLOCKS, 2 * batch, Math.floor(WINDOW_BYTES / (4 * rowFloats)));
  const windows = cutOfWindow(rows);
  if (windowRows(windows) >= trainSamples) return { shuffle };
  // In the order of the file the cut changes nothing but what is held at a time: it is not the job's to say.
  return { shuffle: shuffle ? { window: rows } : false, windows };
}
