/** What the hinge losses are for: a plane between classes, found by subgradient steps. */
import { expect, test } from 'vitest';
import { compileModel } from './compile-model.js';
import { initialWeights } from './initial-weights.js';
import { createJsKernel } from './js-kernel.js';
import { memoryPlan, noise } from './kernel.fixture.js';
import type { ModelSpec } from './model-spec.js';

test.each([2, 3])('a hinge on a linear model separates %i classes that a plane can separate', (classes) => {
  const samples = 90;
  const outputs = classes === 2 ? 1 : classes;
  const spec: ModelSpec = {
    inputs: 2,
    outputs,
    layers: [{ kind: 'dense', units: outputs }],
    loss: { kind: 'hinge' },
    init: 'auto',
  };
  const program = compileModel(spec);
  const buffer = new ArrayBuffer(1 << 20);
  const kernel = createJsKernel({ buffer });
  const floats = new Float32Array(buffer);
  const take = memoryPlan(64);
  const at = {
    weights: take(64),
    gradient: take(64),
    features: take(8 * samples),
    targets: take(4 * samples),
    scratch: take(program.scratchBytes(samples)),
    samples,
  };
  floats.set(initialWeights(program, 1), at.weights / 4);
  const jitter = noise(4, 2 * samples);
  for (let i = 0; i < samples; i++) {
    // Classes around points of a circle of radius 3 that does not stand in the middle.
    const angle = (2 * Math.PI * (i % classes)) / classes;
    floats[at.features / 4 + 2 * i] = 5 + 3 * Math.cos(angle) + jitter[2 * i]!;
    floats[at.features / 4 + 2 * i + 1] = 3 * Math.sin(angle) + jitter[2 * i + 1]!;
    floats[at.targets / 4 + i] = i % classes;
  }
  const before = kernel.evaluate(program, at);
  for (let step = 0; step < 400; step++) {
    kernel.gradient(program, at);
    const update = { weights: at.weights, gradient: at.gradient, state: [], count: program.parameterCount };
    kernel.update({ kind: 'sgd', learningRate: 1 }, update, step, 0.5 / samples);
  }
  const after = kernel.evaluate(program, at);
  expect(before.correctCount).toBeLessThan(samples);
  expect(after.correctCount).toBe(samples);
  expect(after.lossSum).toBe(0); // every sample beyond the margin: nothing pulls any more
});
