/** What coordinator and worker say to each other on a worker's one long-lived gRPC stream. */

import type { ModelSpec } from '#kernel';
import type { DatasetInfo, SplitName } from './dataset.js';
import type { Fence, RunId, Step, WorkerId } from './identities.js';
import type { Block } from './work-items.js';

/** Raised on every change of the stream that an older peer would misread. */
export const PROTOCOL_VERSION = 2;

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
}

/** What a worker needs to know to take a run's jobs. */
export interface RunPlan {
  readonly run: RunId;
  readonly fence: Fence;
  readonly kernelId: string;
  readonly model: ModelSpec;
  readonly parameterCount: number;
  readonly seed: number;
  readonly batch: number;
  readonly microBatches: number;
  readonly dataset: DatasetInfo;
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
}

/** A piece of a gradient on its way up. `payload` is float32 little-endian, not aligned. */
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
  | { readonly kind: 'run-ready'; readonly run: RunId; readonly fence: Fence }
  /** A job was taken, with the token of its lock: what the coordinator needs to hand it to somebody else. */
  | { readonly kind: 'job-taken'; readonly itemId: string; readonly token: string }
  /** The last frame of a gradient brings its receipt. */
  | { readonly kind: 'gradient-frame'; readonly frame: GradientFrame; readonly proof?: GradientProof }
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
  | { readonly kind: 'weights-frame'; readonly frame: WeightsFrame };
