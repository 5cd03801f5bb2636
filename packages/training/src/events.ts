/** Events of a run: one JSON object a line in `events.ndjson`, on `--json` and on the watch stream. Past tense. */

import type { ClassFigures } from './class-report.js';
import type { ErrorEnvelope } from './errors.js';
import type { Grain } from './grain.js';
import type { InitFrom } from './init-from.js';

/** Figures of one split at one weight version; docs/models.md has the formulas. The training split has but the first. */
export interface Metrics {
  readonly loss: number;
  readonly accuracy?: number;
  readonly r2?: number;
  readonly macroPrecision?: number;
  readonly macroRecall?: number;
  readonly macroF1?: number;
  readonly rocAuc?: number;
  readonly logLoss?: number;
  readonly calibrationError?: number;
  readonly meanAbsoluteError?: number;
  readonly rootMeanSquaredError?: number;
}

/** The same of the kept weights, with each class. */
export interface FinalMetrics extends Metrics {
  readonly classes?: readonly ClassFigures[];
  /** Row: the class of the sample; column: what it was taken for. */
  readonly confusion?: readonly (readonly number[])[];
}

/** The weights a run keeps, where they are those of its best epoch. */
export interface Kept {
  /** Committed steps. */
  readonly step: number;
  readonly epoch: number;
  /** For example `validation.loss`. */
  readonly metric: string;
  readonly value: number;
}

export type StoppedBy = 'epochs' | 'steps' | 'tolerance' | 'patience' | 'user';

/**
 * Milliseconds of one step by phase, along the block that came in last; together the step's duration. Measured on the
 * coordinator's clock, but for computing and waiting, which the worker times itself: no two clocks are compared.
 */
export interface StepPhases {
  /** Weights leaving the coordinator until that block's worker had them, and the way of its first frame back. */
  readonly broadcastMs: number;
  /** The block's time in the kernel. */
  readonly computeMs: number;
  /** From the block's first frame to its last. */
  readonly uploadMs: number;
  /** The worker had the weights, but not yet the job. */
  readonly waitMs: number;
  /** Fold, mean, clip, update. */
  readonly averageMs: number;
  /** The rest: evaluation that the step waited for, ledger record, encoding of the new weights. */
  readonly commitMs: number;
}

/** What one worker computed of what was committed in a span of time. */
export interface WorkerMeasure {
  readonly worker: string;
  readonly samples: number;
  /** In its kernel. */
  readonly computeMs: number;
}

export type RunEventBody =
  | {
      readonly event: 'run_queued';
      readonly job: string;
    }
  | {
      readonly event: 'data_progressed';
      /** Of all files, so far. */
      readonly rows: number;
    }
  | {
      readonly event: 'data_prepared';
      /** Of all splits. */
      readonly samples: number;
      /** Of the shards on disk. */
      readonly bytes: number;
      readonly shards: number;
      readonly seconds: number;
      /** An earlier run had prepared the same. */
      readonly reused: boolean;
    }
  | {
      readonly event: 'run_started';
      readonly job: string;
      readonly seed: number;
      readonly workers: number;
      readonly threads: number;
      readonly kernel: string;
      /** Why this kernel, when it was left to the program (`--kernel auto`). */
      readonly kernelReason?: string;
      readonly redis: { readonly engine: string; readonly version: string };
      readonly parameters: number;
      readonly samples: { readonly train: number; readonly validation: number; readonly test: number };
      readonly batch: number;
      readonly microBatches: number;
      /** By label, as computed. Absent: all samples count alike. */
      readonly classWeights?: Readonly<Record<string, number>>;
      /** Present: a step is a round, `batch` its samples, `microBatches` the replicas. */
      readonly localSteps?: {
        readonly steps: number;
        readonly replicas: number;
        /** Samples of one replica in one local step. */
        readonly batch: number;
      };
      /** Steps at the most: `stop` rules may end the run earlier. */
      readonly steps: number;
      readonly epochs: number;
      readonly dashboard: string;
      readonly metrics: string;
      readonly runPath: string;
      /** Absent: the first weights were drawn from the seed. */
      readonly initFrom?: InitFrom;
      readonly warnings: readonly string[];
    }
  /** A coordinator took the run up again: after the death of the one before, or because somebody asked for it. */
  | {
      readonly event: 'run_resumed';
      /** Committed steps it goes on from. */
      readonly step: number;
      readonly fence: number;
      /** Absent: there was none yet, the run begins again with its first weights. */
      readonly checkpoint?: string;
      /** Steps after that which the ledger has already: they are made again, and must have the same weights. */
      readonly redoneSteps: number;
      /** Since the last event before this one. */
      readonly afterSeconds: number;
      /** Checkpoints that were passed over because they are not whole. */
      readonly damaged: readonly string[];
      readonly workers: number;
      readonly threads: number;
      readonly kernel: string;
      readonly dashboard: string;
      readonly metrics: string;
    }
  | { readonly event: 'worker_joined'; readonly worker: string; readonly pid: number; readonly threads: number }
  | {
      readonly event: 'worker_lost';
      readonly worker: string;
      readonly pid: number;
      readonly reason: string;
      readonly blocksReissued: number;
      readonly detectedInMs: number;
    }
  /** The coordinator's own event loop stood still: no worker is to blame for the silence. */
  | { readonly event: 'coordinator_stalled'; readonly seconds: number; readonly reason: string }
  | { readonly event: 'worker_left'; readonly worker: string; readonly pid: number; readonly reason: string }
  | {
      readonly event: 'step_committed';
      readonly step: number;
      readonly epoch: number;
      readonly loss: number;
      readonly learningRate: number;
      readonly gradientNorm: number;
      readonly samples: number;
      readonly durationMs: number;
      readonly workers: number;
      readonly phases: StepPhases;
    }
  /** Once a second at the most: who computed the samples committed since the last such event. */
  | {
      readonly event: 'workers_measured';
      readonly seconds: number;
      readonly workers: readonly WorkerMeasure[];
    }
  /** The step's mean gradient or loss is not finite: its update was left out (`train.onNonFinite: skip`). */
  | {
      readonly event: 'step_skipped';
      readonly step: number;
      readonly epoch: number;
      readonly samples: number;
      readonly learningRate: number;
      /** Where the first such number is, and the figures, in words. */
      readonly reason: string;
    }
  /** A step is not finite: the run went back, and goes on with half the learning rate (`train.onNonFinite: rollback`). */
  | {
      readonly event: 'run_rolled_back';
      /** The step that is not finite. */
      readonly step: number;
      /** Committed steps it goes on from; those after it are undone. */
      readonly toStep: number;
      /** Epochs that stay finished. */
      readonly toEpoch: number;
      /** How often by now. */
      readonly times: number;
      readonly reason: string;
    }
  /** A worker gets no work for a while, and longer each time. */
  | {
      readonly event: 'worker_quarantined';
      readonly worker: string;
      readonly reason: string;
      readonly seconds: number;
      /** What it contributed since a second worker last found the same as it: the newest, as `step.block`. */
      readonly unproven: readonly string[];
    }
  /** `train.verify` is set and only one worker is there: nothing can be compared. Told once for each time that begins. */
  | { readonly event: 'verification_idle'; readonly reason: string }
  /** What a worker had for too long was given to another too; the first result counts. */
  | {
      readonly event: 'block_copied';
      readonly item: string;
      readonly worker: string;
      readonly reason: string;
    }
  /** The norm of a mean gradient lies far outside of what it was lately. */
  | {
      readonly event: 'gradient_outlier';
      readonly step: number;
      readonly gradientNorm: number;
      /** Median of the last steps. */
      readonly usual: number;
      /** Distance from it, in median absolute deviations. */
      readonly deviations: number;
    }
  | {
      readonly event: 'epoch_finished';
      readonly epoch: number;
      readonly epochs: number;
      readonly step: number;
      readonly train: Metrics;
      readonly validation?: Metrics;
      /** It has the best figure so far of `train.metric`. */
      readonly best?: true;
      readonly samplesPerSecond: number;
    }
  | {
      readonly event: 'checkpoint_saved';
      readonly step: number;
      readonly path: string;
      readonly bytes: number;
      readonly durationMs: number;
    }
  | { readonly event: 'checkpoint_failed'; readonly code: string; readonly message: string }
  /** The copy of the run in object storage falls behind; told once, however often it is tried. */
  | { readonly event: 'copy_failed'; readonly code: string; readonly message: string; readonly hint?: string }
  /** It has what it lacked. */
  | { readonly event: 'copy_caught_up'; readonly afterSeconds: number }
  /** How steps are shared out from the next announcement on, and why. Milliseconds are of one step. */
  | {
      readonly event: 'grain_chosen';
      readonly grain: Grain;
      readonly stepsPerLease: number;
      readonly workers: number;
      /** All of a step on one worker; absent until the first steps were measured. */
      readonly computeMs?: number;
      /** What sharing a step out costs. */
      readonly exchangeMs: number;
      /** What it saves of computing; absent like computeMs. */
      readonly savedMs?: number;
      readonly reason: string;
    }
  | { readonly event: 'run_stopping'; readonly reason: string }
  | {
      readonly event: 'run_finished';
      readonly steps: number;
      readonly epochs: number;
      readonly seconds: number;
      readonly samplesPerSecond: number;
      readonly stoppedBy: StoppedBy;
      /** Of the last epoch, as it ran; absent when the run ended before its first step. */
      readonly train?: Metrics;
      readonly validation?: FinalMetrics;
      readonly test?: FinalMetrics;
      /** With `train.keep: best`: where the kept weights come from. */
      readonly kept?: Kept;
      readonly weightsSha256: string;
      readonly optimizerSha256: string;
      /** Of the ledger's last line, which vouches for all before it; absent in runs of before it was told. */
      readonly ledgerSha256?: string;
      /** Share of the training time that was not lost to workers that died: 0..1. */
      readonly goodput: number;
      readonly workersLost: number;
      readonly blocksReissued: number;
      readonly redis: { readonly engine: string; readonly version: string };
      readonly kernel: string;
      /** Why this kernel, when it was left to the program (`--kernel auto`). */
      readonly kernelReason?: string;
      readonly modelPath: string;
      readonly runPath: string;
    }
  | ({ readonly event: 'run_failed' } & Pick<
      ErrorEnvelope,
      'code' | 'message' | 'hint' | 'place' | 'facts' | 'problems'
    >);

export type RunEvent = RunEventBody & {
  /** ISO 8601. */
  readonly time: string;
  readonly run: string;
};

/** One line of `runs`. */
export interface RunSummary {
  readonly run: string;
  readonly job: string;
  readonly state: 'queued' | 'preparing' | 'training' | 'stopping' | 'finished' | 'failed';
  readonly step: number;
  readonly steps: number;
  readonly loss?: number;
  readonly submittedAt: string;
  readonly runPath: string;
  readonly weightsSha256?: string;
  /** Plain words on what the run is waiting for, if it is. */
  readonly waitingFor?: string;
}
