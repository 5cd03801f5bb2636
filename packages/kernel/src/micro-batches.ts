/**
 * The cut of a global batch when the job leaves it open: the most micro-batches (a power of two, at most 64) that
 * still hold 32 samples each, or 64 from 32,768 parameters on, or 128 from 262,144 on. Folding a micro-batch's gradient
 * into another moves 12 bytes a parameter, and a gradient travels to the coordinator: the larger the model, the more
 * samples it takes to be worth that. A function of the job alone, never of the workers.
 *
 * Below 1,024 parameters, where calling the routines costs more than what they compute, 256 samples each, but four
 * micro-batches as soon as there are 32 samples for each (decision 0023).
 */
export function autoMicroBatches(batch: number, parameterCount: number): number {
  if (parameterCount < 1024) return Math.max(powerOfTwoUpTo(64, batch / 256), powerOfTwoUpTo(4, batch / 32));
  const samplesEach = parameterCount < 32_768 ? 32 : parameterCount < 262_144 ? 64 : 128;
  return powerOfTwoUpTo(64, batch / samplesEach);
}

/** The largest power of two that is no more than either; at least 1. */
function powerOfTwoUpTo(most: number, value: number): number {
  let power = 1;
  while (power * 2 <= Math.min(most, value)) power *= 2;
  return power;
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
