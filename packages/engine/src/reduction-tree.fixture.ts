import type { Subtree } from './reduction-tree.js';

/**
 * For tests: a way of cutting a step into blocks, in any order.
 * @param draw natural numbers that decide the cut: where to split, and whose turn it is
 */
export function cutStep(microBatches: number, draw: () => number): readonly Subtree[] {
  const cut = (begin: number, end: number): Subtree[] => {
    const middle = (begin + end) / 2;
    if (end - begin === 1 || draw() % 2 === 0) return [{ begin, end }];
    return [...cut(begin, middle), ...cut(middle, end)];
  };
  const inOrder = cut(0, microBatches);
  const blocks: Subtree[] = [];
  while (inOrder.length > 0) blocks.push(...inOrder.splice(draw() % inOrder.length, 1));
  return blocks;
}
