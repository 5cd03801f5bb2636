import type { Block } from './work-items.js';

/**
 * Folds one value per block up the fixed binary tree over M micro-batches: node = fold(left, right).
 *
 * @param blocks aligned power-of-two runs that cover `[0, M)` exactly once, in any order
 * @throws RangeError when they do not
 */
export function foldTree<Value>(
  blocks: readonly (Block & { readonly value: Value })[],
  microBatches: number,
  fold: (left: Value, right: Value) => Value,
): Value {
  const byBegin = new Map(blocks.map((block) => [block.begin, block]));
  const used = new Set<number>();
  const node = (begin: number, end: number): Value => {
    const block = byBegin.get(begin);
    if (block?.end === end) {
      used.add(begin);
      return block.value;
    }
    if (end - begin <= 1) throw new RangeError(`no block covers micro-batch ${begin}`);
    const middle = begin + (end - begin) / 2;
    return fold(node(begin, middle), node(middle, end));
  };
  const root = node(0, microBatches);
  if (used.size !== blocks.length) throw new RangeError(`${blocks.length - used.size} blocks overlap others`);
  return root;
}
