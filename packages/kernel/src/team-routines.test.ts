import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createJsKernel } from './js-kernel.js';
import { anyModel, bits, runCase, testCase } from './kernel.fixture.js';
import type { Kernel } from './kernel.js';
import { KERNEL_IDS } from './kernel-ids.js';
import type { LayerSpec, ModelSpec } from './model-spec.js';
import type { Routines } from './routines.js';
import { ALONE, type Team, teamRoutines } from './team-routines.js';
import { createWasmKernel } from './wasm-kernel.js';
import { wasmBytes, wasmInstance, wasmMemory } from './wasm-module.fixture.js';

const memory = wasmMemory(512);
const instance = wasmInstance(wasmBytes, memory);
const wasm = createWasmKernel(instance, memory);
const wasmWith = (team: Team): Kernel =>
  createWasmKernel(instance, memory, KERNEL_IDS.wasm, (routines) => teamRoutines(routines, team));

/** A place for packing far behind everything a test case takes. */
const OWN_SCRATCH = 2 ** 24;

/** A team that does pieces in an order drawn from `seed`, what was offered as late as it may, and packs elsewhere. */
function shuffledTeam(seed: number): Team {
  let state = seed;
  const offered: (() => void)[] = [];
  const below = (count: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return (state >>> 8) % count;
  };
  return {
    share(pieces, work) {
      const left = Array.from({ length: pieces }, (_, piece) => piece);
      while (left.length > 0) work(left.splice(below(left.length), 1)[0]!);
      for (const late of offered.splice(0)) late();
    },
    offer: (work) => void offered.push(work),
    ownScratch: () => OWN_SCRATCH,
  };
}

/** Wide enough for every routine to be cut: products into rectangles, loops into ranges. */
const WIDE: ModelSpec = {
  inputs: 101,
  outputs: 21,
  layers: [
    { kind: 'dense', units: 523 },
    { kind: 'tanh' },
    { kind: 'sigmoid' },
    { kind: 'layerNorm', epsilon: 1e-5 },
    { kind: 'gelu' },
    { kind: 'dropout', rate: 0.25 },
    { kind: 'softmax' },
    { kind: 'dense', units: 300 },
    { kind: 'leakyRelu', slope: 0.1 },
    { kind: 'dense', units: 21 },
  ] satisfies LayerSpec[],
  loss: { kind: 'softmaxCrossEntropy' },
  init: 'auto',
};

describe.each([
  ['one thread alone', (_seed: number) => ALONE],
  ['pieces in any order', shuffledTeam],
] as const)('cut for a team, %s', (_name, teamOf) => {
  const sameBits = (spec: ModelSpec, samples: number, seed: number) => {
    const given = testCase(spec, samples, seed);
    const expected = runCase(wasm, memory, 64, given);
    const cut = wasmWith(teamOf(seed));
    const actual = runCase(cut, memory, 64, given);
    expect(actual.sums).toEqual(expected.sums);
    expect(bits(actual.gradient)).toEqual(bits(expected.gradient));
    return { given, expected };
  };

  test('any small model has the bits of the whole', () => {
    fc.assert(
      fc.property(anyModel(45), fc.integer({ min: 0, max: 70 }), fc.nat(1e6), (spec, samples, seed) => {
        sameBits(spec, samples, seed);
      }),
      { numRuns: 60 },
    );
  });

  test.each([0, 3, 140])('a wide model and %i samples have the bits of the whole, in both engines', (samples) => {
    const { given, expected } = sameBits(WIDE, samples, samples + 1);
    const plain = createJsKernel(memory, (routines) => teamRoutines(routines, teamOf(3)));
    expect(bits(runCase(plain, memory, 64, given).gradient)).toEqual(bits(expected.gradient));
  });

  test('folds have the bits of the whole, to the last float', () => {
    const floats = new Float32Array(memory.buffer);
    const cut = wasmWith(teamOf(1));
    for (const count of [0, 3, 16_384, 50_003]) {
      const [into, right] = [64, 2 ** 20];
      for (let i = 0; i <= count; i++) {
        floats[into / 4 + i] = i;
        floats[right / 4 + i] = 0.5;
      }
      cut.fold(into, right, count);
      const folded = floats.subarray(into / 4, into / 4 + count);
      expect(folded.findIndex((value, i) => value !== i + 0.5)).toBe(-1);
      expect(floats[into / 4 + count]).toBe(count);
    }
  });
});

test('a routine that only one thread does returns its result to that one', () => {
  const floats = new Float32Array(memory.buffer, 64, 5).fill(2);
  const cut = wasmWith(ALONE);
  expect(cut.squareSum(64, 5)).toBe(20);
  expect(cut.hash(64, 20)).toBe(wasm.hash(64, 20));
  cut.scale(64, 5, 3);
  expect([...floats]).toEqual([6, 6, 6, 6, 6]);
});

test('a product is cut the same way whoever takes part, each rectangle computed once', () => {
  const cuts = [1, 2].map((seed) => {
    const calls: string[] = [];
    const recording = { ...instance } as unknown as Routines; // createWasmKernel has checked them
    const routines: Routines = { ...recording, multiply: (...operands) => void calls.push(operands.join()) };
    teamRoutines(routines, shuffledTeam(seed)).multiply(300, 700, 90, 64, 90, 1, 2 ** 20, 700, 1, 2 ** 22, 700, 0);
    return calls;
  });
  expect(cuts[0]).not.toEqual(cuts[1]); // another order
  expect(new Set(cuts[0])).toEqual(new Set(cuts[1]));
  expect(new Set(cuts[0]).size).toBe(cuts[0]!.length);
});
