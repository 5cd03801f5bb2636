/** Whether a run fits into the kernels' memory, found out before anything is allocated. */
import { type AveragerEngineOptions, ModelTooLargeError, mostInboxSlots, workerMemoryBytes } from '#engine';
import { modelTooLarge } from '#job';
import type { LocalSettings, RunShape } from '#training';

/**
 * Checks the coordinator's kernel with room for one block, and that of a worker with one thread: what any cluster needs.
 * @throws RopeteamError MODEL.TOO_LARGE
 */
export function checkKernelMemory(
  averager: AveragerEngineOptions,
  { batch, microBatches, samples }: RunShape,
  local: LocalSettings | undefined,
): void {
  const { kernel, model, wire = 'float32' } = averager;
  try {
    mostInboxSlots(averager);
    workerMemoryBytes({
      ...{ kernel, threads: 1, model, seed: 0, trainSamples: samples.train, batch, microBatches, wire },
      ...(local === undefined ? {} : { local }),
    });
  } catch (error) {
    throw error instanceof ModelTooLargeError ? modelTooLarge(error) : error;
  }
}

/** Into how many blocks a step may be cut: the largest power of two for which the coordinator has inbox slots. */
export function mostBlocks(averager: AveragerEngineOptions): number {
  return 2 ** Math.floor(Math.log2(mostInboxSlots(averager)));
}
