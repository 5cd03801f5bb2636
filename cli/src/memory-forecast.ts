/**
 * The most memory each process will have resident at once, said before anything is started.
 *
 * What grows with the job follows from the plans of the kernels' memory and from what is sent and saved; what does not was
 * measured (`VmHWM` of /proc/<pid>/status, Node 20.20, Linux, x86-64). How the sum compares: docs/benchmarks.md.
 */
import {
  type AveragerEngineOptions,
  averagerMemoryBytes,
  mostInboxSlots,
  type WorkerEngineOptions,
  workerTouchedBytes,
} from '#engine';
import { compileModel, optimizerSlotNames, type WindowCut, windowRows } from '#kernel';
import { cutBlocks, type DatasetInfo, DEFAULT_DATA_BYTES } from '#training';

/** Bytes, and what they are for; `peakBytes` is their sum. */
export interface WorkerMemory {
  readonly processBytes: number;
  /** Messages, and what the garbage collector has not come to. */
  readonly wireBytes: number;
  /** Of the kernel's memory what is ever written to: of several workers each has a part of the step, and needs less. */
  readonly kernelBytes: number;
  /**
   * All training rows, for a step takes them from anywhere, or two windows of them; and of the others, which a worker may be
   * given any part of, as many as `--data-memory` leaves room for.
   */
  readonly rowBytes: number;
  readonly peakBytes: number;
}

/** `peakBytes` is the process and the larger of two: reading the rows, or what training needs. */
export interface CoordinatorMemory {
  readonly processBytes: number;
  /** Cells as they are read, before there is any kernel; beyond some they go to disk. */
  readonly readingBytes: number;
  /** Weights, optimizer state and the gradients that come in. */
  readonly kernelBytes: number;
  /** The weights as they travel, and messages as in a worker. */
  readonly wireBytes: number;
  /** What a checkpoint is written from while training goes on. A run that ends before one is due never needs it. */
  readonly checkpointBytes: number;
  readonly peakBytes: number;
}

const MB = 1e6;

/** Node, gRPC, BullMQ and our own code, with their heaps; then each kernel thread's isolate. */
const WORKER_PROCESS_BYTES = 140 * MB;
const COORDINATOR_PROCESS_BYTES = 138 * MB;
const THREAD_BYTES = 11 * MB;
const CONNECTION_BYTES = 2 * MB;

/** Messages under way, and those the garbage collector has not come to: of a small model two of each, of a large one so many. */
const COPIES_OF_A_MESSAGE = 2;
const MOST_WORKER_MESSAGES = 34 * MB;
const MOST_COORDINATOR_MESSAGES = 45 * MB;

/**
 * Objects that a step leaves behind until V8 collects its whole heap, which it does after 64 MB of messages (its limit
 * for memory outside the heap): hardly anything for a large model, some thousand steps of a small one.
 */
const GARBAGE_OF_A_STEP = 20e3;
const MESSAGES_UNTIL_COLLECTED = 64 * MB;

/** Eight for the cell itself; the rest is text that waits for the garbage collector. 120,000 rows of 101 columns. */
const BYTES_OF_A_CELL = 12.5;
/** Beyond it cells go to disk, and this much is what their reading and writing takes; then some bytes for each row's place. */
const MOST_READING = 100 * MB;
const BYTES_OF_A_ROW = 12;

const FLOAT_BYTES = 4;

/** What a run has besides its model. */
export interface ForecastRun {
  readonly samples: DatasetInfo['samples'];
  /** F + T: floats of one sample. */
  readonly floats: number;
  readonly steps: number;
  readonly workers: number;
  /** Whether copies of the best epoch's weights are held: the newest, and for a moment the one before. */
  readonly keepsBest?: boolean;
  /** Absent: each worker holds all training rows. */
  readonly windows?: WindowCut;
}

/**
 * One of the workers, all of which share each step from the beginning.
 * @throws ModelTooLargeError
 */
export function workerMemory(engine: WorkerEngineOptions, run: ForecastRun): WorkerMemory {
  const blockSize = engine.microBatches / cutBlocks(engine.microBatches, run.workers).length;
  const evaluationSamples = Math.max(run.samples.validation, run.samples.test);
  const processBytes = WORKER_PROCESS_BYTES + engine.threads * THREAD_BYTES;
  const wireBytes = messageBytes(weightBytesOf(engine), MOST_WORKER_MESSAGES, run);
  const kernelBytes = workerTouchedBytes(engine, { blockSize, evaluationSamples });
  const rowBytes = heldRowBytes(run);
  const peakBytes = processBytes + wireBytes + kernelBytes + rowBytes;
  return { processBytes, wireBytes, kernelBytes, rowBytes, peakBytes };
}

/** @throws ModelTooLargeError */
export function coordinatorMemory(engine: AveragerEngineOptions, run: ForecastRun): CoordinatorMemory {
  const { workers } = run;
  const weightBytes = weightBytesOf(engine);
  const processBytes = COORDINATOR_PROCESS_BYTES + engine.threads * THREAD_BYTES + workers * CONNECTION_BYTES;
  const slots = Math.min(cutBlocks(engine.microBatches, workers).length, mostInboxSlots(engine));
  const kernelBytes = averagerMemoryBytes(engine, slots);
  const wireBytes = weightBytes + messageBytes(weightBytes, MOST_COORDINATOR_MESSAGES, run);
  const best = run.keepsBest === true ? 2 : 0;
  const checkpointBytes = weightBytes * (1 + optimizerSlotNames(engine.optimizer).length + best);
  const cellBytes = Math.round(BYTES_OF_A_CELL * allSamples(run) * run.floats);
  const readingBytes = Math.min(cellBytes, MOST_READING + BYTES_OF_A_ROW * allSamples(run));
  const peakBytes = processBytes + Math.max(readingBytes, kernelBytes + wireBytes + checkpointBytes);
  return { processBytes, readingBytes, kernelBytes, wireBytes, checkpointBytes, peakBytes };
}

function heldRowBytes(run: ForecastRun): number {
  const { samples, floats, windows } = run;
  const training = windows === undefined ? samples.train : 2 * windowRows(windows);
  const held = FLOAT_BYTES * floats * training;
  const others = FLOAT_BYTES * floats * (windows === undefined ? samples.validation + samples.test : allSamples(run));
  return held + Math.min(others, Math.max(0, DEFAULT_DATA_BYTES - held));
}

const weightBytesOf = ({ model }: Pick<WorkerEngineOptions, 'model'>): number =>
  FLOAT_BYTES * compileModel(model).parameterCount;

function messageBytes(weightBytes: number, most: number, { steps }: ForecastRun): number {
  const uncollectedSteps = Math.min(steps, Math.ceil(MESSAGES_UNTIL_COLLECTED / weightBytes));
  return Math.min(COPIES_OF_A_MESSAGE * weightBytes, most) + uncollectedSteps * GARBAGE_OF_A_STEP;
}

const allSamples = ({ samples: { train, validation, test } }: ForecastRun): number => train + validation + test;
