import {
  compileModel,
  gradientBytes,
  KERNEL_RESERVED_BYTES,
  type ModelSpec,
  ORDER_KEYS,
  optimizerSlots,
  type WindowCut,
  weightBytes,
  windowRows,
} from '#kernel';
import type { AveragerEngineOptions, WorkerEngineOptions } from './engine.js';
import { ModelTooLargeError } from './engine-errors.js';
import { checkMicroBatches, checkNatural, checkThreads } from './plan-checks.js';

/**
 * Where everything lies in the kernel's linear memory. All of it is planned before anything is allocated.
 *
 * Legend: P parameters of the model, F features of a sample, T stored targets of a sample, M micro-batches of a batch.
 */

/** A cache line, so that threads writing neighbouring buffers do not disturb each other. */
const ALIGNMENT = 64;

/** What 32-bit WebAssembly can address, less a little: the address of a tensor's end has to fit 32 bits too. */
const MAX_BYTES = 2 ** 32 - ALIGNMENT;

/** Samples in one chunk of an evaluation. Part of the numbers: chunk sums are added in order of chunks. */
export const EVALUATION_CHUNK = 256;

/**
 * Floats handled at a time when threads share a loop over parameters: 64 KiB, so that a range stays in a core's own
 * cache from fold to square sum. Part of the numbers: the gradient norm adds one partial sum a range.
 */
export const RANGE_FLOATS = 16_384;

/**
 * Beyond this, gradient buffers are better saved than spent on micro-batches of their own: threads that compute one
 * together need one buffer a level of the tree, however many they are.
 */
const GRADIENT_BUFFER_BUDGET = 256 * 2 ** 20;

/** So many subtrees for each thread even out a core that is disturbed. */
export const SUBTREES_A_THREAD = 4;

/**
 * Weights and optimizer state a lease may leave behind: 11 M parameters with Adam. They take some 0.4 s to send; leases of
 * larger models would be mostly that.
 */
const LEASE_RESULT_BUDGET = 128 * 2 ** 20;

/**
 * Small results come faster than a lease is announced, computed and adopted, which takes some milliseconds whatever its
 * size: with four on their way an epoch of 45 steps of the digits took 7 ms instead of 12.
 */
const SMALL_RESULT_BYTES = 4 * 2 ** 20;
const placesOf = (resultBytes: number): number => (resultBytes <= SMALL_RESULT_BYTES ? 4 : 2);

/** Blocks of a step that must find room beside what leases leave behind: leases may not keep workers from sharing. */
const SLOTS_BESIDE_LEASES = 16;

/** Byte addresses of what one kernel thread has for itself. */
export interface ThreadAddresses {
  /** [P] float32: a micro-batch's gradient before it is rounded. Absent where nothing is rounded, or never computed. */
  readonly leaf: number | undefined;
  /** A node each: the levels of a subtree's reduction below its root. */
  readonly stack: readonly number[];
  /** [samplesAtOnce, F] */
  readonly features: number;
  /** [samplesAtOnce, T] */
  readonly targets: number;
  readonly scratch: number;
  /** [ORDER_KEYS] words: the order of the epoch's samples. */
  readonly orderKeys: number;
  /** [samplesAtOnce] words: which samples a micro-batch has. */
  readonly indexes: number;
}

/** Byte addresses of all rows of the training split, in the order of their indexes; in windows, of two of those. */
export interface TrainingRowAddresses {
  /** [N, F] */
  readonly features: number;
  /** [N, T] */
  readonly targets: number;
}

/** The part of them that is one of the two windows. */
export function windowAddresses(
  { features, targets }: TrainingRowAddresses,
  windows: WindowCut,
  place: number,
  inputs: number,
  targetCount: number,
): TrainingRowAddresses {
  const before = place * windowRows(windows);
  return { features: features + 4 * inputs * before, targets: targets + 4 * targetCount * before };
}

export interface WorkerMemoryPlan {
  readonly bytes: number;
  readonly parameterCount: number;
  /** Samples of the largest micro-batch or evaluation chunk. */
  readonly samplesAtOnce: number;
  /** The current and the staged weights as they travel, in whichever order. */
  readonly weights: readonly [number, number];
  /** [P] float32: what is computed on where that is not how weights travel. */
  readonly widened: number | undefined;
  /** Bytes of a node of the reduction tree. */
  readonly nodeBytes: number;
  /** A node each: the roots of the subtrees threads take; a power of two of them. The block's gradient ends in the first. */
  readonly subtreeGradients: readonly number[];
  /**
   * A node each: one a level of the reduction over all micro-batches, for threads that compute one micro-batch after the
   * other together. The same memory as `subtreeGradients` and the first thread's stack; the gradient ends in the same.
   */
  readonly levels: readonly number[];
  readonly threads: readonly ThreadAddresses[];
  /** Only with room for leases. */
  readonly lease?: LeaseAddresses;
  /** Only with local steps. */
  readonly local?: LocalAddresses;
  /** Only where the training split fits beside the rest: else its rows stay in the shards they came in. */
  readonly trainingRows?: TrainingRowAddresses;
}

/** Byte addresses of what a worker needs to update by itself. */
export interface LeaseAddresses {
  /** [P] float32: the weights that are updated, where others are computed on. */
  readonly masters: number | undefined;
  /** [slots × P] */
  readonly optimizerState: number;
  readonly optimizerSlots: number;
  /** [(1 + slots) × P]: a copy of weights and optimizer state, read while the next lease is computed. */
  readonly outbox: number;
}

/** Byte addresses of what one replica after the other trains with. */
export interface LocalAddresses {
  /** [P] float32: the replica's own weights. */
  readonly weights: number;
  /** [slots × P] */
  readonly optimizerState: number;
  readonly optimizerSlots: number;
  /** A node of the round's tree each, one a level; the block's ends in the first. */
  readonly levels: readonly number[];
  readonly nodeBytes: number;
}

export interface AveragerMemoryPlan {
  readonly parameterCount: number;
  /** [P] */
  readonly weights: number;
  /** [slots × P] */
  readonly optimizerState: number;
  readonly optimizerSlots: number;
  /** The weights as they travel: `weights` itself with float32. */
  readonly wireWeights: number;
  /** [P] float32: the mean gradient; absent: it is made where the root lies. */
  readonly mean: number | undefined;
  /** Bytes of a node of the reduction tree. */
  readonly nodeBytes: number;
  /** A node at `inbox + slot × inboxStride`. */
  readonly inbox: number;
  readonly inboxStride: number;
  /** [(1 + slots) × P] each: what leases left behind. None without room for leases. */
  readonly leasePlaces: readonly number[];
}

/** Bytes of kernel memory one worker plans. @throws ModelTooLargeError */
export function workerMemoryBytes(options: WorkerEngineOptions): number {
  return planWorkerMemory(options).bytes;
}

/**
 * Bytes of kernel memory the averager needs when it receives blocks in `slots` slots.
 * @throws ModelTooLargeError
 */
export function averagerMemoryBytes(options: AveragerEngineOptions, slots: number): number {
  return averagerBytes(planAveragerMemory(options), slots);
}

/** Whether a worker with these options finds room in WebAssembly's memory. */
export function workerFits(options: WorkerEngineOptions): boolean {
  return fits(() => planWorkerMemory(options));
}

/**
 * Whether runs with these options have leases of whole steps: what a lease leaves behind is small enough to be kept
 * twice and sent after every few steps, and an averager with room for it, and for the blocks of many workers, fits into
 * WebAssembly's memory.
 */
export function fitsWithLeases(options: AveragerEngineOptions): boolean {
  const slots = Math.min(options.microBatches, SLOTS_BESIDE_LEASES);
  const resultBytes = 4 * compileModel(options.model).parameterCount * (1 + optimizerSlots(options.optimizer));
  if (resultBytes > LEASE_RESULT_BUDGET) return false;
  return fits(() => averagerMemoryBytes({ ...options, leases: true }, slots));
}

function fits(plan: () => unknown): boolean {
  try {
    plan();
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/**
 * How many blocks of a step the averager can receive at the most: at least 1, and no more than there are micro-batches.
 * @throws ModelTooLargeError when there is no room for one
 */
export function mostInboxSlots(options: AveragerEngineOptions): number {
  const { inbox, inboxStride } = planAveragerMemory(options);
  return Math.min(options.microBatches, Math.floor((MAX_BYTES - inbox) / inboxStride));
}

/** @throws RangeError for options out of range, ModelTooLargeError */
export function planWorkerMemory(options: WorkerEngineOptions): WorkerMemoryPlan {
  checkThreads(options.threads);
  const cut = options.local ?? options;
  for (const { microBatches, batch } of [options, cut]) {
    checkMicroBatches(microBatches);
    checkNatural('batch', batch);
    if (batch < 1) throw new RangeError('batch must be at least 1');
  }
  for (const name of ['seed', 'trainSamples'] as const) checkNatural(name, options[name]);
  if (options.local !== undefined && options.update !== undefined) {
    throw new RangeError('a worker with local steps takes no leases');
  }
  let numSubtrees = Math.min(mostSubtrees(options), cut.microBatches);
  let plan = layOutWorker(options, numSubtrees);
  while (numSubtrees > 1 && !isAffordable(plan, numSubtrees, options)) {
    numSubtrees /= 2;
    plan = layOutWorker(options, numSubtrees);
  }
  checkAddressable(plan.bytes, 'a worker', options.model);
  return withTrainingRows(plan, options);
}

/**
 * The training split may take all that the model leaves of WebAssembly's memory: nothing else of a worker grows. In windows,
 * two of them must fit.
 */
function withTrainingRows(plan: WorkerMemoryPlan, options: WorkerEngineOptions): WorkerMemoryPlan {
  const { model, trainSamples, windows } = options;
  const rows = windows === undefined ? trainSamples : 2 * windowRows(windows);
  const features = plan.bytes;
  const targets = features + aligned(4 * rows * model.inputs);
  const bytes = targets + aligned(4 * rows * compileModel(model).targetCount);
  if (windows !== undefined) checkAddressable(bytes, `a worker with two windows of ${rows / 2} samples`, model);
  return bytes > MAX_BYTES ? plan : { ...plan, bytes, trainingRows: { features, targets } };
}

/** One thread, and threads that compute every micro-batch together, have nothing to even out. */
function mostSubtrees({ threads, sharing }: WorkerEngineOptions): number {
  return threads === 1 || sharing === 'tiles' ? 1 : SUBTREES_A_THREAD * nextPowerOfTwo(threads);
}

function isAffordable(plan: WorkerMemoryPlan, numSubtrees: number, { threads, sharing }: WorkerEngineOptions): boolean {
  if (plan.bytes > MAX_BYTES) return false;
  const nodes = numSubtrees + plan.threads.reduce((sum, { stack }) => sum + stack.length, 0);
  const leaves = plan.threads.filter(({ leaf }) => leaf !== undefined).length;
  if (sharing === 'micro-batches' && numSubtrees <= threads) return true;
  return nodes * plan.nodeBytes + leaves * plan.parameterCount * 4 <= GRADIENT_BUFFER_BUDGET;
}

function layOutWorker(options: WorkerEngineOptions, numSubtrees: number): WorkerMemoryPlan {
  const { model, threads, update, wire = 'float32' } = options;
  const { batch, microBatches } = options.local ?? options;
  const program = compileModel(model);
  const { parameterCount, targetCount } = program;
  const samplesAtOnce = Math.max(Math.ceil(batch / microBatches), EVALUATION_CHUNK);
  const stackDepth = Math.log2(microBatches / numSubtrees);
  const allocate = allocator();
  // A gradient of local steps stays here, unrounded.
  const nodeBytes = gradientBytes(options.local === undefined ? wire : 'float32', parameterCount);
  const rounds = wire !== 'float32';
  const wireBytes = weightBytes(wire, parameterCount);
  const buffers = (count: number): number[] => Array.from({ length: count }, () => allocate(nodeBytes));
  const weights = [allocate(wireBytes), allocate(wireBytes)] as const;
  const widened = rounds ? allocate(4 * parameterCount) : undefined;
  const subtreeGradients = buffers(numSubtrees);
  const perThread = Array.from({ length: threads }, (_, thread) => ({
    // With fewer subtrees than threads, the threads beyond only evaluate, and compute together with the others.
    stack: thread < numSubtrees ? buffers(stackDepth) : [],
    leaf: rounds && options.local === undefined && thread < numSubtrees ? allocate(4 * parameterCount) : undefined,
    features: allocate(4 * samplesAtOnce * model.inputs),
    targets: allocate(4 * samplesAtOnce * targetCount),
    scratch: allocate(program.scratchBytes(samplesAtOnce)),
    orderKeys: allocate(4 * ORDER_KEYS),
    indexes: allocate(4 * samplesAtOnce),
  }));
  const lease = update === undefined ? {} : { lease: leaseAddresses(optimizerSlots(update.optimizer)) };

  const local = options.local === undefined ? {} : { local: localAddresses(optimizerSlots(options.local.optimizer)) };

  function localAddresses(slots: number): LocalAddresses {
    const bytes = gradientBytes(wire, parameterCount);
    return {
      weights: allocate(4 * parameterCount),
      optimizerState: allocate(4 * parameterCount * slots),
      optimizerSlots: slots,
      levels: Array.from({ length: Math.log2(options.microBatches) + 1 }, () => allocate(bytes)),
      nodeBytes: bytes,
    };
  }

  function leaseAddresses(slots: number): LeaseAddresses {
    const optimizerState = allocate(4 * parameterCount * slots);
    const masters = rounds ? allocate(4 * parameterCount) : undefined;
    return { masters, optimizerState, optimizerSlots: slots, outbox: allocate(4 * parameterCount * (1 + slots)) };
  }

  return {
    ...lease,
    ...local,
    parameterCount,
    samplesAtOnce,
    weights,
    widened,
    nodeBytes,
    subtreeGradients,
    // Never too few: S subtrees of depth d leave S + d buffers, and the tree over all has log2(S) + d + 1 levels.
    levels: [...subtreeGradients, ...perThread[0]!.stack].slice(0, Math.log2(microBatches) + 1),
    threads: perThread,
    bytes: allocate(0),
  };
}

/** @throws RangeError for options out of range, ModelTooLargeError when not even one inbox slot fits */
export function planAveragerMemory({
  threads,
  model,
  optimizer,
  microBatches,
  leases = false,
  wire = 'float32',
}: AveragerEngineOptions): AveragerMemoryPlan {
  checkThreads(threads);
  checkMicroBatches(microBatches);
  const { parameterCount } = compileModel(model);
  const slots = optimizerSlots(optimizer);
  const allocate = allocator();
  const place = (): number => allocate(4 * parameterCount * (1 + slots));
  const rounds = wire !== 'float32';
  const weights = allocate(4 * parameterCount);
  const nodeBytes = gradientBytes(wire, parameterCount);
  const plan: AveragerMemoryPlan = {
    parameterCount,
    weights,
    wireWeights: rounds ? allocate(weightBytes(wire, parameterCount)) : weights,
    mean: rounds ? allocate(4 * parameterCount) : undefined,
    nodeBytes,
    optimizerState: allocate(4 * parameterCount * slots),
    leasePlaces: Array.from({ length: leases ? placesOf(4 * parameterCount * (1 + slots)) : 0 }, place),
    optimizerSlots: slots,
    inbox: allocate(0),
    inboxStride: aligned(nodeBytes),
  };
  checkAddressable(plan.inbox + plan.inboxStride, 'the averager', model);
  return plan;
}

/** @throws ModelTooLargeError */
export function averagerBytes(plan: AveragerMemoryPlan, slots: number): number {
  const bytes = plan.inbox + slots * plan.inboxStride;
  if (bytes > MAX_BYTES) throw tooLarge(bytes, `the averager with ${slots} inbox slots`, plan.parameterCount);
  return bytes;
}

function checkAddressable(bytes: number, who: string, model: ModelSpec): void {
  if (bytes > MAX_BYTES) throw tooLarge(bytes, who, compileModel(model).parameterCount);
}

const tooLarge = (bytes: number, who: string, parameterCount: number): ModelTooLargeError =>
  new ModelTooLargeError(who, bytes, MAX_BYTES, parameterCount);

const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/** Hands out addresses one after another; asked for nothing, it tells how much was handed out. */
function allocator(): (bytes: number) => number {
  let end = aligned(KERNEL_RESERVED_BYTES);
  return (bytes) => {
    const address = end;
    end += aligned(bytes);
    return address;
  };
}

const nextPowerOfTwo = (value: number): number => 2 ** Math.ceil(Math.log2(value));
