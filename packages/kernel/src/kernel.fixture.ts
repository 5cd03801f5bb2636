/** Tensors of a test laid out in a linear memory, and models made at random. Not part of the package. */
import fc from 'fast-check';
import { compileModel } from './compile-model.js';
import { initialWeights } from './initial-weights.js';
import type { Kernel, LossSums, Program, SampleDraws } from './kernel.js';
import type { LinearMemory } from './linear-memory.js';
import type { LayerSpec, LossSpec, ModelSpec } from './model-spec.js';
import { philox4x32 } from './philox.js';

/** One micro-batch of a model, as plain arrays. */
export interface TestCase {
  readonly program: Program;
  readonly weights: Float32Array;
  readonly features: Float32Array;
  readonly targets: Float32Array;
  readonly samples: number;
  /** Absent: random layers draw for the first samples of epoch 3. */
  readonly draws?: SampleDraws;
}

/** What test cases draw from unless they say otherwise. */
export const testDraws: SampleDraws = { seed: 77, epoch: 3, firstPosition: 0 };

/** What a kernel made of a test case. */
export interface TestResult {
  readonly sums: LossSums;
  readonly gradient: Float32Array;
}

/** Hands out addresses, each a multiple of 64, from `begin` on. */
export function memoryPlan(begin: number): (bytes: number) => number {
  let next = begin;
  return (bytes) => {
    const address = next;
    next += Math.ceil(bytes / 64) * 64;
    return address;
  };
}

/** Numbers in (-1, 1) that look random and depend on `seed` and their place alone. */
export function noise(seed: number, count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => (philox4x32([i, seed, 0, 0], [1, 2])[0] / 2 ** 31 - 1) * 0.999);
}

/** A micro-batch with labels that suit the model's loss, biases included in what is random. */
export function testCase(spec: ModelSpec, samples: number, seed: number): TestCase {
  const program = compileModel(spec);
  const weights = initialWeights(program, seed);
  for (const { shape, offset, size } of program.parameters) {
    if (shape.length === 1) weights.set(noise(seed + offset + 1, size), offset);
  }
  const drawn = noise(seed + 7, samples * program.targetCount);
  const targets = drawn.map((value) => labelOf(spec, value));
  return { program, weights, features: noise(seed + 9, samples * spec.inputs), targets, samples };
}

/** Runs a test case; what was in memory before (here: noise) must not matter. */
export function runCase(kernel: Kernel, memory: LinearMemory, begin: number, given: TestCase): TestResult {
  const { program, samples } = given;
  const take = memoryPlan(begin);
  const put = (values: Float32Array) => {
    const address = take(values.byteLength);
    new Float32Array(memory.buffer, address, values.length).set(values);
    return address;
  };
  const at = {
    weights: put(given.weights),
    features: put(given.features),
    targets: put(given.targets),
    gradient: put(noise(5, program.parameterCount)),
    scratch: take(program.scratchBytes(samples)),
    samples,
    draws: given.draws ?? testDraws,
  };
  new Uint8Array(memory.buffer, at.scratch, program.scratchBytes(samples)).fill(0xff);
  const sums = kernel.gradient(program, at);
  const gradient = new Float32Array(memory.buffer, at.gradient, program.parameterCount).slice();
  if (isRandom(program.spec)) return { sums, gradient };
  const evaluated = kernel.evaluate(program, { ...at, gradient: 0 });
  for (const [name, value] of Object.entries(sums)) {
    if (!Object.is(value, evaluated[name as keyof LossSums])) throw new Error(`evaluate differs in ${name}`);
  }
  return { sums, gradient };
}

/** The bits of floats, so that NaN, -0 and the last digit count in a comparison. */
export function bits(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}

/** Whether training computes something else than evaluating. */
export function isRandom(spec: ModelSpec): boolean {
  return spec.layers.some(({ kind }) => kind === 'dropout');
}

/** Every loss, with settings that matter. */
export const allLosses: readonly LossSpec[] = [
  { kind: 'meanSquaredError' },
  { kind: 'huber', delta: 0.4 },
  { kind: 'binaryCrossEntropy' },
  { kind: 'binaryCrossEntropy', labelSmoothing: 0.2 },
  { kind: 'softmaxCrossEntropy' },
  { kind: 'softmaxCrossEntropy', labelSmoothing: 0.1 },
  { kind: 'hinge' },
];

/** The same loss with a weight for each class, no two alike. */
export function weighted(loss: LossSpec, outputs: number): LossSpec {
  if (loss.kind === 'meanSquaredError' || loss.kind === 'huber') return loss;
  const classes = outputs === 1 ? 2 : outputs;
  return { ...loss, classWeights: Array.from({ length: classes }, (_, index) => 0.3 + 0.7 * index) };
}

/** Every layer but dense, with settings that matter. */
const otherLayers: readonly LayerSpec[] = [
  { kind: 'relu' },
  { kind: 'leakyRelu', slope: 0.2 },
  { kind: 'gelu' },
  { kind: 'sigmoid' },
  { kind: 'tanh' },
  { kind: 'softmax' },
  { kind: 'dropout', rate: 0.4 },
  // A small epsilon makes much of the last digits of a row whose numbers are nearly equal, in truth as in the kernel.
  { kind: 'layerNorm', epsilon: 0.1 },
];

/** Models of up to three hidden layers in any order of kinds, of odd sizes below `widest`. */
export function anyModel(widest: number): fc.Arbitrary<ModelSpec> {
  const width = fc.integer({ min: 1, max: widest });
  const layer: fc.Arbitrary<LayerSpec> = fc.oneof(
    width.map((units): LayerSpec => ({ kind: 'dense', units })),
    fc.constantFrom(...otherLayers),
  );
  return fc
    .record({
      inputs: width,
      hidden: fc.array(layer, { maxLength: 5 }),
      loss: fc.constantFrom(...allLosses),
      weighs: fc.boolean(),
      classes: fc.integer({ min: 2, max: 13 }),
      binary: fc.boolean(),
    })
    .map(({ inputs, hidden, loss, weighs, classes, binary }) => {
      const single = loss.kind === 'binaryCrossEntropy' || (loss.kind === 'hinge' && binary);
      const outputs = single ? 1 : classes;
      const layers: LayerSpec[] = [...hidden, { kind: 'dense', units: outputs }];
      return { inputs, outputs, layers, loss: weighs ? weighted(loss, outputs) : loss, init: 'auto' };
    });
}

function labelOf(spec: ModelSpec, value: number): number {
  switch (spec.loss.kind) {
    case 'meanSquaredError':
    case 'huber':
      return value;
    case 'binaryCrossEntropy':
      return value > 0 ? 1 : 0;
    case 'hinge':
      if (spec.outputs === 1) return value > 0 ? 1 : 0;
      return Math.floor(((value + 1) / 2) * spec.outputs);
    case 'softmaxCrossEntropy':
      return Math.floor(((value + 1) / 2) * spec.outputs);
    default:
      return spec.loss satisfies never;
  }
}
