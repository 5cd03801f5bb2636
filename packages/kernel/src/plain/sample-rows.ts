/** Which samples a micro-batch has, and where their rows go. */
import type { MemoryViews } from '../linear-memory.js';
import { narrowIndex, ORDER_KEYS } from '../sample-permutation.js';

/** `Routines.sampleIndexes`. */
export function sampleIndexes(
  { words }: MemoryViews,
  keys: number,
  bits: number,
  samples: number,
  first: number,
  count: number,
  into: number,
): void {
  const order = { bits, keys: words.subarray(keys / 4, keys / 4 + ORDER_KEYS) };
  for (let i = 0; i < count; i++) words[into / 4 + i] = narrowIndex(order, samples, first + i);
}

/** `Routines.gatherRows`. */
export function gatherRows(
  { words }: MemoryViews,
  from: number,
  width: number,
  indexes: number,
  count: number,
  into: number,
): void {
  for (let row = 0; row < count; row++) {
    const begin = from / 4 + width * words[indexes / 4 + row]!;
    words.copyWithin(into / 4 + width * row, begin, begin + width);
  }
}
