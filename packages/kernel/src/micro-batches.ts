/**
 * The cut of a global batch when the job leaves it open: the most micro-batches (a power of two, at most 64) that
 * still hold 32 samples each, or 64 from 1 M parameters on, or 128 from 16 M on. A larger model needs more samples to
 * be worth a gradient's way to the coordinator. A function of the job alone, never of the workers.
 */
export function autoMicroBatches(batch: number, parameterCount: number): number {
  const samplesEach = parameterCount < 1_000_000 ? 32 : parameterCount < 16_000_000 ? 64 : 128;
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
