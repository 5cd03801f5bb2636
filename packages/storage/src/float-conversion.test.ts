import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type FloatDtype, toFloat32 } from './float-conversion.js';

function converted(dtype: FloatDtype, bytes: Uint8Array, count: number): Float32Array {
  const floats = new Float32Array(count);
  toFloat32(dtype, bytes, floats);
  return floats;
}

/** IEEE 754-2008, table 3.3 and section 3.4: sign, five exponent bits, ten fraction bits. */
function halfOf(code: number): number {
  const sign = code >>> 15 === 0 ? 1 : -1;
  const exponent = (code >>> 10) & 31;
  const fraction = (code & 1023) / 1024;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -14 : sign * (1 + fraction) * 2 ** (exponent - 15);
}

test('each of the 65,536 halves is the number that the standard says', () => {
  const codes = Uint16Array.from({ length: 65_536 }, (_, code) => code);
  const floats = converted('F16', new Uint8Array(codes.buffer), codes.length);
  expect(codes.filter((code) => !Object.is(floats[code], halfOf(code)))).toEqual(new Uint16Array(0));
});

test('a bfloat16 is the float32 whose lower half is zero', () => {
  fc.assert(
    fc.property(fc.float({ noNaN: true }), (value) => {
      const bits = new Uint32Array(Float32Array.of(value).buffer);
      bits[0]! &= 0xffff0000;
      const upper = new Uint8Array(bits.buffer).subarray(2);
      expect(converted('BF16', upper, 1)).toEqual(new Float32Array(bits.buffer));
    }),
  );
});

test('a float64 is rounded to the nearest float32, and float32 keeps its bits, wherever the bytes lie', () => {
  fc.assert(
    fc.property(fc.array(fc.double()), (values) => {
      const doubles = new Uint8Array(8 * values.length + 1);
      doubles.set(new Uint8Array(Float64Array.from(values).buffer), 1);
      const floats = Float32Array.from(values);
      expect(converted('F64', doubles.subarray(1), values.length)).toEqual(floats);
      const shifted = new Uint8Array(floats.byteLength + 1);
      shifted.set(new Uint8Array(floats.buffer), 1);
      expect(converted('F32', shifted.subarray(1), values.length)).toEqual(floats);
    }),
  );
});
