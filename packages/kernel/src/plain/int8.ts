/** Gradients in int8 with a scale a group, and back. */
import { INT8_DRAWN_TOGETHER, INT8_GROUP, INT8_LARGEST, INT8_SMALLEST } from '../int8-format.js';
import type { MemoryViews } from '../linear-memory.js';
import { type PhiloxKey, philox4x32 } from '../philox.js';

const { fround } = Math;

/** `Routines.toInt8`. */
export function toInt8(
  { floats, bytes }: MemoryViews,
  from: number,
  into: number,
  scales: number,
  count: number,
  first: number,
  key0: number,
  key1: number,
): void {
  const codes = new Int8Array(bytes.buffer);
  for (let begin = 0; begin < count; begin += INT8_GROUP) {
    const values = floats.subarray(from / 4 + begin, from / 4 + Math.min(begin + INT8_GROUP, count));
    const group = codes.subarray(into + begin, into + begin + values.length);
    floats[scales / 4 + begin / INT8_GROUP] = roundGroup(values, group, first + begin, [key0, key1]);
  }
}

/** `Routines.foldInt8`. */
export function foldInt8(
  { floats, bytes }: MemoryViews,
  into: number,
  scales: number,
  right: number,
  rightScales: number,
  count: number,
  first: number,
  key0: number,
  key1: number,
): void {
  const codes = new Int8Array(bytes.buffer);
  const sums = new Float32Array(INT8_GROUP);
  for (let begin = 0; begin < count; begin += INT8_GROUP) {
    const group = codes.subarray(into + begin, into + Math.min(begin + INT8_GROUP, count));
    const at = begin / INT8_GROUP;
    const [leftScale, rightScale] = [floats[scales / 4 + at]!, floats[rightScales / 4 + at]!] as const;
    for (let i = 0; i < group.length; i++) {
      sums[i] = fround(leftScale * group[i]!) + fround(rightScale * codes[right + begin + i]!);
    }
    floats[scales / 4 + at] = roundGroup(sums.subarray(0, group.length), group, first + begin, [key0, key1]);
  }
}

/** @returns the scale */
function roundGroup(values: Float32Array, into: Int8Array, first: number, key: PhiloxKey): number {
  let largest = 0;
  for (const value of values) largest = Math.max(largest, Math.abs(value)); // NaN stays NaN
  const codable = largest >= INT8_SMALLEST && largest < Number.POSITIVE_INFINITY;
  if (!codable) {
    into.fill(0);
    return largest < INT8_SMALLEST ? 0 : Number.NaN;
  }
  const step = fround(largest / INT8_LARGEST);
  const perStep = fround(1 / step);
  for (let begin = 0; begin < values.length; begin += INT8_DRAWN_TOGETHER) {
    const words = [0, 1, 2, 3].map((lane) => philox4x32([(first + begin) / 8 + lane, 0, 0, 0], key));
    for (let i = begin; i < Math.min(values.length, begin + INT8_DRAWN_TOGETHER); i++) {
      const four = Math.floor((i - begin) / 4);
      const word = words[i % 4]![four % 4]!;
      const drawn = four < 4 ? word & 0xffff : word >>> 16;
      const code = Math.floor(fround(fround(values[i]! * perStep) + (drawn + 0.5) / 65_536));
      into[i] = Math.max(-INT8_LARGEST, Math.min(INT8_LARGEST, code));
    }
  }
  return step;
}

/** `Routines.fromInt8`. */
export function fromInt8(
  { floats, bytes }: MemoryViews,
  codes: number,
  scales: number,
  into: number,
  count: number,
): void {
  for (let i = 0; i < count; i++) {
    const code = (bytes[codes + i]! << 24) >> 24;
    floats[into / 4 + i] = floats[scales / 4 + Math.floor(i / INT8_GROUP)]! * code;
  }
}
