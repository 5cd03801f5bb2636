import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createJsKernel } from './js-kernel.js';
import { bits, memoryPlan, noise } from './kernel.fixture.js';
import type { Kernel, UpdateAddresses, UpdateTerms } from './kernel.js';
import type { LambSpec, OptimizerSpec, SingleUpdateSpec } from './model-spec.js';
import { optimizerSlotNames, optimizerSlots } from './optimizer-slots.js';
import { createWasmKernel } from './wasm-kernel.js';
import { wasmBytes, wasmInstance, wasmMemory } from './wasm-module.fixture.js';

const memory = wasmMemory(16);
const kernels = [createJsKernel(memory), createWasmKernel(wasmInstance(wasmBytes, memory), memory)];
const floats = new Float32Array(memory.buffer);

const ADAM = { learningRate: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } as const;
const LAMB: LambSpec = { kind: 'lamb', ...ADAM, epsilon: 1e-6, weightDecay: 0.01 };
const optimizers: readonly OptimizerSpec[] = [
  { kind: 'sgd', learningRate: 0.1 },
  { kind: 'momentum', learningRate: 0.1, momentum: 0.9, nesterov: false },
  { kind: 'momentum', learningRate: 0.1, momentum: 0.9, nesterov: true },
  { kind: 'adagrad', learningRate: 0.1, epsilon: 1e-10 },
  { kind: 'rmsprop', learningRate: 0.1, decay: 0.99, epsilon: 1e-8, momentum: 0 },
  { kind: 'rmsprop', learningRate: 0.1, decay: 0.99, epsilon: 1e-8, momentum: 0.9 },
  { kind: 'adam', ...ADAM },
  { kind: 'adamw', ...ADAM, weightDecay: 0.01 },
  LAMB,
];

/** XXH64 of weights after five updates, clipped and with decay. Change with a kernel's number only. */
const GOLDEN = [
  'e2688a422d4fd2fb',
  '487583b5423d925e',
  'f016aafb66906182',
  '6d7438dfba077e26',
  'ff286ec3e8689c43',
  'bc597e913f628b28',
  'f25868cfd18bcec1',
  '8cdb6c8f291c9b31',
  '47c99427bb083748',
];

/** One update of one range: all of it but for LAMB's trust ratio, which is 1 here. */
function update(kernel: Kernel, optimizer: OptimizerSpec, at: UpdateAddresses, step: number, terms?: UpdateTerms) {
  const rate = 0.1 / (step + 1);
  if (optimizer.kind !== 'lamb') {
    kernel.update(optimizer, at, step, rate, terms);
    return;
  }
  kernel.lambDirection(optimizer, at, step, terms);
  kernel.descend(at.weights, at.gradient, at.count, rate);
}

/** Weights, gradient and state after some updates, each made range by range. */
function afterUpdates(
  kernel: Kernel,
  optimizer: OptimizerSpec,
  count: number,
  { cuts = [], terms, steps = 3 }: { cuts?: readonly number[]; terms?: UpdateTerms | undefined; steps?: number } = {},
): readonly Float32Array[] {
  const take = memoryPlan(64);
  const tensors = Array.from({ length: 2 + optimizerSlots(optimizer) }, () => take(4 * count));
  const after = take(4);
  for (const [index, tensor] of tensors.entries())
    floats.set(noise(index, count).map(index < 2 ? own : Math.abs), tensor / 4);
  floats[after / 4] = 77;
  const ends = [...cuts.map((cut) => Math.min(count, cut)), count].toSorted((a, b) => a - b);
  for (let step = 0; step < steps; step++) {
    floats.set(noise(step + 9, count), tensors[1]! / 4);
    for (const [index, end] of ends.entries()) {
      const begin = ends[index - 1] ?? 0;
      const [weights, gradient, ...state] = tensors.map((tensor) => tensor + 4 * begin) as [number, number]; // at least two
      update(kernel, optimizer, { weights, gradient, state, count: end - begin }, step, terms);
    }
  }
  expect(floats[after / 4]).toBe(77);
  return tensors.map((tensor) => floats.slice(tensor / 4, tensor / 4 + count));
}

const own = (value: number): number => value;
const bitsOfAll = (tensors: readonly Float32Array[]) => tensors.map(bits);
const factors = fc.record({
  gradientFactor: fc.constantFrom(1, Math.fround(0.3)),
  weightDecay: fc.constantFrom(0, 0.05),
});

describe.each(optimizers)('%o', (optimizer) => {
  test('gives the same bits in both kernels, in one piece or cut anywhere', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 75 }),
        fc.array(fc.nat(75), { maxLength: 3 }),
        factors,
        (count, cuts, terms) => {
          const [plain, fast] = kernels.map((kernel) => bitsOfAll(afterUpdates(kernel, optimizer, count, { terms })));
          expect(fast).toEqual(plain);
          for (const kernel of kernels) {
            expect(bitsOfAll(afterUpdates(kernel, optimizer, count, { cuts, terms }))).toEqual(plain);
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  test('takes a factor of 1 and no decay as if neither had been asked for, even for zeros of either sign', () => {
    for (const kernel of kernels) {
      const plain = bitsOfAll(afterUpdates(kernel, optimizer, 30));
      const terms = { gradientFactor: 1, weightDecay: 0 };
      expect(bitsOfAll(afterUpdates(kernel, optimizer, 30, { terms }))).toEqual(plain);
    }
  });

  test.each([{}, { gradientFactor: 0.25 }, { weightDecay: 0.03 }, { gradientFactor: 0.25, weightDecay: 0.03 }])(
    'takes the steps of its formula in doubles with %o',
    (terms) => {
      const count = 9;
      const [weights] = afterUpdates(kernels[1]!, optimizer, count, { terms, steps: 5 });
      for (let i = 0; i < count; i++) {
        const state = noise(2, count).map(Math.abs)[i]!;
        let expected: State64 = {
          weight: noise(0, count)[i]!,
          first: state,
          second: noise(3, count).map(Math.abs)[i]!,
        };
        for (let step = 0; step < 5; step++)
          expected = step64(optimizer, expected, noise(step + 9, count)[i]!, step, terms);
        expect(weights![i]).toBeCloseTo(expected.weight, 5);
      }
    },
  );

  test('without its state is refused', () => {
    const slots = optimizerSlots(optimizer);
    if (slots === 0) return;
    const state = Array.from({ length: slots - 1 }, () => 192);
    const at = { weights: 64, gradient: 128, state, count: 1 };
    expect(() => update(kernels[0]!, optimizer, at, 0)).toThrow(`at least ${slots} state slots, received ${slots - 1}`);
  });
});

test('clipping as a factor of the update gives the bits of scaling first', () => {
  const optimizer: SingleUpdateSpec = { kind: 'adam', ...ADAM };
  for (const kernel of kernels) {
    const factor = Math.fround(0.3);
    const [folded] = afterUpdates(kernel, optimizer, 41, { terms: { gradientFactor: factor }, steps: 1 });
    const take = memoryPlan(64);
    const [weights, gradient, ...state] = Array.from({ length: 4 }, () => take(4 * 41)) as [number, number]; // four
    for (const [index, tensor] of [weights, gradient, ...state].entries()) {
      floats.set(noise(index, 41).map(index < 2 ? own : Math.abs), tensor / 4);
    }
    floats.set(noise(9, 41), gradient / 4);
    kernel.scale(gradient, 41, factor);
    kernel.update(optimizer, { weights, gradient, state, count: 41 }, 0, 0.1);
    expect(bits(floats.slice(weights / 4, weights / 4 + 41))).toEqual(bits(folded!));
  }
});

test('a gradient of zeros moves no weight that does not decay', () => {
  for (const kernel of kernels) {
    for (const optimizer of optimizers) {
      const take = memoryPlan(64);
      const [weights, gradient, ...state] = Array.from({ length: 4 }, () => take(4 * 7)) as [number, number]; // four
      floats.fill(0, weights / 4, take(0) / 4);
      floats.set(noise(1, 7), weights / 4);
      update(kernel, optimizer, { weights, gradient, state, count: 7 }, 0);
      expect([...floats.slice(weights / 4, weights / 4 + 7)], optimizer.kind).toEqual([...noise(1, 7)]);
    }
  }
});

test('every optimizer goes to the recorded bits', () => {
  for (const kernel of kernels) {
    const hashes = optimizers.map((optimizer) => {
      const [weights] = afterUpdates(kernel, optimizer, 101, {
        terms: { gradientFactor: 0.7, weightDecay: 0.03 },
        steps: 5,
      });
      floats.set(weights!, 16);
      return kernel.hash(64, 404).toString(16);
    });
    expect(hashes, kernel.id).toEqual(GOLDEN);
  }
});

test('each optimizer names the state it keeps', () => {
  expect(optimizers.map((optimizer) => optimizerSlotNames(optimizer))).toEqual([
    [],
    ['velocity'],
    ['velocity'],
    ['squareSum'],
    ['secondMoment'],
    ['secondMoment', 'velocity'],
    ['firstMoment', 'secondMoment'],
    ['firstMoment', 'secondMoment'],
    ['firstMoment', 'secondMoment'],
  ]);
});

interface State64 {
  readonly weight: number;
  readonly first: number;
  readonly second: number;
}

/** One update in double precision, from the formulas of PyTorch's documentation; LAMB with a trust ratio of 1. */
function step64(
  optimizer: OptimizerSpec,
  { weight, first, second }: State64,
  gradient: number,
  step: number,
  { gradientFactor = 1, weightDecay = 0 }: UpdateTerms,
): State64 {
  const rate = 0.1 / (step + 1);
  const clipped = gradientFactor * gradient;
  const g = clipped + weightDecay * weight;
  switch (optimizer.kind) {
    case 'sgd':
      return { weight: weight - rate * g, first, second };
    case 'momentum': {
      const velocity = optimizer.momentum * first + g;
      const direction = optimizer.nesterov ? g + optimizer.momentum * velocity : velocity;
      return { weight: weight - rate * direction, first: velocity, second };
    }
    case 'adagrad': {
      const sum = first + g * g;
      return { weight: weight - (rate * g) / (Math.sqrt(sum) + optimizer.epsilon), first: sum, second };
    }
    case 'rmsprop': {
      const { decay, epsilon, momentum } = optimizer;
      const squares = decay * first + (1 - decay) * g * g;
      const velocity = (momentum > 0 ? momentum * second : 0) + g / (Math.sqrt(squares) + epsilon);
      return { weight: weight - rate * velocity, first: squares, second: velocity };
    }
    case 'adam': {
      const { direction, ...moments } = adam64(optimizer, { weight, first, second }, g, step);
      return { weight: weight - rate * direction, ...moments };
    }
    case 'adamw': {
      const { direction, ...moments } = adam64(optimizer, { weight, first, second }, clipped, step);
      return { weight: weight * (1 - rate * weightDecay) - rate * direction, ...moments };
    }
    case 'lamb': {
      const { direction, ...moments } = adam64(optimizer, { weight, first, second }, clipped, step);
      return { weight: weight - rate * (direction + weightDecay * weight), ...moments };
    }
    default:
      return optimizer satisfies never;
  }
}

function adam64(
  { beta1, beta2, epsilon }: { readonly beta1: number; readonly beta2: number; readonly epsilon: number },
  { first, second }: State64,
  g: number,
  step: number,
) {
  const m = beta1 * first + (1 - beta1) * g;
  const v = beta2 * second + (1 - beta2) * g * g;
  const mHat = m / (1 - beta1 ** (step + 1));
  const vHat = v / (1 - beta2 ** (step + 1));
  return { direction: mHat / (Math.sqrt(vHat) + epsilon), first: m, second: v };
}
