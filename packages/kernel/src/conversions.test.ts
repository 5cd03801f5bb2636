import fc from 'fast-check';
import { expect, test } from 'vitest';
import { INT8_GROUP, INT8_SMALLEST } from './int8-format.js';
import { createJsKernel } from './js-kernel.js';
import { memoryPlan, noise } from './kernel.fixture.js';
import type { Kernel } from './kernel.js';
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
      const sums = kernels.map((kernel) => {
        const take = memoryPlan(64);
        const [into, right] = [take(4 * values.length), take(2 * values.length)] as const;
        floats.set(noise(3, values.length), into / 4);
        new Uint16Array(memory.buffer, right, values.length).set(plain!);
        kernel.foldBfloat16(into, right, values.length);
        return [...floats.slice(into / 4, into / 4 + values.length)];
      });
      expect(sums[1]).toEqual(sums[0]);
      expect(sums[0]).toEqual([...noise(3, values.length)].map((value, i) => Math.fround(value + widened(plain![i]!))));
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

function toInt8(kernel: Kernel, values: ArrayLike<number>): Int8 {
  const groups = Math.ceil(values.length / INT8_GROUP);
  const take = memoryPlan(64);
  const [from, into, scales] = [take(4 * values.length), take(values.length + 2) + 1, take(4 * groups + 4)] as const;
  floats.set(values, from / 4);
  const codes = new Int8Array(memory.buffer, into, values.length + 1);
  codes[values.length] = 77;
  floats[scales / 4 + groups] = 77;
  kernel.toInt8(from, into, scales, values.length);
  expect([codes[values.length], floats[scales / 4 + groups]]).toEqual([77, 77]);
  return { codes: codes.slice(0, -1), scales: floats.slice(scales / 4, scales / 4 + groups) };
}

/** What is added to `into` for them. */
function foldInt8(kernel: Kernel, into: Float32Array, { codes, scales }: Int8): Float32Array {
  const take = memoryPlan(64);
  const [sum, right, by] = [take(into.byteLength), take(codes.length), take(scales.byteLength)] as const;
  floats.set(into, sum / 4);
  new Int8Array(memory.buffer, right, codes.length).set(codes);
  floats.set(scales, by / 4);
  kernel.foldInt8(sum, right, by, into.length);
  return floats.slice(sum / 4, sum / 4 + into.length);
}

/** Values of one group, or of several with one that is cut short. */
const groupsOf = (one: fc.Arbitrary<number[]>): fc.Arbitrary<Float32Array> =>
  fc.tuple(one, fc.nat(2 * INT8_GROUP + 30)).map(([values, count]) => {
    if (values.length === 0) return new Float32Array(count);
    return Float32Array.from({ length: count }, (_, i) => values[(i * i + i) % values.length]!);
  });

test('both kernels make the same int8 of any floats and add it with the same bits', () => {
  fc.assert(
    fc.property(groupsOf(anyFloats), (values) => {
      const [plain, fast] = kernels.map((kernel) => toInt8(kernel, values));
      expect(fast!.codes).toEqual(plain!.codes);
      expect(fast!.scales).toEqual(plain!.scales);
      const into = noise(4, values.length);
      const [slow, quick] = kernels.map((kernel) => foldInt8(kernel, into, plain!));
      expect([...quick!]).toEqual([...slow!]); // which NaN it is, is up to the processor
    }),
    { numRuns: 60 },
  );
});

test('what int8 says is off by half a step of its group at most', () => {
  fc.assert(
    fc.property(groupsOf(finiteFloats), (values) => {
      const { codes, scales } = toInt8(kernels[1]!, values);
      for (const [i, value] of values.entries()) {
        const scale = scales[Math.floor(i / INT8_GROUP)]!;
        const error = Math.abs(value - scale * codes[i]!);
        // 2^-15 of a step is what the rounding of the scale and of its reciprocal can cost at code 127.
        expect(error).toBeLessThanOrEqual(scale === 0 ? INT8_SMALLEST : scale * (0.5 + 2 ** -15));
      }
    }),
    { numRuns: 60 },
  );
});

test('the largest of a group keeps its value to the last digits, and zeros stay zeros', () => {
  for (const kernel of kernels) {
    const { codes, scales } = toInt8(kernel, [0, -127, 63.4, 0.5, 1.5, -0.5, -0, 2.5]);
    expect([...codes]).toEqual([0, -127, 63, 0, 2, 0, 0, 2]);
    expect([...scales]).toEqual([1]);
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
        const sum = foldInt8(kernel, noise(7, 1056), toInt8(kernel, values));
        const group = Math.floor(at / INT8_GROUP);
        expect([...sum].findIndex((value, i) => Number.isNaN(value) !== (Math.floor(i / INT8_GROUP) === group))).toBe(
          -1,
        );
      }
    }
  },
);
