import assert from 'node:assert/strict';
import fc from 'fast-check';
import { test } from 'vitest';
import { KERNEL_RESERVED_BYTES, type ModelSpec } from '#kernel';
import type { AveragerEngineOptions, WorkerEngineOptions } from './engine.js';
import { averagerMemoryBytes, planAveragerMemory, planWorkerMemory, workerMemoryBytes } from './memory-plan.js';

const perceptron = (inputs: number, units: number, outputs: number): ModelSpec => ({
  inputs,
  outputs,
  layers: [{ kind: 'dense', units }, { kind: 'relu' }, { kind: 'dense', units: outputs }],
  loss: { kind: 'softmaxCrossEntropy' },
  init: 'auto',
});

const workerOptions = (model: ModelSpec, threads: number, microBatches: number, batch = 64): WorkerEngineOptions => ({
  kernel: 'wasm',
  threads,
  model,
  seed: 1,
  trainSamples: 1000,
  batch,
  microBatches,
});

const averagerOptions = (model: ModelSpec): AveragerEngineOptions => ({
  kernel: 'wasm',
  threads: 2,
  model,
  optimizer: { kind: 'adam', learningRate: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
  microBatches: 8,
});

test('everything a worker plans is aligned, apart from everything else and inside the planned bytes', () => {
  const sizes = fc.record({
    inputs: fc.integer({ min: 1, max: 50 }),
    units: fc.integer({ min: 1, max: 50 }),
    outputs: fc.integer({ min: 2, max: 20 }),
    threads: fc.integer({ min: 1, max: 9 }),
    depth: fc.nat({ max: 6 }),
    batch: fc.integer({ min: 1, max: 3000 }),
  });
  fc.assert(
    fc.property(sizes, ({ inputs, units, outputs, threads, depth, batch }) => {
      const model = perceptron(inputs, units, outputs);
      const plan = planWorkerMemory(workerOptions(model, threads, 2 ** depth, batch));
      const parameters = 4 * plan.parameterCount;
      const ranges = [...plan.weights, ...plan.subtreeGradients].map((at) => [at, parameters] as const);
      for (const { stack, features, targets, scratch } of plan.threads) {
        ranges.push(...stack.map((at) => [at, parameters] as const));
        ranges.push([features, 4 * plan.samplesAtOnce * inputs], [targets, 4 * plan.samplesAtOnce], [scratch, 64]);
      }
      ranges.sort(([a], [b]) => a - b);
      let end = KERNEL_RESERVED_BYTES;
      for (const [at, bytes] of ranges) {
        assert.equal(at % 64, 0);
        assert.ok(at >= end, `${at} lies inside what ends at ${end}`);
        end = at + bytes;
      }
      assert.ok(end <= plan.bytes);
    }),
  );
});

test('every thread that may take a subtree has a buffer for each level of it', () => {
  for (const threads of [1, 2, 3, 8]) {
    for (const microBatches of [1, 2, 8, 64]) {
      const plan = planWorkerMemory(workerOptions(perceptron(4, 4, 2), threads, microBatches));
      const levels = Math.log2(microBatches / plan.subtreeGradients.length);
      for (const { stack } of plan.threads.slice(0, plan.subtreeGradients.length)) assert.equal(stack.length, levels);
    }
  }
});

test('a large model gives up micro-batches of their own for memory, a small one does not', () => {
  const small = planWorkerMemory(workerOptions(perceptron(64, 64, 10), 4, 64));
  const large = planWorkerMemory(workerOptions(perceptron(4096, 4096, 10), 4, 64)); // 67 MB of parameters
  assert.equal(small.subtreeGradients.length, 16);
  assert.equal(large.subtreeGradients.length, 1);
  assert.equal(large.levels.length, 7);
});

test('46 million parameters in two micro-batches take weights twice, two gradients and little more', () => {
  const model: ModelSpec = {
    ...perceptron(2048, 4096, 1000),
    layers: [4096, 4096, 4096, 1000].map((units) => ({ kind: 'dense', units })),
  };
  for (const threads of [1, 2, 8]) {
    const { trainingRows, parameterCount } = planWorkerMemory(workerOptions(model, threads, 2, 256));
    const bytes = trainingRows!.features; // what comes before the rows
    assert.ok(bytes < 4 * 4 * parameterCount + threads * 32e6, `${bytes} bytes on ${threads} threads`);
  }
});

test('the training split lies behind everything else, or is left out where WebAssembly has no room for it', () => {
  const options = workerOptions(perceptron(1000, 10, 2), 2, 8);
  const { features, targets } = planWorkerMemory(options).trainingRows!;
  assert.ok(targets >= features + 4 * 1000 * 1000);
  assert.ok(planWorkerMemory(options).bytes >= targets + 4 * 1000);
  const without = planWorkerMemory({ ...options, trainSamples: 0 }).bytes;
  assert.equal(features, without);
  const most = Math.floor((2 ** 32 - 64 - without - 2 * 64) / (4 * 1001));
  assert.ok(planWorkerMemory({ ...options, trainSamples: most }).trainingRows !== undefined);
  const tooMany = planWorkerMemory({ ...options, trainSamples: most + 1 });
  assert.equal(tooMany.trainingRows, undefined);
  assert.equal(tooMany.bytes, without);
});

test('threads that compute together have a buffer for each level of the tree, the root where the others leave it', () => {
  for (const threads of [1, 2, 3, 8]) {
    for (const microBatches of [1, 2, 8, 64]) {
      const { levels, subtreeGradients } = planWorkerMemory(workerOptions(perceptron(4, 4, 2), threads, microBatches));
      assert.equal(new Set(levels).size, Math.log2(microBatches) + 1);
      assert.equal(levels[0], subtreeGradients[0]);
    }
  }
});

test('a model that fits only with fewer subtrees than threads is still planned', () => {
  const plan = planWorkerMemory(workerOptions(perceptron(12_288, 10_240, 10), 8, 8)); // 503 MB of parameters
  assert.ok(plan.subtreeGradients.length < 8);
  assert.ok(plan.bytes <= 2 ** 32);
});

test('a model too large for WebAssembly is refused with the bytes needed and the limit', () => {
  const model = perceptron(32_768, 32_768, 10); // 4.3 GB of parameters
  const refusal = /needs \d{11} bytes of kernel memory for 107\d+ parameters, the limit of WebAssembly is 4294967232/;
  assert.throws(
    () => workerMemoryBytes(workerOptions(model, 1, 1)),
    (error) => error instanceof RangeError && refusal.test(error.message),
  );
  assert.throws(() => averagerMemoryBytes(averagerOptions(model), 1), RangeError);
});

test('the averager needs weights, state and one gradient for each slot, and says so when slots are too many', () => {
  const options = averagerOptions(perceptron(1000, 999, 10));
  const { parameterCount, inbox } = planAveragerMemory(options);
  const gradient = Math.ceil((4 * parameterCount) / 64) * 64;
  assert.equal(inbox % 64, 0);
  assert.ok(inbox >= KERNEL_RESERVED_BYTES + 3 * 4 * parameterCount);
  assert.equal(averagerMemoryBytes(options, 5) - averagerMemoryBytes(options, 1), 4 * gradient);
  assert.throws(() => averagerMemoryBytes(options, 2000), /averager with 2000 inbox slots/);
});

test('threads, batch and micro-batches out of range are refused', () => {
  const model = perceptron(2, 2, 2);
  for (const options of [
    workerOptions(model, 0, 8),
    workerOptions(model, 1.5, 8),
    workerOptions(model, 1, 6),
    workerOptions(model, 1, 0),
    workerOptions(model, 1, 1, 0),
    workerOptions(model, 1, 1, Number.NaN),
  ]) {
    assert.throws(() => planWorkerMemory(options), RangeError);
  }
});
