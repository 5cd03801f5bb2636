import type { Block } from './work-items.js';

/**
 * Cuts the M micro-batches of a step into equal blocks, one for each worker where that comes out even.
 *
 * A block is a subtree of the reduction tree, so the cut changes who does what and never the sum.
 * @param microBatches M, a power of two
 * @param workers workers that will share the step, at least 1
 * @returns the smallest power of two ≥ `workers` blocks, at most M, in order
 */
export function cutBlocks(microBatches: number, workers: number): readonly Block[] {
  let count = 1;
  while (count < workers && count < microBatches) count *= 2;
  const size = microBatches / count;
  return Array.from({ length: count }, (_, index) => ({ begin: index * size, end: (index + 1) * size }));
}
