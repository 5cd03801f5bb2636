/** What coordinator and worker say to each other on a worker's one long-lived gRPC stream. */

import type { EvaluationTally, LossSums, ModelSpec, OptimizerSpec, ScheduleSpec, WindowCut, WireFormat } from '#kernel';
import type { DatasetInfo, SplitName } from './dataset.js';
import type { Fence, RunId, Step, WorkerId } from './identities.js';
import type { LocalSettings } from './local-steps.js';
import type { Block } from './work-items.js';

/** Raised on every change of the stream that an older peer would misread. */
export const PROTOCOL_VERSION = 7;

/** Payload bytes of one frame of weights, gradient or shard. Measured best from 4 MB up (architecture, the wire). */
export const FRAME_BYTES = 1 << 20;

/** First message of a worker. */
export interface WorkerHello {
  readonly worker: WorkerId;
  readonly pid: number;
  readonly protocolVersion: number;
  readonly host: string;
  readonly threads: number;
  /** Ids of the kernels this worker can compute with, for example `wasm-simd128/1`; a run's plan says which of them. */
  readonly kernelIds: readonly string[];
  /** `host:port` of its metrics; absent: it serves none. */
  readonly metricsAddress?: string;
}

/** What a worker needs to know to take a run's jobs. */
export interface RunPlan {
  readonly run: RunId;
  readonly fence: Fence;
  readonly kernelId: string;
  readonly model: ModelSpec;
  readonly parameterCount: number;
  readonly seed: number;
  /** Whether every epoch has an order of its own. */
  readonly shuffle: boolean;
  /** Absent: every worker holds the whole training split. */
  readonly windows?: WindowCut;
  /** Epochs at the most. */
  readonly epochs: number;
  readonly batch: number;
  readonly microBatches: number;
  readonly wire: WireFormat;
  readonly dataset: DatasetInfo;
  /** Where the shards lie on the coordinator's machine: workers that can read them there need not fetch them. */
  readonly dataPath?: string;
  /** Present: leases of whole steps may come, and with them what an update needs. */
  readonly leases?: LeaseSettings;
  /** Present: a step is a round of local steps, and a micro-batch of it a replica. */
  readonly local?: LocalSettings;
}

/** What a worker needs to average and update by itself. */
export interface LeaseSettings {
  readonly optimizer: OptimizerSpec;
  readonly schedule: ScheduleSpec;
  /** Steps of the run at the most: schedules end there. */
  readonly steps: number;
  readonly clipNorm?: number;
  readonly l2?: number;
  /** Steps from which on the rate is half of what it was, once for each: the run went back to them. Absent: none. */
  readonly rollbacks?: readonly number[];
}

/** Proof of one computed block. Small: the gradient itself travels in frames before it. */
export interface GradientReceipt {
  readonly run: RunId;
  readonly fence: Fence;
  readonly step: Step;
  readonly block: Block;
  readonly worker: WorkerId;
  /** How many times this block's job had been started, from 1. */
  readonly attempt: number;
  readonly sampleCount: number;
  readonly lossSum: number;
  readonly correctCount: number;
  readonly squaredErrorSum: number;
  readonly targetSum: number;
  readonly targetSquareSum: number;
  /** XXH64 of the gradient's bytes, 16 hexadecimal digits. */
  readonly gradientHash: string;
  readonly computeMs: number;
  /** Milliseconds the worker had the step's weights before it had the job: what the queue cost. */
  readonly waitedMs: number;
}

/** What one step of a lease left behind: all that its ledger record needs besides the job. */
export interface LeaseStep extends LossSums {
  /** Euclidean norm of the mean gradient before clipping. */
  readonly gradientNorm: number;
  /** XXH64 of the step's summed gradient, 16 hexadecimal digits. */
  readonly gradientHash: string;
  /** XXH64 of the weights after the step. */
  readonly weightsHash: string;
  /** False: mean or loss holds NaN or an infinity. Nothing was updated, and no step comes after it. */
  readonly finite: boolean;
}

/** Proof of a lease: one record a step. Weights and optimizer state travel in frames before it. */
export interface LeaseReceipt {
  readonly run: RunId;
  readonly fence: Fence;
  /** The lease was of steps `[step, end)`. */
  readonly step: Step;
  readonly end: number;
  readonly worker: WorkerId;
  readonly attempt: number;
  /** XXH64 of the weights it began with. */
  readonly startHash: string;
  /** In order from `step`; fewer than the lease had only when the last is not finite. */
  readonly steps: readonly LeaseStep[];
  readonly computeMs: number;
  readonly waitedMs: number;
}

export interface EvaluationReceipt {
  readonly run: RunId;
  readonly fence: Fence;
  readonly version: Step;
  readonly split: SplitName;
  readonly part: number;
  readonly worker: WorkerId;
  readonly sampleCount: number;
  readonly lossSum: number;
  readonly correctCount: number;
  readonly squaredErrorSum: number;
  readonly targetSum: number;
  readonly targetSquareSum: number;
  readonly tally: EvaluationTally;
}

/** A piece of a gradient on its way up. `payload` is in the plan's wire format, little-endian, not aligned. */
export interface GradientFrame {
  readonly run: RunId;
  readonly fence: Fence;
  readonly step: Step;
  readonly block: Block;
  /** Byte offset of the payload in the gradient. */
  readonly offset: number;
  readonly totalBytes: number;
  readonly payload: Uint8Array;
}

/** What ends a gradient: the receipt, and the job it answers. */
export interface GradientProof {
  readonly itemId: string;
  readonly receipt: GradientReceipt;
}

/** A piece of what a lease left behind, on its way up: weights, then the optimizer's slots, in one tensor. */
export interface LeaseFrame {
  readonly run: RunId;
  readonly fence: Fence;
  readonly step: Step;
  readonly end: number;
  readonly offset: number;
  readonly totalBytes: number;
  readonly payload: Uint8Array;
}

export interface LeaseProof {
  readonly itemId: string;
  readonly receipt: LeaseReceipt;
}

/** A piece of a weight version on its way down. */
export interface WeightsFrame {
  readonly run: RunId;
  readonly fence: Fence;
  readonly version: Step;
  readonly offset: number;
  readonly totalBytes: number;
  readonly payload: Uint8Array;
}

/** Worker to coordinator, after the hello. */
export type WorkerMessage =
  | { readonly kind: 'heartbeat'; readonly residentBytes: number }
  /** The engine is ready for the run: its jobs may come. */
  | { readonly kind: 'run-ready'; readonly run: RunId; readonly fence: Fence; readonly takesLeases: boolean }
  /** A job was taken, with the token of its lock: what the coordinator needs to hand it to somebody else. */
  | {
      readonly kind: 'job-taken';
      readonly itemId: string;
      readonly token: string;
      /** The version whose weights and optimizer state the worker holds, if it made it in a lease of its own. */
      readonly holds?: Step;
    }
  /** The last frame of a gradient brings its receipt. */
  | { readonly kind: 'gradient-frame'; readonly frame: GradientFrame; readonly proof?: GradientProof }
  /** The last frame of what a lease left behind brings its receipt. */
  | { readonly kind: 'lease-frame'; readonly frame: LeaseFrame; readonly proof?: LeaseProof }
  | { readonly kind: 'evaluation-receipt'; readonly itemId: string; readonly receipt: EvaluationReceipt }
  /** The kernel or the data failed under this job; it was not computed. */
  | { readonly kind: 'job-failed'; readonly itemId: string; readonly code: string; readonly message: string }
  /** The worker takes no more jobs and will close the stream once it holds none. */
  | { readonly kind: 'draining'; readonly reason: string };

/** Coordinator to worker. Weights frames go through `WorkerSession.sendWeights`, encoded once for all workers. */
export type CoordinatorMessage =
  | { readonly kind: 'welcome'; readonly coordinator: string; readonly heartbeatMs: number; readonly silenceMs: number }
  | { readonly kind: 'run-started'; readonly plan: RunPlan }
  | { readonly kind: 'run-ended'; readonly run: RunId; readonly fence: Fence }
  /** Stop waiting for this item's weights: it was given back to the queue, or is not needed any more. */
  | { readonly kind: 'release-item'; readonly itemId: string }
  | { readonly kind: 'weights-frame'; readonly frame: WeightsFrame }
  /** Weights and optimizer state in one tensor, for the worker that took the lease of this version. */
  | { readonly kind: 'state-frame'; readonly frame: WeightsFrame };
