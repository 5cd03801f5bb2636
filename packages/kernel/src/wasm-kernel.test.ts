import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createJsKernel } from './js-kernel.js';
import { anyModel, bits, memoryPlan, noise, runCase, testCase } from './kernel.fixture.js';
import type { LayerSpec, ModelSpec } from './model-spec.js';
import { packingBytes } from './operations.js';
import type { Routines } from './routines.js';
import { createWasmKernel, isMultiplyAddFused, KERNEL_RESERVED_BYTES } from './wasm-kernel.js';
import {
  fusedWasmBytes,
  wasmBytes,
  wasmExports,
  wasmImports,
  wasmInstance,
  wasmMemory,
} from './wasm-module.fixture.js';

const memory = wasmMemory(512);
const exports = wasmInstance(wasmBytes, memory);
const wasm = createWasmKernel(exports, memory);
const js = createJsKernel(memory);
const kernels = [js, wasm];
const floats = new Float32Array(memory.buffer);

describe.each([
  ['kernel.wasm', wasmBytes],
  ['kernel-fma.wasm', fusedWasmBytes],
])('the module %s', (_name, bytes) => {
  test('imports the memory and nothing else, and exports nothing but functions', () => {
    expect(wasmImports(bytes)).toEqual([{ module: 'env', name: 'memory', kind: 'memory' }]);
    expect(wasmExports(bytes).filter(({ kind }) => kind !== 'function')).toEqual([]);
  });

  test('holds no static data and is small', () => {
    expect(sectionsOf(bytes).filter((id) => id === 11 || id === 12)).toEqual([]);
    expect(bytes.length).toBeLessThan(64 * 1024);
  });
});

describe('the module', () => {
  test('rounds a product before it is added', () => {
    expect(isMultiplyAddFused(exports)).toBe(false);
  });

  test('leaves the reserved bytes alone', () => {
    expect([...new Uint8Array(memory.buffer, 0, KERNEL_RESERVED_BYTES)].every((byte) => byte === 0)).toBe(true);
  });

  test('of other sources is refused with what it lacks', () => {
    expect(() => createWasmKernel({ ...exports, sumRows: undefined }, memory)).toThrow(/lacks sumRows/);
  });
});

describe('the two engines give the same bits', () => {
  const sameBits = (spec: ModelSpec, samples: number, seed: number) => {
    const given = testCase(spec, samples, seed);
    const [plain, fast] = [runCase(js, memory, 64, given), runCase(wasm, memory, 64, given)];
    expect(fast.sums).toEqual(plain.sums);
    expect(bits(fast.gradient)).toEqual(bits(plain.gradient));
  };

  test('for any small model and micro-batch', () => {
    fc.assert(
      fc.property(anyModel(45), fc.integer({ min: 0, max: 70 }), fc.nat(1e6), (spec, samples, seed) => {
        sameBits(spec, samples, seed);
      }),
      { numRuns: 120 },
    );
  });

  test.each([
    ['inputs', 523, 9, 7],
    ['units', 11, 300, 13],
    ['samples', 6, 9, 601],
  ])('when the sum over %s takes several depth blocks', (_what, inputs, units, samples) => {
    const layers: LayerSpec[] = [
      { kind: 'dense', units },
      { kind: 'tanh' },
      { kind: 'dense', units: 5 },
      { kind: 'sigmoid' },
      { kind: 'dense', units: 3 },
    ];
    const loss = { kind: 'softmaxCrossEntropy' } as const;
    sameBits({ inputs, outputs: 3, layers, loss, init: 'auto' }, samples, 4);
  });

  test('for products with a vector, which take ways of their own', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 600 }), fc.integer({ min: 0, max: 21 }), fc.nat(1e6), (inputs, n, seed) => {
        const layers: LayerSpec[] = [{ kind: 'dense', units: 1 }];
        sameBits({ inputs, outputs: 1, layers, loss: { kind: 'binaryCrossEntropy' }, init: 'auto' }, n, seed);
        const narrow: LayerSpec[] = [
          { kind: 'dense', units: 1 },
          { kind: 'dense', units: 19 },
        ];
        sameBits(
          { inputs: 3, outputs: 19, layers: narrow, loss: { kind: 'meanSquaredError' }, init: 'auto' },
          inputs,
          seed,
        );
        const wide: LayerSpec[] = [{ kind: 'dense', units: 23 }];
        sameBits({ inputs, outputs: 23, layers: wide, loss: { kind: 'meanSquaredError' }, init: 'auto' }, 1, seed);
      }),
      { numRuns: 25 },
    );
  });

  test('for layers of several blocks in every direction', () => {
    const layers: readonly LayerSpec[] = [
      { kind: 'dense', units: 140 },
      { kind: 'tanh' },
      { kind: 'dense', units: 530 },
    ];
    sameBits({ inputs: 1030, outputs: 530, layers, loss: { kind: 'meanSquaredError' }, init: 'auto' }, 9, 4);
  });

  test('for weights so large that activations saturate and losses are large', () => {
    fc.assert(
      fc.property(
        anyModel(20),
        fc.integer({ min: 1, max: 12 }),
        fc.constantFrom(1e3, 1e10, 1e-30),
        (spec, n, factor) => {
          const base = testCase(spec, n, 3);
          const given = { ...base, weights: base.weights.map((weight) => weight * factor) };
          const [plain, fast] = [runCase(js, memory, 64, given), runCase(wasm, memory, 64, given)];
          expect(fast.sums).toEqual(plain.sums);
          // A NaN is a NaN in both, but its payload is up to the processor.
          expect([...fast.gradient]).toEqual([...plain.gradient]);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('for folding, scaling and square sums of any length', () => {
    fc.assert(
      fc.property(fc.nat(70), fc.nat(1000), (count, seed) => {
        const results = kernels.map((kernel) => {
          const take = memoryPlan(64);
          const [into, right] = [take(4 * count), take(4 * count)] as const;
          const after = take(4);
          floats.set(noise(seed, count), into / 4);
          floats.set(noise(seed + 1, count), right / 4);
          floats[after / 4] = 77;
          kernel.fold(into, right, count);
          kernel.scale(into, count, 1 / 3);
          const sum = kernel.squareSum(into, count);
          const before = bits(floats.slice(into / 4, into / 4 + count));
          floats.set(noise(seed, count), into / 4);
          kernel.fold(into, right, count);
          expect(kernel.scaleSquareSum(into, count, 1 / 3)).toBe(sum);
          const values = floats.slice(into / 4, into / 4 + count);
          expect(bits(values)).toEqual(before);
          return { sum, values, untouched: floats[after / 4] };
        });
        expect(results[1]).toEqual(results[0]);
        expect(results[1]!.untouched).toBe(77);
      }),
      { numRuns: 60 },
    );
  });

  test('for the hash of any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (content) => {
        new Uint8Array(memory.buffer).set(content, 64);
        expect(wasm.hash(64, content.length)).toBe(js.hash(64, content.length));
      }),
    );
  });
});

test('a matrix product touches nothing beyond its result and its packing scratch, in any of the three layouts', () => {
  const { multiply } = exports as unknown as Routines; // checked by createWasmKernel above
  const size = fc.integer({ min: 1, max: 30 });
  const sizes = fc.record({
    rows: fc.oneof(size, fc.constant(130)),
    columns: size,
    depth: fc.oneof(size, fc.constant(270)),
  });
  fc.assert(
    fc.property(sizes, fc.boolean(), fc.boolean(), ({ rows, columns, depth }, leftTransposed, rightTransposed) => {
      const take = memoryPlan(64);
      const left = take(4 * rows * depth);
      const right = take(4 * depth * columns);
      const [fenceBefore, into, fenceAfter] = [take(64), take(4 * rows * columns), take(64)] as const;
      const packing = take(packingBytes(rows, columns, depth));
      const fences = [fenceBefore, fenceAfter, into + 4 * rows * columns, packing + packingBytes(rows, columns, depth)];
      floats.set(noise(1, rows * depth), left / 4);
      floats.set(noise(2, depth * columns), right / 4);
      for (const fence of fences) floats[fence / 4] = 77;
      const leftStrides: Strides = leftTransposed ? [1, rows] : [depth, 1];
      const rightStrides: Strides = rightTransposed ? [1, depth] : [columns, 1];
      multiply(rows, columns, depth, left, ...leftStrides, right, ...rightStrides, into, columns, packing);
      expect(fences.map((fence) => floats[fence / 4])).toEqual([77, 77, 77, 77]);
      const lastLeft = left / 4 + (rows - 1) * leftStrides[0];
      const lastRight = right / 4 + (columns - 1) * rightStrides[1];
      let expected = 0;
      for (let k = 0; k < depth; k++) {
        expected += floats[lastLeft + k * leftStrides[1]]! * floats[lastRight + k * rightStrides[0]]!;
      }
      expect(floats[into / 4 + rows * columns - 1]).toBeCloseTo(expected, 4);
    }),
    { numRuns: 60 },
  );
});

test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
  'a square sum over %s anywhere is not finite',
  (value) => {
    for (const kernel of kernels) {
      for (let place = 0; place < 11; place++) {
        floats.set(noise(1, 11), 16);
        floats[16 + place] = value;
        expect(Number.isFinite(kernel.squareSum(64, 11))).toBe(false);
      }
    }
  },
);

test.each(kernels)('in $id a NaN among the features reaches the loss through every activation', (kernel) => {
  const between: readonly LayerSpec[] = [
    { kind: 'relu' },
    { kind: 'leakyRelu', slope: 0.1 },
    { kind: 'gelu' },
    { kind: 'sigmoid' },
    { kind: 'tanh' },
    { kind: 'softmax' },
    { kind: 'layerNorm', epsilon: 1e-5 },
  ];
  for (const layer of between) {
    const layers: LayerSpec[] = [{ kind: 'dense', units: 5 }, layer, { kind: 'dense', units: 3 }];
    const loss = { kind: 'softmaxCrossEntropy' } as const;
    const given = testCase({ inputs: 4, outputs: 3, layers, loss, init: 'auto' }, 6, 2);
    const features = given.features.map((value, i) => (i === 9 ? Number.NaN : value));
    expect(runCase(kernel, memory, 64, { ...given, features }).sums.lossSum, layer.kind).toBeNaN();
  }
});

test.each(kernels)('$id trains to the recorded bits', (kernel) => {
  const layers: LayerSpec[] = [
    { kind: 'dense', units: 37 },
    { kind: 'relu' },
    { kind: 'dense', units: 18 },
    { kind: 'tanh' },
    { kind: 'dense', units: 11 },
    { kind: 'sigmoid' },
    { kind: 'dense', units: 5 },
  ];
  const loss = { kind: 'softmaxCrossEntropy' } as const;
  const given = testCase({ inputs: 260, outputs: 5, layers, loss, init: 'auto' }, 45, 8);
  const { program, samples } = given;
  const size = 4 * program.parameterCount;
  const take = memoryPlan(64);
  const [weights, gradient, first, second] = [take(size), take(size), take(size), take(size)] as const;
  const at = { weights, gradient, features: take(4 * 260 * samples), targets: take(4 * samples), samples };
  const scratch = take(program.scratchBytes(samples));
  floats.set(given.weights, weights / 4);
  floats.set(given.features, at.features / 4);
  floats.set(given.targets, at.targets / 4);
  floats.fill(0, first / 4, (second + size) / 4);
  const optimizer = { kind: 'adam', learningRate: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } as const;
  const losses: number[] = [];
  for (let step = 0; step < 20; step++) {
    losses.push(kernel.gradient(program, { ...at, scratch }).lossSum / samples);
    kernel.scale(gradient, program.parameterCount, 1 / samples);
    const update = { weights, gradient, state: [first, second], count: program.parameterCount };
    kernel.update(optimizer, update, step, 0.01);
  }
  expect(losses.at(-1)).toBeLessThan(losses[0]! / 2);
  const trained = Buffer.from(memory.buffer.slice(weights, weights + size));
  expect(createHash('sha256').update(trained).digest('hex')).toBe(
    '830b7f741dc812721275b1524201b0ce902d57e18c819820febddb5aab7575f5',
  );
  expect(kernel.hash(weights, size).toString(16)).toBe('ece08e45d48cc2d');
});

/** From one row to the next, from one column to the next. */
type Strides = readonly [number, number];

/** Ids of a module's sections, from the binary format's section 5.5. */
function sectionsOf(binary: Uint8Array): number[] {
  const ids: number[] = [];
  for (let at = 8; at < binary.length; ) {
    ids.push(binary[at]!);
    at++;
    let size = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = binary[at]!;
      at++;
      size |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    at += size;
  }
  return ids;
}
