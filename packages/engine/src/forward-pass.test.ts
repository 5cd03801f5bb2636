import { describe, expect, test } from 'vitest';
import { compileModel, initialWeights, type ModelSpec } from '#kernel';
import { openForwardPass } from './forward-pass.js';
import { patternedFloats } from './patterned-floats.js';
import { openWorkerEngine } from './worker-engine.js';

const SPEC: ModelSpec = {
  inputs: 7,
  outputs: 3,
  layers: [{ kind: 'dense', units: 21 }, { kind: 'dropout', rate: 0.5 }, { kind: 'gelu' }, { kind: 'dense', units: 3 }],
  loss: { kind: 'softmaxCrossEntropy' },
  init: 'torch',
};
const SAMPLES = 201;
const weights = initialWeights(compileModel(SPEC), 3);
const features = patternedFloats(SAMPLES * SPEC.inputs, 2, 1);
const targets = new Float32Array(new SharedArrayBuffer(4 * SAMPLES)).map((_, sample) => sample % 3);

describe.each(['wasm', 'js'] as const)('on the kernel %s', (kernel) => {
  test('a forward pass has the loss sums of a worker that evaluates, to the last bit', async () => {
    await using worker = await openWorkerEngine({
      kernel,
      threads: 1,
      model: SPEC,
      seed: 1,
      trainSamples: SAMPLES,
      batch: SAMPLES,
      microBatches: 1,
    });
    worker.stagedWeights.set(weights);
    worker.adoptStagedWeights();
    const shared = new Float32Array(new SharedArrayBuffer(4 * SAMPLES));
    shared.set(targets);
    worker.addShard({ split: 'test', begin: 0, end: SAMPLES, features, targets: shared });
    const { sums } = (await openForwardPass(SPEC, weights, kernel)).evaluate(features, targets);
    const { tally, ...ofWorker } = await worker.evaluate({ split: 'test', begin: 0, end: SAMPLES });
    expect(sums).toEqual(ofWorker);
    expect(tally.counts.length).toBeGreaterThan(0);
  });

  test('outputs do not depend on which samples are asked about together', async () => {
    const forward = await openForwardPass(SPEC, weights, kernel);
    const together = forward.outputs(features).slice();
    const alone = Array.from({ length: SAMPLES }, (_, sample) => [
      ...forward.outputs(features.subarray(sample * SPEC.inputs, (sample + 1) * SPEC.inputs)),
    ]);
    expect([...together]).toEqual(alone.flat());
    expect([...forward.evaluate(features, targets).outputs]).toEqual([...together]);
  });
});

test('sizes that fit nothing are refused', async () => {
  await expect(openForwardPass(SPEC, weights.subarray(1))).rejects.toThrow(/weights, received/);
  const forward = await openForwardPass(SPEC, weights);
  expect(() => forward.outputs(new Float32Array(8))).toThrow(/8 features are not up to 256 samples of 7/);
  expect(() => forward.outputs(new Float32Array(7 * 257))).toThrow(RangeError);
  expect(() => forward.evaluate(features, targets.subarray(1))).toThrow(/201 samples have 201 targets, received 200/);
});
