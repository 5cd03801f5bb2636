import {
  gradientBytes,
  INT8_GROUP,
  type Kernel,
  PHILOX_DOMAIN,
  type PhiloxKey,
  philox4x32,
  philoxKey,
  scalesOffset,
  type WireFormat,
} from '#kernel';
import { RANGE_FLOATS } from './memory-plan.js';
import type { Subtree } from './reduction-tree.js';

type RangeWork = (range: number) => void;

/**
 * The nodes of a step's reduction tree, as they lie in memory and travel: each is rounded to the wire's format when it
 * is made, a leaf from a micro-batch's float32 sum and an inner node from the sum of its children. So it makes no
 * difference which of them leave a process, and how a step is cut changes no bit.
 *
 * Everything is by ranges of `RANGE_FLOATS` parameters, `ranges` of them, which any threads may share.
 */
export interface GradientNodes {
  readonly ranges: number;
  /** Bytes of one node. */
  readonly bytes: number;
  /** Rounds a micro-batch's gradient; with float32 it is the node already. */
  fromLeaf(leaf: number, node: number, step: number, microBatch: number): RangeWork;
  /** into = left child + right child = into + right. @param parent the micro-batches below the sum */
  fold(into: number, right: number, step: number, parent: Subtree): RangeWork;
  /** What a node stands for, as float32; with float32 it stays where it is. */
  widen(node: number, into: number): RangeWork;
}

export interface NodeShape {
  readonly wire: WireFormat;
  readonly parameterCount: number;
  /** Of the tree. */
  readonly microBatches: number;
  /** Keys what int8 is rounded with. */
  readonly seed: number;
}

export function createGradientNodes(kernel: Kernel, shape: NodeShape): GradientNodes {
  const { wire, parameterCount: P } = shape;
  const countOf = (range: number): number => Math.min(RANGE_FLOATS, P - RANGE_FLOATS * range);
  const common = { ranges: Math.ceil(P / RANGE_FLOATS), bytes: gradientBytes(wire, P) };
  const nothing = (): RangeWork => () => undefined;
  /** Addresses a range's values, `bytes` each. */
  const at = (address: number, range: number, bytes: number): number => address + bytes * RANGE_FLOATS * range;
  switch (wire) {
    case 'float32':
      return {
        ...common,
        fromLeaf: nothing,
        fold: (into, right) => (range) => kernel.fold(at(into, range, 4), at(right, range, 4), countOf(range)),
        widen: nothing,
      };
    case 'bfloat16':
      return {
        ...common,
        fromLeaf: (leaf, node) => (range) => kernel.toBfloat16(at(leaf, range, 4), at(node, range, 2), countOf(range)),
        fold: (into, right) => (range) => kernel.foldBfloat16(at(into, range, 2), at(right, range, 2), countOf(range)),
        widen: (node, into) => (range) => kernel.fromBfloat16(at(node, range, 2), at(into, range, 4), countOf(range)),
      };
    case 'int8': {
      const scales = (node: number, range: number): number => at(node + scalesOffset(P), range, 4 / INT8_GROUP); // a range is a whole number of groups
      return {
        ...common,
        fromLeaf(leaf, node, step, microBatch) {
          const key = nodeKey(shape, step, { begin: microBatch, end: microBatch + 1 });
          return (range) => {
            const [from, into] = [at(leaf, range, 4), at(node, range, 1)] as const;
            kernel.toInt8(from, into, scales(node, range), countOf(range), RANGE_FLOATS * range, ...key);
          };
        },
        fold(into, right, step, parent) {
          const key = nodeKey(shape, step, parent);
          return (range) => {
            const [left, other] = [at(into, range, 1), at(right, range, 1)] as const;
            const [leftScales, otherScales] = [scales(into, range), scales(right, range)] as const;
            kernel.foldInt8(left, leftScales, other, otherScales, countOf(range), RANGE_FLOATS * range, ...key);
          };
        },
        widen: (node, into) => (range) =>
          kernel.fromInt8(at(node, range, 1), scales(node, range), at(into, range, 4), countOf(range)),
      };
    }
    default:
      return wire satisfies never;
  }
}

/** The key of a node's draws, from (seed, step, node) and nothing else; nodes are numbered as in a heap, the root 1. */
function nodeKey({ seed, microBatches }: NodeShape, step: number, { begin, end }: Subtree): PhiloxKey {
  const node = (microBatches + begin) / (end - begin);
  const counter = [step >>> 0, Math.floor(step / 2 ** 32), node, PHILOX_DOMAIN.gradientRounding] as const;
  const [key0, key1] = philox4x32(counter, philoxKey(seed));
  return [key0, key1];
}

/** All of it, for a thread that works alone. */
export function allRanges({ ranges }: GradientNodes, work: RangeWork): void {
  for (let range = 0; range < ranges; range++) work(range);
}
