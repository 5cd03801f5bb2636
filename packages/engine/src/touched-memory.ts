import { compileModel, weightBytes } from '#kernel';
import type { WorkerEngineOptions } from './engine.js';
import { EVALUATION_CHUNK, planWorkerMemory } from './memory-plan.js';
import { busyThreads, sharesTiles } from './participants.js';
import { cutBlock } from './worker-commands.js';

/** What a worker is given to compute in a run. */
export interface WorkerUse {
  /** Micro-batches of its largest block: with several workers fewer than a whole step's. */
  readonly blockSize: number;
  /** Samples of the largest split it evaluates a part of; 0: it never evaluates. */
  readonly evaluationSamples: number;
}

/**
 * Bytes of a worker's kernel memory that are ever written to, and so cost RAM; the rest of what is planned stays address
 * space. Weights are touched twice over; of the gradient buffers, those that blocks of `blockSize` reach; of the buffers
 * for samples and activations, the part that so many samples fill, by the threads that work on samples of their own.
 *
 * Left out: the rows of the training split, which take their bytes wherever they lie, and up to 2 MB of packed panels in each thread that only helps with the micro-batches of the first.
 * @throws ModelTooLargeError
 */
export function workerTouchedBytes(options: WorkerEngineOptions, { blockSize, evaluationSamples }: WorkerUse): number {
  const { model, sharing } = options;
  const { batch, microBatches } = options.local ?? options;
  const { local, weights, widened, nodeBytes, parameterCount, subtreeGradients, lease } = planWorkerMemory(options);
  const program = compileModel(model);
  const busy = busyThreads(options);
  const cut = local === undefined ? blockSize : microBatches;
  const { count, size } = cutBlock(0, cut, subtreeGradients.length);
  const together = sharesTiles(sharing, busy, count, batch / microBatches, parameterCount);
  const trainers = together ? 1 : Math.min(busy, count);
  const gradients = together ? levelsOf(cut) : count + trainers * (levelsOf(size) - 1);
  const evaluators = Math.min(busy, Math.ceil(evaluationSamples / EVALUATION_CHUNK));
  const bytesFor = (samples: number): number =>
    4 * samples * (model.inputs + program.targetCount + 1) + program.scratchBytes(samples); // 1: its index
  const training = bytesFor(Math.ceil(batch / microBatches));
  const evaluating = bytesFor(Math.min(EVALUATION_CHUNK, evaluationSamples));
  const perThread = Array.from({ length: Math.max(trainers, evaluators) }, (_, thread) =>
    Math.max(thread < trainers ? training : 0, thread < evaluators ? evaluating : 0),
  );
  // Optimizer state, and what leaves the worker with a lease: both and the weights.
  const leased = lease === undefined ? 0 : 2 * lease.optimizerSlots + 1 + (lease.masters === undefined ? 0 : 1);
  const [firstAddress] = weights;
  // What is computed on, and each micro-batch's gradient before it is rounded.
  const rounded = local === undefined ? 1 + trainers : 1;
  const floats = widened === undefined ? 0 : rounded;
  const replica = local === undefined ? 0 : 4 * parameterCount * (1 + local.optimizerSlots);
  const levels = local === undefined ? 0 : levelsOf(blockSize) * local.nodeBytes;
  const travelling = weights.length * weightBytes(options.wire ?? 'float32', parameterCount) + gradients * nodeBytes;
  const buffers = replica + levels + travelling + 4 * parameterCount * (floats + leased);
  return firstAddress + buffers + perThread.reduce((sum, own) => sum + own, 0);
}

/** Buffers that reduce a subtree of so many micro-batches depth first. */
const levelsOf = (microBatches: number): number => Math.log2(microBatches) + 1;
