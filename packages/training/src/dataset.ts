/** What is known of a prepared data set: its columns, its splits, its shards. Never the rows. */
import type { Scale, Task } from './job-spec.js';
import type { TargetScaling } from './target-scaling.js';

export type SplitName = 'train' | 'validation' | 'test';

/** Samples `[begin, end)` of one split, stored and fetched as one checksummed file. */
export interface ShardInfo {
  readonly split: SplitName;
  readonly index: number;
  readonly begin: number;
  readonly end: number;
  readonly bytes: number;
  readonly sha256: string;
}

/** How one input column becomes numbers. `mean`/`deviation` and the like were fitted on the training split only. */
export type ColumnEncoding =
  | {
      readonly kind: 'number';
      readonly name: string;
      readonly shift: number;
      readonly factor: number;
      readonly missing?: number;
    }
  | {
      readonly kind: 'oneHot';
      readonly name: string;
      /** Words of the training samples. */
      readonly categories: readonly string[];
      /** Words that stood only in rows kept back from training: known, and no category, so all zeros. */
      readonly unseen?: readonly string[];
    }
  /** Any word, as the input `hashWord(word, seed) mod buckets`; an empty cell is none. Nothing is fitted. */
  | { readonly kind: 'hashed'; readonly name: string; readonly buckets: number; readonly seed: number };

/** (value - shift) * factor is what the model sees; a one-hot column takes one input per category. */
export interface Preprocessing {
  readonly scale: Scale;
  readonly columns: readonly ColumnEncoding[];
  /** By target of a regression whose targets are scaled too; absent: they are as in the data. */
  readonly targets?: readonly TargetScaling[];
}

export interface DatasetInfo {
  readonly task: Task;
  /** F: numbers in one encoded sample. */
  readonly featureCount: number;
  /** T: numbers in one stored target (1 for classification). */
  readonly targetCount: number;
  readonly targetNames: readonly string[];
  /** Labels by class index, as they stand in the data; empty for regression. */
  readonly classes: readonly string[];
  /** Training samples of each class: known where data are prepared, and not sent to workers. */
  readonly classCounts?: readonly number[];
  readonly samples: Readonly<Record<SplitName, number>>;
  readonly shards: readonly ShardInfo[];
  readonly preprocessing: Preprocessing;
  /** SHA-256 of the source files' bytes, in the order train source, validation, test. */
  readonly dataSha256: string;
  readonly skippedRows: number;
  /** Things a user should know and that stop nothing, for example a constant column. */
  readonly warnings: readonly string[];
}
