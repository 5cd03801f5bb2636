/** float32 to bfloat16 and back. bfloat16 is the upper half of a float32. */
import type { MemoryViews } from '../linear-memory.js';

/** `Routines.toBfloat16`. */
export function toBfloat16({ words, halves }: MemoryViews, from: number, into: number, count: number): void {
  for (let i = 0; i < count; i++) halves[into / 2 + i] = upperHalf(words[from / 4 + i]!);
}

/** `Routines.roundToBfloat16`. */
export function roundToBfloat16({ words }: MemoryViews, from: number, into: number, count: number): void {
  for (let i = 0; i < count; i++) words[into / 4 + i] = upperHalf(words[from / 4 + i]!) << 16;
}

/** `Routines.fromBfloat16`. */
export function fromBfloat16({ words, halves }: MemoryViews, from: number, into: number, count: number): void {
  for (let i = 0; i < count; i++) words[into / 4 + i] = halves[from / 2 + i]! << 16;
}

/** Rounds to nearest, ties to even, by adding half of what is cut off less the tie; a NaN gets its quiet bit instead. */
function upperHalf(bits: number): number {
  const notANumber = (bits & 0x7fffffff) > 0x7f800000;
  return notANumber ? (bits | 0x400000) >>> 16 : (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

/** `Routines.foldBfloat16`. */
export function foldBfloat16({ halves }: MemoryViews, into: number, right: number, count: number): void {
  const bits = new Uint32Array(2);
  const values = new Float32Array(bits.buffer);
  for (let i = 0; i < count; i++) {
    bits[0] = halves[into / 2 + i]! << 16;
    bits[1] = halves[right / 2 + i]! << 16;
    values[0] = values[0]! + values[1]!;
    halves[into / 2 + i] = upperHalf(bits[0]!);
  }
}
