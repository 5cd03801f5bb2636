import type { EvaluationTally, LossSums, ModelSpec, OptimizerSpec, WindowCut, WireFormat } from '#kernel';

/**
 * `js` is the readable twin and `wasm` the fast one with the same bits, on every machine. `wasm-fma` (a fused
 * multiply-add) and `blas` (OpenBLAS) are faster and have bits of their own; a run is computed by one kernel throughout.
 */
export const KERNEL_NAMES = ['js', 'wasm', 'wasm-fma', 'blas'] as const;

export type KernelName = (typeof KERNEL_NAMES)[number];

/** Threads share a block by giving each micro-batches of its own, or by cutting up the work of one after the other. */
export type Sharing = 'micro-batches' | 'tiles';

/** Names of the parts a data set is split into. */
export type SplitName = 'train' | 'validation' | 'test';

/** Rows `[begin, end)` of one split, ready for the kernel. */
export interface ShardRows {
  readonly split: SplitName;
  readonly begin: number;
  readonly end: number;
  /** [end - begin, F], row after row. */
  readonly features: Float32Array;
  /** [end - begin, T]: T = 1 class index, 0/1 label, or the K regression targets. */
  readonly targets: Float32Array;
}

export interface WorkerEngineOptions {
  readonly kernel: KernelName;
  /** The one file to take OpenBLAS from; absent: the usual names and places. */
  readonly blasLibrary?: string;
  /** Kernel threads, at least 1. Never changes the result. */
  readonly threads: number;
  /** Most of them that are busy at a time; absent: as many as the machine lets run side by side. */
  readonly cores?: number;
  /** How threads share a block; absent: whichever is faster. For tests and benchmarks: it never changes the result. */
  readonly sharing?: Sharing;
  readonly model: ModelSpec;
  /** [K] in which errors of numbers are counted, where targets are scaled; absent: as they are. */
  readonly targetUnits?: readonly number[];
  /** Keys the permutation of samples. */
  readonly seed: number;
  /** Whether every epoch has a permutation of its own; absent: it has. Else position is sample index. */
  readonly shuffle?: boolean;
  /** Present: of the training split two windows are held at a time, see `WindowedRows`; absent: all of it. */
  readonly windows?: WindowCut;
  /** N: samples in the training split. */
  readonly trainSamples: number;
  /** Samples in one global batch. */
  readonly batch: number;
  /** M: the cut of a global batch, a power of two. */
  readonly microBatches: number;
  /** What gradients and weights are rounded to; absent: float32, which is not to round at all. */
  readonly wire?: WireFormat;
  /** Present: room for leases, and how their steps update. */
  readonly update?: Omit<UpdateSettings, 'model'> & {
    /** Largest allowed norm of the mean gradient; absent: no clipping. */
    readonly clipNorm?: number;
  };
  /**
   * Present: a gradient is what replicas leave that train by themselves, `microBatches` of them, from a round of `batch`
   * samples. Not together with `update`.
   */
  readonly local?: LocalOptions;
}

/** How each replica trains by itself: see `local-performer`. */
export interface LocalOptions extends Omit<UpdateSettings, 'model'> {
  /** Local steps of a round at the most. */
  readonly steps: number;
  /** Samples one replica takes a step. */
  readonly batch: number;
  /** The cut of that, a power of two. */
  readonly microBatches: number;
  readonly clipNorm?: number;
}

/** How a step's mean gradient becomes new weights. */
export interface UpdateSettings {
  readonly model: ModelSpec;
  readonly optimizer: OptimizerSpec;
  /** L2 of weight matrices, added to their mean gradient after clipping. Absent: 0. Not for adamw and lamb. */
  readonly l2?: number;
}

/** A block of one step: micro-batches `[begin, end)` of M, an aligned power of two. */
export interface GradientRequest {
  /** Updates before this one: part of what int8 is rounded with. */
  readonly step: number;
  readonly epoch: number;
  /** The step's samples: positions `[firstPosition, endPosition)` of the epoch's permutation. */
  readonly firstPosition: number;
  readonly endPosition: number;
  readonly begin: number;
  readonly end: number;
  /** With local steps: one for each of the round's. */
  readonly learningRates?: readonly number[];
}

export interface GradientResult extends LossSums {
  /** The sum over the block's samples, folded along the fixed tree, as it travels. Valid until the next call. */
  readonly gradient: Uint8Array<SharedArrayBuffer>;
  /** XXH64 over the gradient's bytes as 16 hexadecimal digits. */
  readonly gradientHash: string;
  /** Milliseconds from waking the threads to the last one's end. */
  readonly computeMs: number;
}

/** One step of a lease. */
export interface LeaseStepRequest {
  /** Positions `[firstPosition, endPosition)` of the epoch's permutation. */
  readonly firstPosition: number;
  readonly endPosition: number;
  readonly learningRate: number;
}

/** Whole steps, one after the other, from the current weights and optimizer state. */
export interface LeaseRequest {
  readonly epoch: number;
  /** Updates before the first of these. */
  readonly firstStep: number;
  /** At most `MOST_LEASE_STEPS`. */
  readonly steps: readonly LeaseStepRequest[];
}

export interface LeaseStepResult extends LossSums {
  readonly gradientNorm: number;
  /** XXH64 of the summed gradient, 16 hexadecimal digits. */
  readonly gradientHash: string;
  readonly weightsHash: string;
  /** False: mean or loss holds NaN or an infinity; nothing was updated, and this is the last step that was begun. */
  readonly finite: boolean;
}

export interface LeaseResult {
  /** Of the weights it began with. */
  readonly startHash: string;
  readonly steps: readonly LeaseStepResult[];
  readonly computeMs: number;
}

/** What a worker's engine does besides when it was opened with room for leases. */
export interface LeaseEngine {
  /** [slots of the optimizer × P], zero at the start. Written by leases, and by whoever receives it. */
  readonly optimizerState: Float32Array<SharedArrayBuffer>;
  /** [P]: the weights a lease begins with, when they and the optimizer state are received. */
  readonly receivedWeights: Float32Array<SharedArrayBuffer>;
  /** What was received is current. */
  adoptReceived(): void;
  /**
   * Makes these steps in the kernel threads, updating the current weights in place. After a failure weights and optimizer
   * state are of no version.
   */
  run(request: LeaseRequest): Promise<LeaseResult>;
  /** [(1 + slots) × P]: a copy of weights and optimizer state, valid until the next. */
  snapshot(): Promise<Float32Array<SharedArrayBuffer>>;
}

/**
 * The training rows of a run in windows: the kernel's memory has two places, and window w of all there ever are, counted
 * through the epochs, lies in place w mod 2. So the next window is filled while one is in use.
 */
export interface WindowedRows {
  /** The windows that positions `[begin, end)` of an epoch lie in, by their number: one, or two that follow each other. */
  of(epoch: number, begin: number, end: number): readonly number[];
  /** Which stored blocks a window has, in the order they lie. */
  blocksOf(window: number): readonly number[];
  /** Empties a window's place. No call that reads it may be running. */
  begin(window: number): void;
  /** @param at which of the window's blocks. @throws RangeError when its arrays do not fit */
  put(window: number, at: number, block: Pick<ShardRows, 'features' | 'targets'>): void;
  /** All blocks were put. */
  finish(window: number): void;
  /** Whether it may be computed on. */
  holds(window: number): boolean;
}

/** Samples `[begin, end)` of a split, in stored order. */
export interface EvaluationRequest {
  readonly split: SplitName;
  readonly begin: number;
  readonly end: number;
}

export interface EvaluationResult extends LossSums {
  readonly tally: EvaluationTally;
}

/** One worker's kernel: shared memory, kernel threads, rows. Calls do not overlap: await one before the next. */
export interface WorkerEngine extends AsyncDisposable {
  /** For example `wasm-simd128/1`. */
  readonly kernelId: string;
  readonly threads: number;
  readonly parameterCount: number;
  /**
   * The next weight version is assembled here, as it travels, while the current one is still in use: [P] float32, or the
   * bits of P bfloat16, padded to a multiple of 4 bytes.
   */
  readonly stagedWeights: Float32Array<SharedArrayBuffer> | Uint16Array<SharedArrayBuffer>;
  /** Makes the staged weights the current ones (an exchange of two buffers; `stagedWeights` names the other one now). */
  adoptStagedWeights(): void;
  /**
   * Training rows are copied into the kernel's memory where they all find room there; the shard itself is not needed
   * afterwards. Other shards are shared by all threads: kept if they lie in shared memory, else copied there.
   * @throws RangeError when it overlaps a different shard, its arrays do not fit, or the split has no such rows; for
   * training rows of a run in windows
   */
  addShard(shard: ShardRows): void;
  /** Lets go of a shard of a split other than the training split. */
  dropShard(shard: Pick<ShardRows, 'split' | 'begin' | 'end'>): void;
  /** Present when it was opened with `windows`. */
  readonly windows: WindowedRows | undefined;
  computeGradient(request: GradientRequest): Promise<GradientResult>;
  /** Present when it was opened with `update`. */
  readonly lease: LeaseEngine | undefined;
  evaluate(request: EvaluationRequest): Promise<EvaluationResult>;
}

export interface AveragerEngineOptions extends UpdateSettings {
  readonly kernel: KernelName;
  /** As in `WorkerEngineOptions`. */
  readonly blasLibrary?: string;
  readonly threads: number;
  readonly microBatches: number;
  /** As in `WorkerEngineOptions`. */
  readonly wire?: WireFormat;
  /** Keys what int8 is rounded with; absent: 0. */
  readonly seed?: number;
  /** Whether there is to be room for what leases leave behind. */
  readonly leases?: boolean;
}

export interface AdoptRequest {
  readonly place: number;
  /** XXH64 the received weights must have, 16 hexadecimal digits. */
  readonly weightsHash: string;
}

export interface AverageRequest {
  /** Optimizer updates so far, from 0; Adam's bias correction uses step + 1. */
  readonly step: number;
  /** The blocks that cover `[0, M)` exactly once, and the inbox slot each one's gradient lies in. */
  readonly blocks: readonly { readonly slot: number; readonly begin: number; readonly end: number }[];
  /** The divisor: samples in the step's global batch, or replicas. */
  readonly sampleCount: number;
  readonly learningRate: number;
  /** Largest allowed norm of the mean gradient; absent: no clipping. */
  readonly clipNorm?: number;
  /** The step is not to count, for its loss is not finite: the mean is taken and nothing is updated. */
  readonly leaveOut?: boolean;
}

export interface AverageResult {
  /** Euclidean norm of the mean gradient before clipping. */
  readonly gradientNorm: number;
  /** False when the mean gradient holds NaN or an infinity: then nothing was updated. */
  readonly finite: boolean;
  /** XXH64 of the new weights, 16 hexadecimal digits. */
  readonly weightsHash: string;
  readonly computeMs: number;
}

/** The coordinator's kernel: folds blocks, takes the mean, clips, updates. Calls do not overlap. */
export interface AveragerEngine extends AsyncDisposable {
  readonly kernelId: string;
  readonly parameterCount: number;
  /** [P], the current version. Written only by `average`, by `adopt`, and by whoever then calls `roundWeights`. */
  readonly weights: Float32Array<SharedArrayBuffer>;
  /** [slots of the optimizer × P], zero at the start; empty for plain SGD. */
  readonly optimizerState: Float32Array<SharedArrayBuffer>;
  /** The current version as it travels: the bytes of `weights`, or of P bfloat16, padded to a multiple of 4. */
  readonly wireWeights: Uint8Array<SharedArrayBuffer>;
  /** Makes `wireWeights` of weights that were written from outside. */
  roundWeights(): Promise<void>;
  /** Where a block's gradient is received, as it travels. Grows memory on first use of a slot. */
  inbox(slot: number): Uint8Array<SharedArrayBuffer>;
  /** Leases whose results it has room for. */
  readonly leasePlaces: number;
  /** [(1 + slots) × P]: where weights and optimizer state of a lease are received; `place` below `leasePlaces`. */
  leasePlace(place: number): Float32Array<SharedArrayBuffer>;
  /** Copies what lies in a place over weights and optimizer state, if its weights have this hash. @returns whether */
  adopt(request: AdoptRequest): Promise<boolean>;
  /** Uses the blocks' slots up: what they hold afterwards is of no meaning. */
  average(request: AverageRequest): Promise<AverageResult>;
}
