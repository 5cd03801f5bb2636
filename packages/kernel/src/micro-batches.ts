/**
 * The cut of a global batch when the job leaves it open: the most micro-batches (a power of two, at most 64) that
 * still hold 32 samples each, or 64 from 32,768 parameters on, or 128 from 262,144 on. Folding a micro-batch's gradient
 * into another moves 12 bytes a parameter, and a gradient travels to the coordinator: the larger the model, the more
 * samples it takes to be worth that. A function of the job alone, never of the workers.
 */
export function autoMicroBatches(batch: number, parameterCount: number): number {
  const samplesEach = parameterCount < 32_768 ? 32 : parameterCount < 262_144 ? 64 : 128;
  const most = Math.min(64, batch / samplesEach);
  let microBatches = 1;
  while (microBatches * 2 <= most) microBatches *= 2;
  return microBatches;
}

/**
 * Positions `[begin, end)` of micro-batch `index` of the `microBatches` equal cuts of `[first, end)`. Sizes differ by
 * at most one; a batch shorter than the number of cuts leaves some empty.
 */
export function microBatchRange(
  first: number,
  end: number,
  microBatches: number,
  index: number,
): { readonly begin: number; readonly end: number } {
  const samples = end - first;
  return {
    begin: first + Math.floor((samples * index) / microBatches),
    end: first + Math.floor((samples * (index + 1)) / microBatches),
  };
}
