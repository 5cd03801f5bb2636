/** What the services need from the outside, owned here and implemented by the adapters at the edge. */
import type { Caller } from './callers.js';
import type { SplitName } from './dataset.js';
import type { RunEvent, RunSummary } from './events.js';
import type { Fence, RunId, Step, WorkerId } from './identities.js';
import type { CoordinatorMessage, GradientProof, LeaseProof, WorkerHello, WorkerMessage } from './messages.js';
import type { Traced } from './trace-context.js';
import type { AverageItem, WorkerItem, WorkItem } from './work-items.js';

// ---- the wire, coordinator's side -----------------------------------------------------------------------------

/** A weight version, framed and encoded once; the same buffers go to every worker. */
export interface EncodedWeights {
  readonly run: RunId;
  readonly fence: Fence;
  readonly version: Step;
  readonly frames: readonly Uint8Array[];
}

/** One connected worker, seen from the coordinator. */
export interface WorkerSession extends Traced {
  readonly hello: WorkerHello;
  readonly caller: Caller;
  /** What it was given to be let in with. Never logged. */
  readonly joinToken?: string;
  /** The welcome is the server's own to send, before anything else. */
  send(message: Exclude<CoordinatorMessage, { kind: 'weights-frame' | 'state-frame' | 'welcome' }>): void;
  sendWeights(weights: EncodedWeights): void;
  /** Ends the stream with a reason the worker logs. */
  close(reason: string): void;
}

/** Callbacks of the coordinator's side of a session. Never called again after `closed`. */
export interface SessionHandler {
  message(message: WorkerMessage): void;
  /** The stream ended, broke or fell silent. `detectedInMs`: silence before it was noticed, 0 for a closed stream. */
  closed(reason: string, detectedInMs: number): void;
}

/** A job somebody wants to have run. */
export interface Submission {
  readonly jobText: string;
  /** Name of the job file, for error messages. */
  readonly jobFile: string;
  readonly runId?: string;
  /** Uploaded files by the path the job names them with; absent: the coordinator reads the paths itself. */
  readonly files: readonly UploadedFile[];
  /** Weights to start from, instead of those drawn from the seed. */
  readonly initFrom?: {
    /** A safetensors file. */
    readonly weights: UploadedFile;
    /** The `model.json` that lay beside it. */
    readonly model?: UploadedFile;
  };
}

export interface UploadedFile {
  /** The path as the job file writes it. */
  readonly path: string;
  /** Where the coordinator put the bytes. */
  readonly storedAt: string;
  readonly bytes: number;
}

/** What the coordinator's gRPC server asks of the coordinator. A rejected promise becomes a gRPC status with the error in it. */
export interface CoordinatorHandlers {
  /** Called with a worker's hello; throws to refuse it. */
  workerJoined(session: WorkerSession): SessionHandler;
  /** The bytes of one shard of a run. */
  readShard(run: RunId, split: SplitName, index: number): Promise<Uint8Array>;
  submit(submission: Submission): Promise<RunSummary>;
  listRuns(): Promise<readonly RunSummary[]>;
  /** Events from number `from` (0: all), then live ones, until the run's last event. */
  watch(run: RunId | undefined, from: number, signal: AbortSignal): AsyncIterable<RunEvent>;
  stop(run: RunId, reason: string): Promise<RunSummary>;
  /** Takes up a run that was stopped, or failed for a reason outside of it. */
  resume(run: RunId): Promise<RunSummary>;
}

// ---- the wire, worker's side ------------------------------------------------------------------------------------

/** The worker's end of its one stream. */
export interface CoordinatorSession extends AsyncDisposable {
  send(message: Exclude<WorkerMessage, { kind: 'gradient-frame' | 'lease-frame' }>): void;
  /** Sends a gradient in checksummed frames, its proof with the last; resolves when all are handed to the transport. */
  sendGradient(proof: GradientProof, gradient: Float32Array | Uint8Array): Promise<void>;
  /** Sends what a lease left behind, its proof with the last frame; resolves when all is handed to the transport. */
  sendLease(proof: LeaseProof, state: Float32Array): Promise<void>;
  fetchShard(run: RunId, split: SplitName, index: number, signal: AbortSignal): Promise<Uint8Array>;
}

export interface CoordinatorSessionHandler {
  message(message: CoordinatorMessage): void;
  closed(reason: string): void;
}

// ---- the queues ---------------------------------------------------------------------------------------------------

/** The coordinator's side of both queues. */
export interface WorkQueues extends AsyncDisposable {
  /**
   * Adds items. Of a run's waiting items those of earlier versions are taken first, whenever they were announced; those
   * of one version in the order of announcing. An id that is there already is left alone.
   */
  announce(items: readonly WorkItem[]): Promise<void>;
  /** Moves a taken job back to the front of waiting; false when its lock is no longer held by this token. */
  handBack(itemId: string, token: string): Promise<boolean>;
  /**
   * The same for every job of this run and fence that the queue gave to a worker of this name, whether or not the worker
   * lived to say so. @returns their ids
   */
  handBackOf(worker: WorkerId, run: RunId, fence: Fence): Promise<readonly string[]>;
  /** Removes every waiting item of this run and fence; taken ones end by themselves. */
  withdraw(run: RunId, fence: Fence): Promise<void>;
  /** Items of the averages queue, one at a time, in order. */
  consumeAverages(process: (item: AverageItem, signal: AbortSignal) => Promise<unknown>): void;
  /** A number larger than any this run was given before. */
  nextFence(run: RunId): Promise<Fence>;
  /**
   * From now on items of a lower fence are refused, and those that wait are gone. The fence must be durable elsewhere by
   * then. Rejects with COORD.FENCED when a higher one was claimed; so does `announce` from then on.
   */
  claimFence(run: RunId, fence: Fence): Promise<void>;
  /** Jobs by state. */
  depth(): Promise<{ readonly waiting: number; readonly active: number }>;
  /** The queues and their Redis as they are now, for metrics. */
  observe(): Promise<QueueObservation>;
  readonly engine: { readonly engine: string; readonly version: string };
}

/** What the queues and their Redis say of themselves; a field is undefined where this Redis does not say. */
export interface QueueObservation {
  readonly waiting: number;
  readonly active: number;
  readonly redis: {
    /** Of one ping, there and back. */
    readonly latencyMs: number;
    readonly usedBytes: number | undefined;
    /** 0: it has no limit. */
    readonly limitBytes: number | undefined;
    /** Since it started. */
    readonly evictedKeys: number | undefined;
    readonly clients: number | undefined;
    /** What it does when it is full: `noeviction`, or it throws away queued work. */
    readonly evictionPolicy: string | undefined;
  };
  /** Metrics of the queue library, in Prometheus' text format. */
  readonly text: string;
}

/** A worker's side of the `gradients` queue: one item at a time. */
export interface WorkSource extends AsyncDisposable {
  /** Starts taking items. `process` returns what the job's return value shall be. */
  start(process: (taken: TakenItem) => Promise<unknown>): void;
  /** Takes no further item; resolves when the one in hand, if any, is done. */
  drain(): Promise<void>;
}

export interface TakenItem {
  readonly item: WorkerItem;
  readonly itemId: string;
  /** Token of the job's lock. */
  readonly token: string;
  /** How many times the job was started, from 1. */
  readonly attempt: number;
  /** Aborted when the lock was lost or the source closes. */
  readonly signal: AbortSignal;
}
