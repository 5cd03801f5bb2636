import assert from 'node:assert/strict';
import fc from 'fast-check';
import { test } from 'vitest';
import { compileModel, type ModelSpec, type OptimizerSpec, WIRE_FORMATS, type WireFormat } from '#kernel';
import { openAveragerEngine } from './averager-engine.js';
import {
  asFloats,
  assertSameBits,
  BATCH,
  bitsOf,
  initialWeights,
  MICRO_BATCHES,
  MODEL,
  optionsOf,
  prepare,
  receiveWeights,
  TRAIN_SAMPLES,
  WIDE_MODEL,
} from './engine.fixture.js';
import type { AverageRequest, AveragerEngine, AveragerEngineOptions, KernelName } from './engine.js';
import { patternedFloats } from './patterned-floats.js';
import { cutStep } from './reduction-tree.fixture.js';
import type { Subtree } from './reduction-tree.js';
import { openWorkerEngine } from './worker-engine.js';

const SGD: OptimizerSpec = { kind: 'sgd', learningRate: 1 };
const ADAM = { kind: 'adam', learningRate: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } as const;
const LAMB: OptimizerSpec = { ...ADAM, kind: 'lamb', epsilon: 1e-6, weightDecay: 0.01 };
const OPTIMIZERS: readonly OptimizerSpec[] = [
  SGD,
  { kind: 'momentum', learningRate: 0.01, momentum: 0.9, nesterov: true },
  { kind: 'adagrad', learningRate: 0.01, epsilon: 1e-10 },
  { kind: 'rmsprop', learningRate: 0.01, decay: 0.99, epsilon: 1e-8, momentum: 0.9 },
  ADAM,
  { ...ADAM, kind: 'adamw', weightDecay: 0.01 },
  LAMB,
];

const averagerOf = (
  kernel: KernelName,
  threads: number,
  optimizer: OptimizerSpec,
  model = WIDE_MODEL,
): AveragerEngineOptions => ({
  kernel,
  threads,
  model,
  optimizer,
  microBatches: MICRO_BATCHES,
});

const WHOLE = { step: 0, blocks: [{ slot: 0, begin: 0, end: MICRO_BATCHES }], sampleCount: 4, learningRate: 1 };

/** Puts the same gradient into slot 0 each time. */
function receive(engine: AveragerEngine, gradient: Float32Array): void {
  asFloats(engine.inbox(0)).set(gradient);
}

test('the mean is the sum scaled once by the rounded reciprocal of the samples, and its norm is reported', async () => {
  for (const threads of [1, 2, 3]) {
    await using engine = await openAveragerEngine(averagerOf('wasm', threads, SGD));
    const sum = patternedFloats(engine.parameterCount, 4, 8);
    receive(engine, sum);
    const { gradientNorm, finite, weightsHash, computeMs } = await engine.average({ ...WHOLE, sampleCount: 3 });
    const mean = sum.map((value) => value * Math.fround(1 / 3));
    assertSameBits(
      engine.weights,
      mean.map((value) => 0 - value),
    );
    const norm = Math.sqrt(mean.reduce((total, value) => total + value * value, 0));
    assert.ok(Math.abs(gradientNorm / norm - 1) < 1e-12);
    assert.ok(finite && computeMs > 0);
    assert.match(weightsHash, /^[0-9a-f]{16}$/);
  }
});

test('a mean longer than clipNorm is shortened to it, a shorter one is left alone', async () => {
  await using engine = await openAveragerEngine(averagerOf('wasm', 2, SGD));
  const sum = patternedFloats(engine.parameterCount, 4, 8);
  receive(engine, sum);
  const free = await engine.average(WHOLE);
  const freeWeights = bitsOf(engine.weights);

  engine.weights.fill(0);
  receive(engine, sum);
  const clipped = await engine.average({ ...WHOLE, clipNorm: 2 });
  assert.equal(clipped.gradientNorm, free.gradientNorm, 'the norm is the one before clipping');
  const taken = Math.sqrt(engine.weights.reduce((total, value) => total + value * value, 0));
  assert.ok(Math.abs(taken / 2 - 1) < 1e-6, `took a step of length ${taken}`);

  engine.weights.fill(0);
  receive(engine, sum);
  const unclipped = await engine.average({ ...WHOLE, clipNorm: free.gradientNorm });
  assertSameBits(engine.weights, freeWeights);
  assert.equal(unclipped.weightsHash, free.weightsHash);
});

test('a mean with one NaN or infinity anywhere changes neither weights nor optimizer state', async () => {
  await using engine = await openAveragerEngine(averagerOf('wasm', 2, ADAM));
  const { parameterCount } = engine;
  engine.weights.set(initialWeights(WIDE_MODEL));
  engine.optimizerState.set(patternedFloats(2 * parameterCount, 5, 1).map(Math.abs));
  const weights = bitsOf(engine.weights);
  const state = bitsOf(engine.optimizerState);
  const hashes = new Set<string>();
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    for (const at of [0, 16_384, parameterCount - 1]) {
      const gradient = patternedFloats(parameterCount, 6, 1);
      gradient[at] = bad;
      receive(engine, gradient);
      const result = await engine.average({ ...WHOLE, clipNorm: 1 });
      assert.equal(result.finite, false);
      assert.equal(Number.isFinite(result.gradientNorm), false);
      assertSameBits(engine.weights, weights);
      assertSameBits(engine.optimizerState, state);
      hashes.add(result.weightsHash);
    }
  }
  assert.equal(hashes.size, 1, 'the hash is that of the weights that stayed');
});

test('a slot opened late leaves earlier views valid and is seen by every thread', async () => {
  for (const kernel of ['js', 'wasm'] as const) {
    await using engine = await openAveragerEngine(averagerOf(kernel, 2, SGD));
    const first = engine.inbox(0);
    const { parameterCount } = engine;
    receive(engine, patternedFloats(parameterCount, 1, 1));
    await engine.average(WHOLE); // threads have seen the memory as it was
    engine.weights.fill(0);
    const left = patternedFloats(parameterCount, 2, 1);
    const right = patternedFloats(parameterCount, 3, 1);
    asFloats(first).set(left);
    asFloats(engine.inbox(700)).set(right); // 790 MB further on
    assert.equal(engine.inbox(0), first);
    assertSameBits(first, left);
    const half = MICRO_BATCHES / 2;
    const blocks = [
      { slot: 700, begin: half, end: MICRO_BATCHES },
      { slot: 0, begin: 0, end: half },
    ];
    await engine.average({ ...WHOLE, blocks });
    assertSameBits(
      engine.weights,
      left.map((value, p) => 0 - Math.fround(value + right[p]!) / 4),
    );
  }
});

/** Three epochs of training, each step cut anew by `cutOf`. Returns what must not depend on it. */
async function train(
  kernel: KernelName,
  threads: number,
  optimizer: OptimizerSpec,
  model: ModelSpec,
  cutOf: () => readonly Subtree[],
  { l2 = 0, wire = 'float32' }: { readonly l2?: number; readonly wire?: WireFormat } = {},
): Promise<{ readonly hashes: readonly string[]; readonly norms: readonly number[] }> {
  await using worker = await openWorkerEngine({ ...optionsOf(kernel, threads, model), wire });
  await using averager = await openAveragerEngine({
    ...averagerOf(kernel, threads, optimizer, model),
    ...{ l2, wire, seed: 11 },
  });
  averager.weights.set(initialWeights(model));
  prepare(worker, model);
  const hashes: string[] = [];
  const norms: number[] = [];
  for (let epoch = 0; epoch < 3; epoch++) {
    for (let firstPosition = 0; firstPosition < TRAIN_SAMPLES; firstPosition += BATCH) {
      const step = hashes.length;
      const endPosition = Math.min(firstPosition + BATCH, TRAIN_SAMPLES);
      const blocks: AverageRequest['blocks'][number][] = [];
      for (const [slot, block] of cutOf().entries()) {
        const { gradient } = await worker.computeGradient({ step, epoch, firstPosition, endPosition, ...block });
        averager.inbox(slot).set(gradient);
        blocks.push({ slot, ...block });
      }
      const sampleCount = endPosition - firstPosition;
      const averaged = await averager.average({ step, blocks, sampleCount, learningRate: 0.01, clipNorm: 1 });
      assert.ok(averaged.finite);
      hashes.push(averaged.weightsHash);
      norms.push(averaged.gradientNorm);
      receiveWeights(worker, averager);
    }
  }
  return { hashes, norms };
}

const uncut = (): readonly Subtree[] => [{ begin: 0, end: MICRO_BATCHES }];

test.each(WIRE_FORMATS)(
  'in %s, training gives the same weights however each step is cut, for any number of threads',
  async (wire) => {
    const calm = await train('wasm', 1, ADAM, WIDE_MODEL, uncut, { wire });
    assert.equal(new Set(calm.hashes).size, 9, 'every step changes the weights');
    await fc.assert(
      fc.asyncProperty(fc.infiniteStream(fc.nat()), fc.integer({ min: 1, max: 3 }), async (draws, threads) => {
        const cutOf = (): readonly Subtree[] => cutStep(MICRO_BATCHES, () => draws.next().value);
        assert.deepEqual(await train('wasm', threads, ADAM, WIDE_MODEL, cutOf, { wire }), calm);
      }),
      { numRuns: 6 },
    );
  },
);

/** XXH64 of the weights after nine steps of Adam: the same on every processor and Node. Changes with a kernel's number only. */
const GOLDEN_WEIGHTS = [
  ['float32', '71023737d595c9aa'],
  ['bfloat16', 'ccfeec8514b9719a'],
  ['int8', '2d20dd2245fae489'],
] as const;

test.each(GOLDEN_WEIGHTS)('in %s, both kernels train to the golden weights %s', async (wire, golden) => {
  for (const kernel of ['js', 'wasm'] as const) {
    const { hashes } = await train(kernel, 2, ADAM, MODEL, uncut, { wire });
    assert.equal(hashes.at(-1), golden, kernel);
  }
});

test('both kernels train to the same weights with every optimizer, for any number of threads', async () => {
  for (const optimizer of OPTIMIZERS) {
    const l2 = 'weightDecay' in optimizer ? 0 : 0.02;
    const plain = await train('js', 1, optimizer, MODEL, uncut, { l2 });
    assert.deepEqual(await train('wasm', 2, optimizer, MODEL, uncut, { l2 }), plain, optimizer.kind);
  }
});

test('LAMB, whose norms span ranges and threads, gives the same weights for any number of threads and cuts', async () => {
  const calm = await train('wasm', 1, LAMB, WIDE_MODEL, uncut);
  assert.equal(new Set(calm.hashes).size, 9, 'every step changes the weights');
  for (const threads of [2, 3]) {
    const halves = [0, 1].map((half) => ({ begin: (half * MICRO_BATCHES) / 2, end: ((half + 1) * MICRO_BATCHES) / 2 }));
    assert.deepEqual(await train('wasm', threads, LAMB, WIDE_MODEL, () => halves), calm);
  }
});

test('LAMB takes a step as long as the learning rate times the weights of each parameter, in its direction', async () => {
  await using engine = await openAveragerEngine(averagerOf('wasm', 2, { ...LAMB, weightDecay: 0 }));
  const before = initialWeights(WIDE_MODEL);
  const { parameters } = compileModel(WIDE_MODEL);
  const zeros = parameters[1]!; // the hidden bias: of length 0, so its ratio is 1
  before.fill(0, zeros.offset, zeros.offset + zeros.size);
  engine.weights.set(before);
  receive(engine, patternedFloats(engine.parameterCount, 4, 8));
  await engine.average({ ...WHOLE, learningRate: 0.25 });
  const length = (values: Float32Array): number => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
  for (const { name, offset, size } of parameters) {
    const [old, now] = [before, engine.weights].map((weights) => weights.slice(offset, offset + size));
    const step = now!.map((value, i) => value - old![i]!);
    // In the first step every direction is ±1, as far as epsilon lets it.
    const expected = 0.25 * (name === zeros.name ? Math.sqrt(size) : length(old!));
    assert.ok(Math.abs(length(step) / expected - 1) < 1e-4, `${name}: ${length(step)} instead of ${expected}`);
  }
});

test('L2 and weight decay pull at weight matrices and leave biases alone', async () => {
  const cases: readonly (readonly [OptimizerSpec, number])[] = [
    [SGD, 0.5],
    [{ ...ADAM, kind: 'adamw', weightDecay: 0.5 }, 0],
  ];
  for (const [optimizer, l2] of cases) {
    await using engine = await openAveragerEngine({ ...averagerOf('wasm', 2, optimizer), l2 });
    const before = initialWeights(WIDE_MODEL);
    engine.weights.set(before);
    engine.inbox(0).fill(0);
    await engine.average({ ...WHOLE, learningRate: 0.5 });
    for (const { shape, offset, size } of compileModel(WIDE_MODEL).parameters) {
      const left = shape.length === 2 ? 0.75 : 1;
      assertSameBits(
        engine.weights.slice(offset, offset + size),
        before.slice(offset, offset + size).map((weight) => weight * left),
      );
    }
  }
});

test('L2 beside a weight decay of the optimizer, or one that is no size, is refused before anything is allocated', async () => {
  await assert.rejects(
    openAveragerEngine({ ...averagerOf('js', 1, LAMB), l2: 0.1 }),
    /lamb has a weight decay of its own/,
  );
  await assert.rejects(openAveragerEngine({ ...averagerOf('js', 1, SGD), l2: -1 }), /l2 must be a number from 0/);
});

test('requests that cover the step wrongly or name what was not received are refused', async () => {
  await using engine = await openAveragerEngine(averagerOf('js', 1, SGD));
  engine.inbox(0);
  engine.inbox(1);
  const half = MICRO_BATCHES / 2;
  for (const wrong of [
    { blocks: [] },
    { blocks: [{ slot: 0, begin: 0, end: half }] },
    {
      blocks: [
        { slot: 0, begin: 0, end: half },
        { slot: 0, begin: half, end: MICRO_BATCHES },
      ],
    },
    { blocks: [{ slot: 2, begin: 0, end: MICRO_BATCHES }] },
    { sampleCount: 0 },
    { step: -1 },
    { learningRate: Number.NaN },
    { clipNorm: 0 },
  ]) {
    await assert.rejects(engine.average({ ...WHOLE, ...wrong }), RangeError, JSON.stringify(wrong));
  }
  assert.throws(() => engine.inbox(-1), RangeError);
  assert.throws(() => engine.inbox(1e6), /averager with 1000001 inbox slots/);
});
