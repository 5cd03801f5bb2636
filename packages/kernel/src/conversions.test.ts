import fc from 'fast-check';
import { expect, test } from 'vitest';
import { INT8_GROUP, INT8_SMALLEST } from './int8-format.js';
import { createJsKernel } from './js-kernel.js';
import { memoryPlan, noise } from './kernel.fixture.js';
import type { Kernel } from './kernel.js';
import type { PhiloxKey } from './philox.js';
import { createWasmKernel } from './wasm-kernel.js';
import { wasmBytes, wasmInstance, wasmMemory } from './wasm-module.fixture.js';

const memory = wasmMemory(16);
const kernels = [createJsKernel(memory), createWasmKernel(wasmInstance(wasmBytes, memory), memory)];
const floats = new Float32Array(memory.buffer);

const anyFloat = fc.float({ noNaN: false });
const finite = fc.float({ noNaN: true, noDefaultInfinity: true });
const anyFloats = fc.array(fc.oneof(anyFloat, finite, fc.constantFrom(0, -0)), { maxLength: 90 });
const finiteFloats = fc.array(finite, { maxLength: 90 });

/** The bfloat16 of values as two-byte numbers; nothing behind them is touched. */
function toBfloat16(kernel: Kernel, values: ArrayLike<number>): Uint16Array {
  const take = memoryPlan(64);
  const [from, into] = [take(4 * values.length), take(2 * values.length + 2)] as const;
  floats.set(values, from / 4);
  const halves = new Uint16Array(memory.buffer, into, values.length + 1);
  halves[values.length] = 7777;
  kernel.toBfloat16(from, into, values.length);
  expect(halves[values.length]).toBe(7777);
  return halves.slice(0, -1);
}

/** What a bfloat16 stands for. */
const widened = (half: number): number => new Float32Array(Uint32Array.of(half << 16).buffer)[0]!;

test('both kernels make the same bfloat16 of any floats and add it with the same bits', () => {
  fc.assert(
    fc.property(anyFloats, (values) => {
      const [plain, fast] = kernels.map((kernel) => toBfloat16(kernel, values));
      expect(fast).toEqual(plain);
      const left = toBfloat16(kernels[0]!, noise(3, values.length));
      const sums = kernels.map((kernel) => {
        const take = memoryPlan(64);
        const [into, right] = [take(2 * values.length), take(2 * values.length)] as const;
        const halves = new Uint16Array(memory.buffer, into, values.length);
        halves.set(left);
        new Uint16Array(memory.buffer, right, values.length).set(plain!);
        kernel.foldBfloat16(into, right, values.length);
        return [...halves].map(widened); // which NaN it is, is up to the processor
      });
      const exact = values.map((_, i) => Math.fround(widened(left[i]!) + widened(plain![i]!)));
      expect(sums[1]).toEqual(sums[0]);
      expect(sums[0]).toEqual([...toBfloat16(kernels[0]!, exact)].map(widened));
    }),
  );
});

test('a bfloat16 becomes the float32 it stands for, and rounding in place is both ways at once', () => {
  fc.assert(
    fc.property(anyFloats, (values) => {
      for (const kernel of kernels) {
        const halves = toBfloat16(kernel, values);
        const take = memoryPlan(64);
        const [from, into] = [take(2 * values.length), take(4 * values.length + 4)] as const;
        new Uint16Array(memory.buffer, from, values.length).set(halves);
        floats[into / 4 + values.length] = 7;
        kernel.fromBfloat16(from, into, values.length);
        const wide = [...floats.subarray(into / 4, into / 4 + values.length)];
        expect(wide).toEqual([...halves].map(widened));
        floats.set(values, into / 4);
        kernel.roundToBfloat16(into, into, values.length);
        expect([...floats.subarray(into / 4, into / 4 + values.length)]).toEqual(wide);
        expect(floats[into / 4 + values.length]).toBe(7);
      }
    }),
  );
});

test('a bfloat16 is the nearest one, the even one of two as near, and a NaN stays a NaN', () => {
  fc.assert(
    fc.property(anyFloats, (values) => {
      const halves = toBfloat16(kernels[1]!, values);
      for (const [i, given] of values.entries()) {
        const value = Math.fround(given);
        const half = halves[i]!;
        if (Number.isNaN(value)) {
          expect(widened(half)).toBeNaN();
          continue;
        }
        expect(Object.is(Math.sign(widened(half)), Math.sign(value)) || widened(half) === 0).toBe(true);
        const size = half & 0x7fff;
        const distance = Math.abs(sizeOf(size) - Math.abs(value));
        if (!Number.isFinite(value)) expect(size).toBe(0x7f80);
        else
          for (const other of [size - 1, size + 1].filter((neighbour) => neighbour >= 0 && neighbour <= 0x7f80)) {
            const otherDistance = Math.abs(sizeOf(other) - Math.abs(value));
            expect(distance < otherDistance || (distance === otherDistance && size % 2 === 0)).toBe(true);
          }
      }
    }),
  );
});

/** The size a bfloat16 stands for; for rounding, infinity stands at 2^128. */
const sizeOf = (half: number): number => (half === 0x7f80 ? 2 ** 128 : widened(half));

test('a NaN whose payload lies in the lower half is no infinity afterwards', () => {
  for (const kernel of kernels) {
    for (const pattern of [0x7f800001, 0xff800001, 0x7fffffff, 0xffffffff]) {
      const take = memoryPlan(64);
      const [from, into] = [take(36), take(36)] as const;
      new Uint32Array(memory.buffer, from, 9).fill(pattern);
      kernel.toBfloat16(from, into, 9);
      for (const half of new Uint16Array(memory.buffer, into, 9)) expect(widened(half)).toBeNaN();
    }
  }
});

interface Int8 {
  readonly codes: Int8Array;
  readonly scales: Float32Array;
}

const KEY: PhiloxKey = [0x12345678, 0x9abcdef0];

function toInt8(kernel: Kernel, values: ArrayLike<number>, key = KEY, first = 0): Int8 {
  const groups = Math.ceil(values.length / INT8_GROUP);
  const take = memoryPlan(64);
  const [from, into, scales] = [take(4 * values.length), take(values.length + 2) + 1, take(4 * groups + 4)] as const;
  floats.set(values, from / 4);
  const codes = new Int8Array(memory.buffer, into, values.length + 1);
  codes[values.length] = 77;
  floats[scales / 4 + groups] = 77;
  kernel.toInt8(from, into, scales, values.length, first, ...key);
  expect([codes[values.length], floats[scales / 4 + groups]]).toEqual([77, 77]);
  return { codes: codes.slice(0, -1), scales: floats.slice(scales / 4, scales / 4 + groups) };
}

/** What they stand for. */
function fromInt8(kernel: Kernel, { codes, scales }: Int8): Float32Array {
  const take = memoryPlan(64);
  const [into, right, by] = [take(4 * codes.length + 4), take(codes.length), take(scales.byteLength)] as const;
  new Int8Array(memory.buffer, right, codes.length).set(codes);
  floats.set(scales, by / 4);
  floats[into / 4 + codes.length] = 7;
  kernel.fromInt8(right, by, into, codes.length);
  expect(floats[into / 4 + codes.length]).toBe(7);
  return floats.slice(into / 4, into / 4 + codes.length);
}

function foldInt8(kernel: Kernel, left: Int8, right: Int8, first = 0): Int8 {
  const take = memoryPlan(64);
  const { length } = left.codes;
  const at = [left, right].map(({ scales }) => [take(length + 1), take(scales.byteLength + 4)] as const);
  for (const [i, { codes, scales }] of [left, right].entries()) {
    new Int8Array(memory.buffer, at[i]![0], length).set(codes);
    floats.set(scales, at[i]![1] / 4);
  }
  const [[into, scales], [other, otherScales]] = [at[0]!, at[1]!] as const;
  kernel.foldInt8(into, scales, other, otherScales, length, first, ...KEY);
  return {
    codes: new Int8Array(memory.buffer, into, length).slice(),
    scales: floats.slice(scales / 4, scales / 4 + left.scales.length),
  };
}

/** Values of one group, or of several with one that is cut short. */
const groupsOf = (one: fc.Arbitrary<number[]>): fc.Arbitrary<Float32Array> =>
  fc.tuple(one, fc.nat(2 * INT8_GROUP + 40)).map(([values, count]) => {
    if (values.length === 0) return new Float32Array(count);
    return Float32Array.from({ length: count }, (_, i) => values[(i * i + i) % values.length]!);
  });

test('both kernels make the same int8 of any floats, of their sums too, and read them alike', () => {
  fc.assert(
    fc.property(groupsOf(anyFloats), fc.nat(9), (values, groupsBefore) => {
      const first = groupsBefore * INT8_GROUP;
      const [plain, fast] = kernels.map((kernel) => toInt8(kernel, values, KEY, first));
      expect(fast).toEqual(plain);
      const other = toInt8(kernels[1]!, noise(4, values.length));
      const [slow, quick] = kernels.map((kernel) => foldInt8(kernel, plain!, other, first));
      expect(quick).toEqual(slow);
      expect(fromInt8(kernels[1]!, slow!)).toEqual(fromInt8(kernels[0]!, slow!));
    }),
    { numRuns: 60 },
  );
});

test('a sum of int8 is the int8 of the sum of what both stand for', () => {
  const [kernel] = kernels;
  for (const count of [1, 5, 31, 32, 33, 1023, 1024, 1061, 2048]) {
    const [left, right] = [toInt8(kernel!, noise(1, count)), toInt8(kernel!, noise(2, count))] as const;
    const values = fromInt8(kernel!, left);
    const sums = fromInt8(kernel!, right).map((value, i) => value + values[i]!);
    for (const one of kernels) expect(foldInt8(one, left, right)).toEqual(toInt8(kernel!, sums));
  }
});

test('a range cut between two groups has the bits it has in the whole', () => {
  const values = noise(8, 3 * INT8_GROUP + 17);
  for (const kernel of kernels) {
    const whole = toInt8(kernel, values);
    const begin = toInt8(kernel, values.subarray(0, INT8_GROUP));
    const rest = toInt8(kernel, values.subarray(INT8_GROUP), KEY, INT8_GROUP);
    expect([...begin.codes, ...rest.codes]).toEqual([...whole.codes]);
    expect([...begin.scales, ...rest.scales]).toEqual([...whole.scales]);
  }
});

test('what int8 says is off by less than a step of its group', () => {
  fc.assert(
    fc.property(groupsOf(finiteFloats), (values) => {
      const { codes, scales } = toInt8(kernels[1]!, values);
      for (const [i, value] of values.entries()) {
        const scale = scales[Math.floor(i / INT8_GROUP)]!;
        const error = Math.abs(value - scale * codes[i]!);
        // 2^-15 of a step is what the rounding of the scale and of its reciprocal can cost at code 127.
        expect(error).toBeLessThanOrEqual(scale === 0 ? INT8_SMALLEST : scale * (1 + 2 ** -15));
      }
    }),
    { numRuns: 60 },
  );
});

test('the mean of what int8 says over many keys is the value itself', () => {
  const values = [127, 0.25, -0.25, 3.5, -3.5, 60.0625, -126.9, 0.01];
  const keys = 20_000;
  const means = new Float64Array(values.length);
  for (let key = 0; key < keys; key++) {
    const { codes, scales } = toInt8(kernels[1]!, values, [key, 1]);
    for (const [i, code] of codes.entries()) means[i] = means[i]! + (code * scales[0]!) / keys;
  }
  // A code's deviation is half a step at most: this is five times that of the mean of so many.
  for (const [i, value] of values.entries()) expect(Math.abs(means[i]! - value)).toBeLessThan(2.5 / Math.sqrt(keys));
});

test('whole numbers of steps are never moved, and zeros stay zeros', () => {
  for (const kernel of kernels) {
    const values = Float32Array.from({ length: 255 }, (_, i) => i - 127);
    for (let key = 0; key < 200; key++) {
      const { codes, scales } = toInt8(kernel, values, [key, key]);
      expect([...codes]).toEqual([...values]);
      expect([...scales]).toEqual([1]);
    }
    expect(toInt8(kernel, new Float32Array(1030))).toEqual({
      codes: new Int8Array(1030),
      scales: Float32Array.of(0, 0),
    });
    expect([...toInt8(kernel, [1e-37, -1.4e-45]).scales]).toEqual([0]);
  }
});

test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
  'one %s makes a group a group of NaN for whoever adds it, and no other group',
  (bad) => {
    for (const kernel of kernels) {
      for (const at of [0, 5, 1023, 1024, 1039, 1055]) {
        const values = noise(6, 1056);
        values[at] = bad;
        const sum = fromInt8(kernel, foldInt8(kernel, toInt8(kernel, noise(7, 1056)), toInt8(kernel, values)));
        const group = Math.floor(at / INT8_GROUP);
        expect([...sum].findIndex((value, i) => Number.isNaN(value) !== (Math.floor(i / INT8_GROUP) === group))).toBe(
          -1,
        );
      }
    }
  },
);
