/** What the coordinator tells the page besides a run's events. Plain JSON; both sides are compiled against it. */
import type { RunEvent, RunSummary } from '../../../packages/training/src/events.js';

/**
 * One point of the curves, numbers with five digits: step, loss, learning rate, gradient norm, milliseconds, samples a second,
 * then the phases in the order of `StepPhases`. From the milliseconds on they are means over the steps the point stands for.
 */
export type StepRow = readonly number[];

/** Everything from step `from` on is to be replaced by these rows. */
export interface StepRows {
  readonly from: number;
  readonly rows: readonly StepRow[];
}

/** What became of a piece of work. `let go`: its worker was told to stop waiting with it, and had computed nothing. */
export type WorkOutcome = 'held' | 'counted' | 'duplicate' | 'stale' | 'lost' | 'failed' | 'let go';

/** One piece of work in one worker's hands. Milliseconds are relative to `LiveRun.at`: negative is the past. */
export interface WorkBar {
  /** Empty: the coordinator, which averages. */
  readonly worker: string;
  readonly kind: 'gradient' | 'lease' | 'evaluation' | 'average';
  readonly step: number;
  /** In words: `step 412, block 2-4`. */
  readonly what: string;
  /** How often this work was in somebody's hands before: 0 is the first time. */
  readonly earlier: number;
  readonly outcome: WorkOutcome;
  readonly takenMs: number;
  /** When the kernel began, and when the first bytes of the result came; absent while that is not known. */
  readonly computeFromMs?: number;
  readonly uploadFromMs?: number;
  /** Absent: it is still held. */
  readonly endMs?: number;
}

/** A part of what the current step needs and does not have. */
export interface NeededItem {
  /** `block 2-4`, `steps 5 to 8`, `validation, part 1`. */
  readonly what: string;
  /** Who holds it; absent: it waits in the queue. */
  readonly worker?: string;
  readonly heldMs?: number;
  readonly failures: number;
}

export interface LiveWorker {
  readonly worker: string;
  readonly pid: number;
  readonly host: string;
  readonly threads: number;
  readonly state: 'ready' | 'connected' | 'leaving';
  readonly holds: readonly { readonly what: string; readonly heldMs: number }[];
  /** In its kernel, of the last results. */
  readonly samplesPerSecond?: number;
  /** Pieces of work that failed in its hands. */
  readonly failures: number;
  readonly counted: number;
  readonly lastSeenMs: number;
}

/** The part of the epoch in progress that is committed: positions of its permutation, in steps of equal size. */
export interface EpochCoverage {
  readonly epoch: number;
  readonly epochs: number;
  readonly firstStep: number;
  readonly steps: number;
  readonly committedSteps: number;
  /** Steps behind those that are announced. */
  readonly announcedSteps: number;
  readonly samples: number;
  readonly committedSamples: number;
  /** Steps `[from, end)` of the epoch that somebody had to compute again, or of which a second copy came and was left out. */
  readonly disturbed: readonly { readonly from: number; readonly end: number; readonly kind: 'again' | 'copy' }[];
}

/** A run in training at one moment. */
export interface LiveRun {
  /** The coordinator's clock, milliseconds since 1970. */
  readonly at: number;
  /** Committed steps. */
  readonly version: number;
  readonly phase: 'training' | 'averaging' | 'measuring' | 'ended';
  /** An epoch's validation must be known before the next step may commit. */
  readonly judging: boolean;
  /** Since the last commit, and the median of the times between the last ones. */
  readonly sinceCommitMs: number;
  readonly usualMs?: number;
  readonly needed: readonly NeededItem[];
  readonly coverage: EpochCoverage;
  readonly counts: Readonly<Record<'accepted' | 'duplicate' | 'conflicting' | 'stale' | 'reissued', number>>;
  readonly workers: readonly LiveWorker[];
  readonly bars: readonly WorkBar[];
  readonly goodput: number;
}

/** One message of `/runs/ID/page`. Its id is the number of the last event in it. */
export interface PageFrame {
  /** All events but `step_committed`, each with the steps that were committed by then; of very many epochs some. */
  readonly events: readonly { readonly step: number; readonly event: RunEvent }[];
  readonly steps?: StepRows;
  /** Absent while the run is not in training. */
  readonly live?: LiveRun;
  readonly summary: RunSummary;
}

/** The coordinator's process and what it leans on; a field is absent where it is not known. */
export interface SystemFigures {
  readonly redis: {
    readonly answers: boolean;
    readonly latencyMs?: number;
    readonly usedBytes?: number;
    readonly limitBytes?: number;
    readonly evictionPolicy?: string;
    readonly clients?: number;
  };
  readonly queue?: { readonly waiting: number; readonly active: number };
  /** Of the last two seconds: the longest delay of 99 % of its timers, and the share of time in which it worked. */
  readonly eventLoop: { readonly p99Ms: number; readonly busy: number };
  readonly memoryBytes: number;
  readonly disk?: { readonly freeBytes: number; readonly totalBytes: number };
}

/** What `/api/status` answers. */
export interface Status {
  readonly coordinator: string;
  readonly kernel: string;
  readonly redis: string;
  readonly system?: SystemFigures;
  readonly runs: readonly RunSummary[];
}

/** A file of a run that can be had at `/runs/ID/files/NAME`. */
export interface Artifact {
  readonly name: string;
  readonly kind: 'checkpoint' | 'model' | 'record';
  readonly bytes: number;
  /** ISO 8601. */
  readonly modifiedAt: string;
  /** Of a checkpoint: committed steps in it. */
  readonly step?: number;
  /** Of a checkpoint, as it says itself: of the file with these digits as zeros. */
  readonly sha256?: string;
}
