import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { maskOf } from './dropout-mask.js';
import { createJsKernel } from './js-kernel.js';
import { bits, memoryPlan, runCase, type TestCase, testCase } from './kernel.fixture.js';
import type { SampleDraws } from './kernel.js';
import type { LayerSpec, ModelSpec } from './model-spec.js';
import type { Routines } from './routines.js';
import { createWasmKernel } from './wasm-kernel.js';
import { wasmBytes, wasmInstance, wasmMemory } from './wasm-module.fixture.js';

const memory = wasmMemory(256);
const instance = wasmInstance(wasmBytes, memory);
const floats = new Float32Array(memory.buffer);
const kernels = [createJsKernel(memory), createWasmKernel(instance, memory)];
const { dropout } = instance as unknown as Routines; // checked by createWasmKernel above

/** What dropout makes of ones: [rows, width]. */
function maskOfOnes(draws: SampleDraws, layer: number, rate: number, rows: number, width: number): Float32Array {
  const take = memoryPlan(64);
  const [from, into] = [take(4 * rows * width), take(4 * rows * width)] as const;
  floats.fill(1, from / 4, from / 4 + rows * width);
  const { key, threshold, factor } = maskOf(draws, layer, rate);
  dropout(from, into, rows, width, draws.firstPosition, key[0], key[1], threshold, factor);
  return floats.slice(into / 4, into / 4 + rows * width);
}

const dropped = (mask: Float32Array): number => mask.filter((value) => value === 0).length;
const draws: SampleDraws = { seed: 9, epoch: 2, firstPosition: 1000 };

test.each([0.1, 0.5, 0.9])('a share of %f of the units is dropped, in rows, columns and as a whole', (rate) => {
  const [rows, width] = [400, 250];
  const mask = maskOfOnes(draws, 1, rate, rows, width);
  /** Six standard errors of a share of `count` independent draws. */
  const bound = (count: number): number => 6 * Math.sqrt((rate * (1 - rate)) / count);
  expect(Math.abs(dropped(mask) / mask.length - rate)).toBeLessThan(bound(mask.length));
  for (let row = 0; row < rows; row++) {
    const share = dropped(mask.subarray(row * width, (row + 1) * width)) / width;
    expect(Math.abs(share - rate)).toBeLessThan(bound(width));
  }
  for (let column = 0; column < width; column++) {
    const share = dropped(mask.filter((_, i) => i % width === column)) / rows;
    expect(Math.abs(share - rate)).toBeLessThan(bound(rows));
  }
});

test('what is kept is scaled by 1 / (1 - rate), so that the mean stays', () => {
  const mask = maskOfOnes(draws, 1, 0.2, 300, 300);
  expect(new Set(mask)).toEqual(new Set([0, Math.fround(1 / 0.8)]));
  expect(mask.reduce((sum, value) => sum + value, 0) / mask.length).toBeCloseTo(1, 1);
});

describe('masks are independent', () => {
  const mask = maskOfOnes(draws, 1, 0.5, 64, 64);
  test.each<[string, SampleDraws, number]>([
    ['another seed', { ...draws, seed: 10 }, 1],
    ['a seed that differs above 32 bits', { ...draws, seed: 9 + 2 ** 40 }, 1],
    ['another epoch', { ...draws, epoch: 3 }, 1],
    ['another layer', draws, 2],
    ['other samples', { ...draws, firstPosition: 5000 }, 1],
    ['samples 2³² further', { ...draws, firstPosition: 1000 + 2 ** 32 }, 1],
  ])('of those of %s', (_what, otherDraws, layer) => {
    const other = maskOfOnes(otherDraws, layer, 0.5, 64, 64);
    const same = mask.filter((value, i) => value === other[i]).length;
    // Half of them by chance, within six standard errors.
    expect(Math.abs(same / mask.length - 0.5)).toBeLessThan(3 / Math.sqrt(mask.length));
  });
});

test('a cut of the samples anywhere leaves every mask as it is, also across 2³²', () => {
  const cases = fc.record({
    rows: fc.integer({ min: 2, max: 20 }),
    width: fc.integer({ min: 1, max: 70 }),
    first: fc.constantFrom(0, 77, 2 ** 32 - 5, 2 ** 50),
    cut: fc.nat(18),
  });
  fc.assert(
    fc.property(cases, ({ rows, width, first, cut: anywhere }) => {
      const cut = Math.min(anywhere, rows - 1);
      const at = (firstPosition: number): SampleDraws => ({ seed: 5, epoch: 0, firstPosition });
      const whole = maskOfOnes(at(first), 3, 0.3, rows, width);
      const upper = maskOfOnes(at(first), 3, 0.3, cut, width);
      const lower = maskOfOnes(at(first + cut), 3, 0.3, rows - cut, width);
      expect([...upper, ...lower]).toEqual([...whole]);
    }),
  );
});

const spec = (layers: readonly LayerSpec[]): ModelSpec => ({
  inputs: 21,
  outputs: 3,
  layers: [...layers, { kind: 'dense', units: 3 }],
  loss: { kind: 'softmaxCrossEntropy' },
  init: 'auto',
});

/** Keeps the name of each parameter, so that layers may come and go before it. */
function withWeightsOf(given: TestCase, other: TestCase): TestCase {
  return { ...given, weights: other.weights };
}

test.each(kernels)('in $id an evaluation knows no dropout, in whatever place', (kernel) => {
  const plain = testCase(spec([{ kind: 'dense', units: 18 }, { kind: 'tanh' }]), 7, 4);
  const layers: LayerSpec[] = [
    { kind: 'dropout', rate: 0.5 },
    { kind: 'dense', units: 18 },
    { kind: 'tanh' },
    { kind: 'dropout', rate: 0.9 },
    { kind: 'dropout', rate: 0.1 },
  ];
  const random = withWeightsOf(testCase(spec(layers), 7, 4), plain);
  const take = memoryPlan(64);
  const put = (values: Float32Array): number => {
    const address = take(values.byteLength);
    floats.set(values, address / 4);
    return address;
  };
  const evaluated = [plain, random].map(({ program, weights, features, targets, samples }) => {
    const scratch = take(program.scratchBytes(samples));
    const at = { weights: put(weights), features: put(features), targets: put(targets), gradient: 0, scratch, samples };
    return kernel.evaluate(program, at);
  });
  expect(evaluated[1]).toEqual(evaluated[0]);
  expect(runCase(kernel, memory, 64, random).sums.lossSum).not.toBe(evaluated[0]!.lossSum);
});

test.each(kernels)('in $id a dropout of rate 0 changes no bit, and needs no draws', (kernel) => {
  const plain = testCase(spec([{ kind: 'dense', units: 18 }, { kind: 'relu' }]), 7, 4);
  const layers: LayerSpec[] = [{ kind: 'dense', units: 18 }, { kind: 'dropout', rate: 0 }, { kind: 'relu' }];
  const idle = withWeightsOf(testCase(spec(layers), 7, 4), plain);
  const results = [plain, idle].map((given) => runCase(kernel, memory, 64, given));
  expect(bits(results[1]!.gradient)).toEqual(bits(results[0]!.gradient));
});

test('a gradient with dropout but nothing to draw from is refused by layer', () => {
  const { program } = testCase(spec([{ kind: 'dropout', rate: 0.5 }]), 1, 1);
  const at = { weights: 64, features: 640, targets: 1280, gradient: 1920, scratch: 2560, samples: 1 };
  for (const kernel of kernels) expect(() => kernel.gradient(program, at)).toThrow(/layers\[0\] dropout/);
});

test('units of a mask do not follow each other in a pattern', () => {
  const [rows, width] = [200, 200];
  const mask = maskOfOnes(draws, 0, 0.5, rows, width);
  for (const lag of [1, 2, 4, 16, width, 16 * width]) {
    const pairs = mask.length - lag;
    const alike = mask.subarray(0, pairs).filter((value, i) => value === mask[i + lag]).length;
    expect(Math.abs(alike / pairs - 0.5), `lag ${lag}`).toBeLessThan(3 / Math.sqrt(pairs));
  }
});
