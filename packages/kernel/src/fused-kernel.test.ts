/** `wasm-fma/1`: what differs from `wasm-simd128/1` is defined as exactly as that, so it is tested as exactly. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bits, memoryPlan, noise } from './kernel.fixture.js';
import { packingBytes } from './operations.js';
import type { Routines } from './routines.js';
import { DEPTH_BLOCK } from './tile-sizes.js';
import { isMultiplyAddFused } from './wasm-kernel.js';
import { fusedWasmBytes, wasmBytes, wasmInstance, wasmMemory } from './wasm-module.fixture.js';

const memory = wasmMemory(512);
const exports = wasmInstance(fusedWasmBytes, memory);
const fused = exports as unknown as Routines; // the module is built from the sources beside this test
const plain = wasmInstance(wasmBytes, memory) as unknown as Routines; // likewise
const floats = new Float32Array(memory.buffer);
const doubleBits = new BigInt64Array(1);
const double = new Float64Array(doubleBits.buffer);

/**
 * a · b + c rounded to float32 once. The product of two floats is exact in a double; the sum is rounded to odd, which
 * keeps enough of what was cut off for the last rounding to be right (Boldo and Melquiond, 2008).
 */
function fusedMultiplyAdd(a: number, b: number, c: number): number {
  const product = a * b;
  const sum = product + c;
  const added = sum - product;
  const error = product - (sum - added) + (c - added);
  double[0] = sum;
  const isEven = (doubleBits[0]! & 1n) === 0n;
  if (error !== 0 && isEven) doubleBits[0] = doubleBits[0]! + (error > 0 === sum > 0 ? 1n : -1n);
  return Math.fround(double[0]);
}

test('the twin of the fused multiply-add rounds once', () => {
  const factor = 1 + 2 ** -12;
  expect(fusedMultiplyAdd(factor, factor, -(1 + 2 ** -11))).toBe(2 ** -24);
  // Just below the middle of two floats: rounded to a double first, it would be the middle, and go to the even one.
  const [a, b, c] = [2 ** -12 * (1 + 2 ** -20), 2 ** -12 * (1 - 2 ** -20), 1 + 2 ** -23] as const;
  expect(Math.fround(a * b + c)).toBe(1 + 2 ** -22);
  expect(fusedMultiplyAdd(a, b, c)).toBe(1 + 2 ** -23);
});

describe('the module with relaxed SIMD', () => {
  test('fuses on this machine', () => {
    expect(isMultiplyAddFused(exports)).toBe(true);
  });

  const size = fc.integer({ min: 1, max: 30 });
  const sizes = fc.record({
    rows: fc.oneof(size, fc.constantFrom(1, 121, 130)),
    columns: fc.oneof(size, fc.constantFrom(1, 17)),
    depth: fc.oneof(size, fc.constantFrom(256, 270, 600)),
  });

  test('adds terms in the order of k, each rounded once, by blocks: to the last bit, in any layout and shape', () => {
    fc.assert(
      fc.property(sizes, fc.boolean(), fc.boolean(), fc.nat(1e6), (shape, leftTransposed, rightTransposed, seed) => {
        const { into, product, leftAt, rightAt } = place(shape, leftTransposed, rightTransposed, seed);
        product(fused);
        const { rows, columns, depth } = shape;
        const expected = Float32Array.from({ length: rows * columns }, (_, element) => {
          const [row, column] = [Math.floor(element / columns), element % columns];
          let total = 0;
          for (let begin = 0; begin < depth; begin += DEPTH_BLOCK) {
            let sum = 0;
            for (let k = begin; k < Math.min(depth, begin + DEPTH_BLOCK); k++) {
              sum = fusedMultiplyAdd(leftAt(row, k), rightAt(k, column), sum);
            }
            total = begin === 0 ? sum : Math.fround(total + sum);
          }
          return total;
        });
        expect(bits(floats.slice(into / 4, into / 4 + rows * columns))).toEqual(bits(expected));
      }),
      { numRuns: 60 },
    );
  });

  test('gives other bits than the one that rounds twice, though hardly other numbers', () => {
    const shape = { rows: 20, columns: 20, depth: 300 };
    const { into, product } = place(shape, false, true, 1);
    const results = [fused, plain].map((routines) => {
      product(routines);
      return floats.slice(into / 4, into / 4 + 400);
    });
    const [once, twice] = [results[0]!, results[1]!];
    expect(bits(once)).not.toEqual(bits(twice));
    for (const [i, value] of once.entries()) expect(value).toBeCloseTo(twice[i]!, 4);
  });

  test('touches nothing beyond its result and its packing scratch', () => {
    fc.assert(
      fc.property(sizes, fc.boolean(), fc.boolean(), (shape, leftTransposed, rightTransposed) => {
        const { product, fences } = place(shape, leftTransposed, rightTransposed, 1);
        for (const fence of fences) floats[fence / 4] = 77;
        product(fused);
        expect(fences.map((fence) => floats[fence / 4])).toEqual(fences.map(() => 77));
      }),
      { numRuns: 60 },
    );
  });
});

interface Shape {
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
}

/** Two operands of noise in memory, and everything around their product. */
function place({ rows, columns, depth }: Shape, leftTransposed: boolean, rightTransposed: boolean, seed: number) {
  const take = memoryPlan(64);
  const left = take(4 * rows * depth);
  const right = take(4 * depth * columns);
  const before = take(64);
  const into = take(4 * rows * columns);
  const after = take(64);
  const packing = take(packingBytes(rows, columns, depth));
  floats.set(noise(seed, rows * depth), left / 4);
  floats.set(noise(seed + 1, depth * columns), right / 4);
  const [leftRow, leftColumn] = leftTransposed ? [1, rows] : [depth, 1];
  const [rightRow, rightColumn] = rightTransposed ? [1, depth] : [columns, 1];
  return {
    into,
    fences: [before, into + 4 * rows * columns, after, packing + packingBytes(rows, columns, depth)],
    leftAt: (row: number, k: number) => floats[left / 4 + row * leftRow + k * leftColumn]!,
    rightAt: (k: number, column: number) => floats[right / 4 + k * rightRow + column * rightColumn]!,
    product: ({ multiply }: Routines) =>
      multiply(rows, columns, depth, left, leftRow, leftColumn, right, rightRow, rightColumn, into, columns, packing),
  };
}
