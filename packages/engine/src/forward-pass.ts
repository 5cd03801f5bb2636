/** A model that only predicts: the forward pass of the kernel in the calling thread, a bounded number of samples at once. */
import { compileModel, KERNEL_RESERVED_BYTES, type LossSums, type ModelSpec } from '#kernel';
import type { KernelName } from './engine.js';
import { ModelTooLargeError } from './engine-errors.js';
import { instantiateKernel, loadKernel } from './kernel-loading.js';
import { createSharedMemory, floatsAt } from './linear-memory.js';
import { EVALUATION_CHUNK } from './memory-plan.js';

export interface ForwardPass {
  readonly kernelId: string;
  /** Samples of one call at the most: as many as a worker evaluates at once. */
  readonly mostSamples: number;
  /**
   * The model's raw outputs, with the bits an evaluation in training has.
   * @param features [n, F]
   * @returns [n, K], overwritten by the next call
   */
  outputs(features: Float32Array): Float32Array;
  /**
   * As `outputs`, and the sums of the loss over these samples.
   * @param targets [n, T]: class indexes, or numbers
   */
  evaluate(features: Float32Array, targets: Float32Array): { readonly outputs: Float32Array; readonly sums: LossSums };
}

/** Addresses are 32 bits wide. */
const MAX_BYTES = 2 ** 32;

/**
 * @param weights [P], copied
 * @throws KernelUnavailableError, ModelTooLargeError; RangeError when weights and model do not fit each other
 */
export async function openForwardPass(
  spec: ModelSpec,
  weights: Float32Array,
  kernelName: KernelName = 'wasm',
): Promise<ForwardPass> {
  const program = compileModel(spec);
  const { parameterCount, targetCount } = program;
  if (weights.length !== parameterCount)
    throw new RangeError(`the model has ${parameterCount} weights, received ${weights.length}`);
  const loaded = await loadKernel({ kernel: kernelName });
  let bytes = KERNEL_RESERVED_BYTES;
  const allocate = (size: number): number => {
    const address = bytes;
    bytes += Math.ceil(size / 64) * 64;
    return address;
  };
  const at = {
    weights: allocate(4 * parameterCount),
    features: allocate(4 * EVALUATION_CHUNK * spec.inputs),
    targets: allocate(4 * EVALUATION_CHUNK * targetCount),
    scratch: allocate(program.scratchBytes(EVALUATION_CHUNK)),
    gradient: 0,
  };
  if (bytes >= MAX_BYTES) throw new ModelTooLargeError('predicting', bytes, MAX_BYTES, parameterCount);
  const memory = createSharedMemory(bytes);
  floatsAt(memory, at.weights, parameterCount).set(weights);
  const kernel = await instantiateKernel(memory, loaded);

  const stage = (features: Float32Array): number => {
    const samples = features.length / spec.inputs;
    if (!Number.isInteger(samples) || samples > EVALUATION_CHUNK)
      throw new RangeError(`${features.length} features are not up to ${EVALUATION_CHUNK} samples of ${spec.inputs}`);
    floatsAt(memory, at.features, features.length).set(features);
    return samples;
  };
  const outputsOf = (samples: number): Float32Array =>
    floatsAt(memory, kernel.outputsAt(program, { scratch: at.scratch, samples }), samples * spec.outputs);

  return {
    kernelId: kernel.id,
    mostSamples: EVALUATION_CHUNK,
    outputs(features) {
      const samples = stage(features);
      kernel.predict(program, { ...at, samples });
      return outputsOf(samples);
    },
    evaluate(features, targets) {
      const samples = stage(features);
      if (targets.length !== samples * targetCount)
        throw new RangeError(`${samples} samples have ${samples * targetCount} targets, received ${targets.length}`);
      floatsAt(memory, at.targets, targets.length).set(targets);
      const sums = kernel.evaluate(program, { ...at, samples });
      return { outputs: outputsOf(samples), sums };
    },
  };
}
