/** Elements of the float types of safetensors as float32. All of F16 and BF16 is exact; F64 is rounded to nearest even. */
import type { Dtype } from './safetensors-header.js';

export type FloatDtype = (typeof FLOAT_DTYPES)[number];

const FLOAT_DTYPES = ['F32', 'F64', 'F16', 'BF16'] as const satisfies readonly Dtype[];

export const BYTES_OF_FLOAT: Readonly<Record<FloatDtype, number>> = { F32: 4, F64: 8, F16: 2, BF16: 2 };

export function isFloatDtype(dtype: Dtype): dtype is FloatDtype {
  return (FLOAT_DTYPES as readonly Dtype[]).includes(dtype);
}

/**
 * Converts elements to float32.
 * @param bytes little-endian, as many elements as `into` has
 */
export function toFloat32(dtype: FloatDtype, bytes: Uint8Array, into: Float32Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const bits = new Uint32Array(into.buffer, into.byteOffset, into.length);
  switch (dtype) {
    case 'F32':
      new Uint8Array(into.buffer, into.byteOffset, into.byteLength).set(bytes);
      return;
    case 'F64':
      for (let i = 0; i < into.length; i++) into[i] = view.getFloat64(8 * i, true);
      return;
    case 'BF16': // the upper half of a float32
      for (let i = 0; i < bits.length; i++) bits[i] = view.getUint16(2 * i, true) << 16;
      return;
    case 'F16':
      for (let i = 0; i < bits.length; i++) bits[i] = widened(view.getUint16(2 * i, true));
      return;
    default:
      dtype satisfies never;
  }
}

/** IEEE 754 binary16 to the bits of binary32: 5 exponent bits about 15 to 8 about 127, 10 fraction bits to 23. */
function widened(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >>> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 31) return sign | 0x7f800000 | (fraction << 13); // infinity, NaN
  if (exponent > 0) return sign | ((exponent + 112) << 23) | (fraction << 13);
  if (fraction === 0) return sign;
  // Below the smallest normal half: a normal float32. Its leading bit becomes the hidden one.
  const shift = Math.clz32(fraction) - 21;
  return sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13);
}
