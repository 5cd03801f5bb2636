/** What gradients and weights are rounded to on their way between processes. */
import { INT8_GROUP } from './int8-format.js';

/** `bfloat16`: gradients and weights. `int8`: gradients, and weights in bfloat16. `float32`: nothing is rounded. */
export const WIRE_FORMATS = ['float32', 'bfloat16', 'int8'] as const;

export type WireFormat = (typeof WIRE_FORMATS)[number];

/** Bytes of a node of the reduction tree over P parameters, a multiple of 4. Of int8 the scales come after all codes. */
export function gradientBytes(format: WireFormat, parameterCount: number): number {
  if (format === 'int8') return scalesOffset(parameterCount) + 4 * Math.ceil(parameterCount / INT8_GROUP);
  return weightBytes(format, parameterCount);
}

/** Where the scales of an int8 gradient begin, in bytes. */
export const scalesOffset = (parameterCount: number): number => 4 * Math.ceil(parameterCount / 4);

/** Bytes of a weight version on its way to a worker, a multiple of 4. */
export function weightBytes(format: WireFormat, parameterCount: number): number {
  return format === 'float32' ? 4 * parameterCount : 4 * Math.ceil(parameterCount / 2);
}
