/**
 * Loss and gradient straight from the formulas, in double precision: the truth the kernels' tests are held against.
 * It shares no code with them but the generator of random words, and is not part of the package.
 *
 * Legend: B samples, F features, K outputs, P parameters.
 */
import type { SampleDraws } from './kernel.js';
import { type LayerGradient, layerBackward64, layerOutput64, parametersOf64 } from './layer-float64.js';
import { loss64 } from './loss-float64.js';
import type { ModelSpec } from './model-spec.js';

export interface Batch64 {
  readonly samples: number;
  /** [B, F] */
  readonly features: Float64Array;
  /** [B, T] */
  readonly targets: Float64Array;
  /** Absent: as in an evaluation, nothing is dropped. */
  readonly draws?: SampleDraws;
}

/** Sum of the samples' losses, and its gradient [P]. */
export function gradient64(
  spec: ModelSpec,
  weights: Float64Array,
  batch: Batch64,
): { readonly lossSum: number; readonly gradient: Float64Array } {
  const gradient = new Float64Array(weights.length);
  const targetCount = batch.targets.length / Math.max(1, batch.samples);
  let lossSum = 0;
  for (let sample = 0; sample < batch.samples; sample++) {
    const { draws } = batch;
    const drawn = draws && { ...draws, firstPosition: draws.firstPosition + sample };
    const inputs = layerInputs(spec, weights, row(batch.features, sample, spec.inputs), drawn);
    const { loss, gradient: outputs } = loss64(spec.loss, inputs.at(-1)!, row(batch.targets, sample, targetCount));
    lossSum += loss;
    backward(spec, weights, inputs, outputs, drawn, gradient);
  }
  return { lossSum, gradient };
}

/** What goes into each layer for one sample, and last the model's outputs. */
function layerInputs(
  spec: ModelSpec,
  weights: Float64Array,
  features: Float64Array,
  draws: SampleDraws | undefined,
): Float64Array[] {
  const inputs = [features];
  let offset = 0;
  for (const [index, layer] of spec.layers.entries()) {
    const x = inputs.at(-1)!;
    const size = parametersOf64(layer, x.length);
    const own = weights.subarray(offset, offset + size);
    inputs.push(layerOutput64(layer, x, own, draws && { ...draws, layer: index }));
    offset += size;
  }
  return inputs;
}

/** Adds one sample's gradient to `into` [P]. */
function backward(
  spec: ModelSpec,
  weights: Float64Array,
  inputs: readonly Float64Array[],
  outputs: Float64Array,
  draws: SampleDraws | undefined,
  into: Float64Array,
): void {
  let gradient = outputs;
  let end = weights.length;
  for (let index = spec.layers.length - 1; index >= 0; index--) {
    const layer = spec.layers[index]!;
    const x = inputs[index]!;
    const first = end - parametersOf64(layer, x.length);
    const own = weights.subarray(first, end);
    const back: LayerGradient = layerBackward64(layer, x, own, gradient, draws && { ...draws, layer: index });
    for (const [p, value] of back.parameters.entries()) into[first + p]! += value;
    gradient = back.input;
    end = first;
  }
}

function row(matrix: Float64Array, index: number, width: number): Float64Array {
  return matrix.subarray(index * width, (index + 1) * width);
}
