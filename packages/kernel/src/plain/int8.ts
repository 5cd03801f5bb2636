/** float32 to int8 with a scale a group, and back. */
import { ROUNDING_SHIFT } from '../coefficients.js';
import { INT8_GROUP, INT8_LARGEST, INT8_SMALLEST } from '../int8-format.js';
import type { MemoryViews } from '../linear-memory.js';

const { fround } = Math;

/** `Routines.toInt8`. */
export function toInt8(views: MemoryViews, from: number, into: number, scales: number, count: number): void {
  for (let begin = 0; begin < count; begin += INT8_GROUP) {
    const group = Math.min(INT8_GROUP, count - begin);
    groupToInt8(views, from + 4 * begin, into + begin, scales + (4 * begin) / INT8_GROUP, group);
  }
}

function groupToInt8({ floats, bytes }: MemoryViews, from: number, into: number, scale: number, count: number): void {
  let largest = 0;
  for (let i = 0; i < count; i++) largest = Math.max(largest, Math.abs(floats[from / 4 + i]!)); // NaN stays NaN
  const codable = largest >= INT8_SMALLEST && largest < Number.POSITIVE_INFINITY;
  if (!codable) {
    floats[scale / 4] = largest < INT8_SMALLEST ? 0 : Number.NaN;
    bytes.fill(0, into, into + count);
    return;
  }
  const step = fround(largest / INT8_LARGEST);
  floats[scale / 4] = step;
  const perStep = fround(1 / step);
  for (let i = 0; i < count; i++) {
    const steps = fround(floats[from / 4 + i]! * perStep);
    // To the nearest whole number, ties to even; the byte keeps the two's complement of a negative one.
    bytes[into + i] = fround(fround(steps + ROUNDING_SHIFT) - ROUNDING_SHIFT);
  }
}

/** `Routines.foldInt8`. */
export function foldInt8(
  { floats, bytes }: MemoryViews,
  into: number,
  codes: number,
  scales: number,
  count: number,
): void {
  for (let i = 0; i < count; i++) {
    const code = (bytes[codes + i]! << 24) >> 24;
    const scale = floats[scales / 4 + Math.floor(i / INT8_GROUP)]!;
    floats[into / 4 + i] = floats[into / 4 + i]! + fround(scale * code);
  }
}
