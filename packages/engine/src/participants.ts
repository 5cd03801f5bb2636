/**
 * How many threads a call wakes. Waking one and meeting it again costs some 50 µs (measured on Node 20, Linux), so a
 * thread is woken for no less than about 75-150 µs of the fast kernel's work. Who takes part never changes a bit.
 */
import { availableParallelism } from 'node:os';
import type { Sharing, WorkerEngineOptions } from './engine.js';
import { RANGE_FLOATS, SUBTREES_A_THREAD } from './memory-plan.js';

/** Samples × parameters: 3 million floating-point operations. */
const GRADIENT_WORK = 500_000;
/** Ranges of 16 Ki parameters: each is folded, scaled, squared and updated. */
const AVERAGE_WORK = 8;

/**
 * Samples × parameters of one micro-batch: 70 million floating-point operations, some 2 ms of one thread. Two threads
 * take 1/1.6 of that where both have a core (measured at 13 million). Where other programs hold the cores, each of the
 * 15 or so meetings may cost 20 µs, which has to stay small beside the rest.
 */
const TILES_WORK = 12_000_000;

/**
 * Whether threads compute a block's micro-batches one after the other together, or each computes some of its own. The
 * former costs a meeting for each routine of the program, so it is for large micro-batches that are too few to be
 * shared out evenly.
 * @param subtrees of the block, taken by threads one at a time
 * @param samplesEach of one micro-batch
 */
export function sharesTiles(
  wanted: Sharing | undefined,
  threads: number,
  subtrees: number,
  samplesEach: number,
  parameterCount: number,
): boolean {
  if (wanted !== undefined) return wanted === 'tiles';
  return threads > 1 && subtrees < SUBTREES_A_THREAD * threads && samplesEach * parameterCount >= TILES_WORK;
}

/** How many of a worker's threads are busy at a time: no more than there are cores. */
export function busyThreads({ threads, cores }: Pick<WorkerEngineOptions, 'threads' | 'cores'>): number {
  return Math.min(threads, cores ?? availableParallelism());
}

/** @param pieces most threads that can work at the same time */
export function gradientParticipants(threads: number, pieces: number, samples: number, parameterCount: number): number {
  return atLeastOne(Math.min(threads, pieces, Math.ceil((samples * parameterCount) / GRADIENT_WORK)));
}

export function averageParticipants(threads: number, ranges: number): number {
  return atLeastOne(Math.min(threads, Math.ceil(ranges / AVERAGE_WORK)));
}

/**
 * As many threads as a gradient of a whole batch is worth, for all steps of a lease or of a round of local steps.
 * @param subtrees of the batch, taken by threads one at a time
 */
export function crewOfSteps(
  options: Pick<WorkerEngineOptions, 'batch' | 'microBatches' | 'sharing'>,
  has: { readonly busyThreads: number; readonly parameterCount: number; readonly subtrees: number },
): { readonly together: boolean; readonly participants: number } {
  const { batch, microBatches, sharing } = options;
  const { busyThreads: threads, parameterCount, subtrees } = has;
  if (sharesTiles(sharing, threads, subtrees, batch / microBatches, parameterCount)) {
    return { together: true, participants: threads };
  }
  const pieces = Math.max(subtrees, Math.ceil(parameterCount / RANGE_FLOATS));
  return {
    together: false,
    participants: subtrees === 1 ? 1 : gradientParticipants(threads, pieces, batch, parameterCount),
  };
}

/** A block may hold no samples at all, and its gradient is zero all the same. */
const atLeastOne = (threads: number): number => Math.max(1, threads);
