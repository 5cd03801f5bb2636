/**
 * The shape of the reduction: a complete binary tree over M micro-batches, node = left + right, left always the lower
 * micro-batches. The shape comes from the job alone; which thread or process adds a node is free.
 */

/** An aligned run `[begin, end)` of 2^k micro-batches: a subtree. */
export interface Subtree {
  readonly begin: number;
  readonly end: number;
}

/**
 * Values `into` and `right` name whatever holds the two children: an index, a slot. `into` holds the node afterwards,
 * which is the subtree `[begin, end)`.
 */
export interface Fold extends Subtree {
  readonly into: number;
  readonly right: number;
}

export const isPowerOfTwo = (value: number): boolean =>
  Number.isSafeInteger(value) && value >= 1 && Number.isInteger(Math.log2(value));

/** @throws RangeError when `[begin, end)` is not a subtree of the tree over `microBatches` leaves */
export function checkSubtree({ begin, end }: Subtree, microBatches: number): void {
  const size = end - begin;
  if (isPowerOfTwo(size) && Number.isSafeInteger(begin) && begin >= 0 && end <= microBatches && begin % size === 0)
    return;
  throw new RangeError(
    `micro-batches [${begin}, ${end}) are not a block of ${microBatches}: an aligned run of a power of two is needed`,
  );
}

/**
 * Reduces the subtree `[begin, end)` depth first with one buffer a level instead of one a leaf: a left child is built
 * where its parent will be, a right child one level below.
 * @param buffers at least log2(end - begin) + 1; the result is in the first
 * @param leaf overwrites `buffer` with micro-batch `microBatch`
 * @param fold adds `right` into `into`, which becomes the node of that subtree
 */
export function reduceSubtree<Buffer>(
  { begin, end }: Subtree,
  buffers: readonly Buffer[],
  leaf: (microBatch: number, buffer: Buffer) => void,
  fold: (into: Buffer, right: Buffer, parent: Subtree) => void,
  depth = 0,
): void {
  const buffer = buffers[depth];
  if (buffer === undefined) throw new RangeError(`a reduction of this depth needs more than ${buffers.length} buffers`);
  if (end - begin === 1) {
    leaf(begin, buffer);
    return;
  }
  const middle = (begin + end) / 2;
  reduceSubtree({ begin, end: middle }, buffers, leaf, fold, depth);
  reduceSubtree({ begin: middle, end }, buffers, leaf, fold, depth + 1);
  fold(buffer, buffers[depth + 1]!, { begin, end }); // the right child was just built there
}

/**
 * The additions that take subtrees, which cover `[0, M)` exactly once, up to the root, children before parents. The
 * root is then held by the subtree that begins at 0.
 * @returns folds between positions in `subtrees`
 * @throws RangeError when a subtree is not one, or micro-batches are missing or covered twice
 */
export function foldsUpTree(subtrees: readonly Subtree[], microBatches: number): readonly Fold[] {
  for (const subtree of subtrees) checkSubtree(subtree, microBatches);
  const byBegin = new Map(subtrees.map((subtree, position) => [subtree.begin, { end: subtree.end, position }]));
  const covered = subtrees.reduce((sum, { begin, end }) => sum + end - begin, 0);
  if (byBegin.size !== subtrees.length || covered !== microBatches) throw notACover(subtrees, microBatches);
  const folds: Fold[] = [];
  const join = (begin: number, end: number): number => {
    const held = byBegin.get(begin);
    if (held?.end === end) return held.position;
    if (end - begin === 1) throw notACover(subtrees, microBatches);
    const middle = (begin + end) / 2;
    const into = join(begin, middle);
    folds.push({ into, right: join(middle, end), begin, end });
    return into;
  };
  join(0, microBatches);
  return folds;
}

function notACover(subtrees: readonly Subtree[], microBatches: number): RangeError {
  const list = subtrees.map(({ begin, end }) => `[${begin}, ${end})`).join(', ');
  return new RangeError(`blocks ${list} do not cover micro-batches [0, ${microBatches}) exactly once`);
}
