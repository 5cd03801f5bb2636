import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createJsKernel } from './js-kernel.js';
import { bits, noise } from './kernel.fixture.js';
import type { Kernel } from './kernel.js';
import { ORDER_KEYS, sampleOrder, samplePermutation } from './sample-permutation.js';
import { createWasmKernel } from './wasm-kernel.js';
import { wasmBytes, wasmInstance, wasmMemory } from './wasm-module.fixture.js';

const memory = wasmMemory(64);
const words = new Uint32Array(memory.buffer);
const floats = new Float32Array(memory.buffer);
const kernels: readonly Kernel[] = [createJsKernel(memory), createWasmKernel(wasmInstance(wasmBytes, memory), memory)];

const KEYS = 64;
const INDEXES = 4 * (KEYS + ORDER_KEYS);
const INTO = 2 ** 16;
const UNTOUCHED = 0xdead_beef;

describe.each(kernels.map((kernel) => ({ id: kernel.id, kernel })))('$id', ({ kernel }) => {
  /** The indexes of `[first, first + count)`, and whether the words around them stayed as they were. */
  function indexesOf(seed: number, epoch: number, samples: number, first: number, count: number) {
    const order = sampleOrder(seed, epoch, samples);
    words.set(order.keys, KEYS / 4);
    words.fill(UNTOUCHED, INTO / 4 - 4, INTO / 4 + count + 4);
    kernel.sampleIndexes(KEYS, order.bits, samples, first, count, INTO);
    const around = [
      ...words.subarray(INTO / 4 - 4, INTO / 4),
      ...words.subarray(INTO / 4 + count, INTO / 4 + count + 4),
    ];
    return {
      indexes: [...words.subarray(INTO / 4, INTO / 4 + count)],
      alone: around.every((word) => word === UNTOUCHED),
    };
  }

  test('any range of positions of any order has the samples that samplePermutation says, and writes nothing else', () => {
    const samples = fc.oneof(
      fc.integer({ min: 1, max: 70 }),
      fc.integer({ min: 1, max: 200_000 }),
      fc.integer({ min: 2 ** 31 - 5, max: 2 ** 31 + 5 }),
      fc.integer({ min: 2 ** 32 - 5, max: 2 ** 32 }),
    );
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.nat(2 ** 40), samples, fc.nat(), fc.nat(70), (seed, epoch, all, start, most) => {
        // Half of the ranges end with the epoch: what lies behind has no sample.
        const count = Math.min(most, all);
        const first = start % 2 === 0 ? all - count : start % (all - count + 1);
        const sampleAt = samplePermutation(seed, epoch, all);
        const expected = Array.from({ length: count }, (_, i) => sampleAt(first + i));
        expect(indexesOf(seed, epoch, all, first, count)).toEqual({ indexes: expected, alone: true });
      }),
      { numRuns: 400 },
    );
  });

  test('rows of any width come in the order of their indexes, bit by bit, and nothing else is written', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 70 }), fc.array(fc.nat(40), { maxLength: 50 }), (width, indexes) => {
        const table = noise(width, 41 * width);
        new Uint32Array(table.buffer)[0] = 0x7fa0_0001; // a signalling NaN: copying must not quiet it
        const from = 2 ** 20 + 4 * (width % 3);
        words.set(bits(table), from / 4);
        words.set(indexes, INDEXES / 4);
        words.fill(UNTOUCHED, INTO / 4, INTO / 4 + indexes.length * width + 8);
        kernel.gatherRows(from, width, INDEXES, indexes.length, INTO);
        const expected = indexes.flatMap((index) => [...bits(table).subarray(index * width, (index + 1) * width)]);
        const behind = Array.from({ length: 8 }, () => UNTOUCHED);
        expect([...words.subarray(INTO / 4, INTO / 4 + expected.length + 8)]).toEqual([...expected, ...behind]);
      }),
    );
  });
});

test('the last row of a memory is gathered without a look behind it', () => {
  for (const kernel of kernels) {
    for (const width of [1, 2, 3, 5, 17]) {
      const from = memory.buffer.byteLength - 4 * width;
      floats.set(noise(3, width), from / 4);
      words[INDEXES / 4] = 0;
      kernel.gatherRows(from, width, INDEXES, 1, INTO);
      expect(floats.subarray(INTO / 4, INTO / 4 + width)).toEqual(noise(3, width));
    }
  }
});
