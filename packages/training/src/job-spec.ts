/** A checked, complete job: what job.yaml says with every default filled in. Plain data, frozen by whoever reads it. */
import type { InitSpec, LayerSpec, LossSpec, OptimizerSpec, ScheduleSpec, WireFormat } from '#kernel';
import type { FileNames } from './data-files.js';
import type { DataFormat } from './data-format.js';
import type { NonFinitePolicy } from './run-state.js';
import type { WatchedMetric } from './stop-rules.js';

export type Task = 'classification' | 'regression';

/** Numbers to mean 0 and deviation 1, to 0..1, or as they are. */
export type Scale = 'standard' | 'minmax' | 'none';

/** A fraction of `source` in [0, 1), or files of its own, with that of the labels where it is a bare array. */
export type SplitSource =
  | { readonly kind: 'fraction'; readonly fraction: number }
  | { readonly kind: 'file'; readonly path: FileNames; readonly labels?: string };

/** What the job says of one column. */
export interface ColumnSpec {
  /** Words, whatever they look like. */
  readonly kind: 'category';
  /** Present: words are hashed into so many inputs. */
  readonly buckets?: number;
}

export interface DataSpec {
  /** As written in the job file, relative to it; patterns included until they are expanded. */
  readonly source: FileNames;
  /** File of the targets, where `source` is one array without names (npy, idx). */
  readonly labels?: string;
  /** Of all files; absent: told from each file's name. */
  readonly format?: DataFormat;
  /** Field separator; `auto` looks at the header line. */
  readonly delimiter: 'auto' | string;
  readonly target: readonly string[];
  /** Names and globs, or all columns that are not targets. */
  readonly features: 'all' | readonly string[];
  /** Absent: inferred from the target column. */
  readonly task?: Task;
  /** Of the features that are numbers. */
  readonly scale: Scale;
  /** Of the targets of a regression. */
  readonly scaleTarget: Scale;
  readonly split: { readonly validation: SplitSource; readonly test: SplitSource };
  readonly badRows: 'error' | 'skip';
  readonly maxBadRows: number;
  readonly missing: 'error' | 'mean' | 'zero' | 'drop';
  readonly maxCategories: number;
  /** By name of the column; all others are told from their cells. */
  readonly columns?: Readonly<Record<string, ColumnSpec>>;
}

export interface JobSpec {
  readonly apiVersion: 'ropeteam/v1';
  readonly name: string;
  readonly data: DataSpec;
  readonly model: {
    /** Hidden layers; the output layer follows from the target and the loss. */
    readonly layers: readonly LayerSpec[];
    /** Absent: follows from the task. */
    readonly loss?: LossSpec;
    readonly init: InitSpec;
  };
  readonly train: {
    /** Exactly one of the two ends the run at the latest. */
    readonly limit:
      | { readonly kind: 'epochs'; readonly epochs: number }
      | { readonly kind: 'steps'; readonly steps: number };
    /** Global batch, samples per step. */
    readonly batch: number;
    readonly microBatches: 'auto' | number;
    /** What gradients and weights are rounded to on their way: part of the result. */
    readonly wire: WireFormat;
    /** Present: replicas train by themselves for so many steps before their weights are averaged. */
    readonly localSteps?: {
      readonly steps: number;
      /** A power of two; part of the result, and never the number of workers. */
      readonly replicas: number;
      /** Nesterov's momentum on the mean of the replicas' differences. */
      readonly outer: { readonly learningRate: number; readonly momentum: number };
    };
    readonly optimizer: OptimizerSpec;
    readonly schedule: ScheduleSpec;
    /** What a sample's loss is multiplied by: rows / (classes · rows of its class), or by label, 1 for others. Absent: 1. */
    readonly classWeights?: 'balanced' | Readonly<Record<string, number>>;
    readonly clipNorm?: number;
    /** Added to the mean gradient of weight matrices, times the weight, after clipping. Not for adamw and lamb. */
    readonly l2?: number;
    readonly stop: {
      /** Training loss has converged: it fell by less than this for `patience` epochs in a row. */
      readonly tolerance?: number;
      /** Epochs without a new best validation loss (training loss where there is no validation split). */
      readonly patience?: number;
    };
    /** What `stop.patience` and the best epoch go by: of the validation split, or of training where there is none. */
    readonly metric: WatchedMetric;
    /** Whose weights become the model: those of the last step, or of the epoch with the best `metric`. */
    readonly keep: 'last' | 'best';
    /** What becomes of a step whose mean gradient or loss is NaN or an infinity. */
    readonly onNonFinite: NonFinitePolicy;
    /** Share of blocks and leases that a second worker computes too, 0..1. */
    readonly verify: number;
    /**
     * Whether every epoch has an order of its own; else samples come in that of the training split. `window`: samples that are
     * mixed at a time, or with `mix: false` held at a time and taken as they stand.
     */
    readonly shuffle: boolean | { readonly window: number; readonly mix?: false | undefined };
    readonly seed: number;
  };
  readonly checkpoint: {
    readonly everyMs: number;
    readonly keep: number;
    /** Besides: one after every so many steps, never deleted. */
    readonly everySteps?: number;
  };
}
