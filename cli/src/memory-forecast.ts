/**
 * The most memory each process will have resident at once, said before anything is started.
 *
 * What grows with the job is worked out; what does not was measured. The sum was held against `VmHWM` of
 * /proc/<pid>/status on Node 20.20 (Linux, x86-64). 5 thousand parameters: 4 to 7 % too high. 13 million, one worker: 2 %
 * too high at most. 46 million: the coordinator within 2 %; a worker that is alone within 3 %, but for one run in four, on a
 * busy machine, that needed 20 % more, about one gradient or version of the weights. Two or three workers there never
 * computed a whole step alone, did not touch a part of their kernel's memory, and stayed a fifth below.
 */
import { type AveragerEngineOptions, averagerMemoryBytes, type WorkerEngineOptions, workerMemoryBytes } from '#engine';
import { compileModel, optimizerSlotNames } from '#kernel';

/** Bytes, and what they are for; `peakBytes` is their sum. */
export interface WorkerMemory {
  readonly processBytes: number;
  readonly kernelBytes: number;
  /** All rows: training takes a step's from anywhere, and a worker may be given any part of an evaluation. */
  readonly rowBytes: number;
  readonly peakBytes: number;
}

/** `peakBytes` is the process and the larger of two: reading the rows, or the three that training needs. */
export interface CoordinatorMemory {
  readonly processBytes: number;
  /** Cells as they are read, before there is any kernel. */
  readonly readingBytes: number;
  /** Weights, optimizer state and the gradients that come in. */
  readonly kernelBytes: number;
  /** Weights as they travel: one version on its way while the next is encoded. */
  readonly broadcastBytes: number;
  /** What a checkpoint is written from while training goes on. */
  readonly checkpointBytes: number;
  readonly peakBytes: number;
}

const MB = 1e6;

/** Node, gRPC, BullMQ and our own code, with their heaps and some frames in flight; then each kernel thread's isolate. */
const WORKER_PROCESS_BYTES = 155 * MB;
const COORDINATOR_PROCESS_BYTES = 148 * MB;
const THREAD_BYTES = 11 * MB;
const CONNECTION_BYTES = 2 * MB;

/** Eight for the cell itself; the rest is text that waits for the garbage collector. 120,000 rows of 101 columns. */
const BYTES_OF_A_CELL = 12.5;

const FLOAT_BYTES = 4;
const VERSIONS_ON_THE_WAY = 2;

export interface ForecastRows {
  /** Of all splits. */
  readonly samples: number;
  /** F + T: floats of one. */
  readonly floats: number;
}

/** @throws RangeError when the kernel's memory is more than WebAssembly can address */
export function workerMemory(engine: WorkerEngineOptions, rows: ForecastRows): WorkerMemory {
  const processBytes = WORKER_PROCESS_BYTES + engine.threads * THREAD_BYTES;
  const kernelBytes = workerMemoryBytes(engine);
  const rowBytes = FLOAT_BYTES * rows.samples * rows.floats;
  return { processBytes, kernelBytes, rowBytes, peakBytes: processBytes + kernelBytes + rowBytes };
}

/** @throws RangeError when the kernel's memory is more than WebAssembly can address */
export function coordinatorMemory(
  engine: AveragerEngineOptions,
  rows: ForecastRows,
  workers: number,
): CoordinatorMemory {
  const weightBytes = FLOAT_BYTES * compileModel(engine.model).parameterCount;
  const processBytes = COORDINATOR_PROCESS_BYTES + engine.threads * THREAD_BYTES + workers * CONNECTION_BYTES;
  const kernelBytes = averagerMemoryBytes(engine, Math.min(workers, engine.microBatches));
  const broadcastBytes = VERSIONS_ON_THE_WAY * weightBytes;
  const checkpointBytes = weightBytes * (1 + optimizerSlotNames(engine.optimizer).length);
  const readingBytes = Math.round(BYTES_OF_A_CELL * rows.samples * rows.floats);
  const peakBytes = processBytes + Math.max(readingBytes, kernelBytes + broadcastBytes + checkpointBytes);
  return { processBytes, readingBytes, kernelBytes, broadcastBytes, checkpointBytes, peakBytes };
}
