/**
 * Loss and gradient straight from the formulas, in double precision: the truth the kernels' tests are held against.
 * It shares no code with them and is not part of the package.
 *
 * Legend: B samples, F features, K outputs, P parameters.
 */
import type { LayerSpec, LossSpec, ModelSpec } from './model-spec.js';

export interface Batch64 {
  readonly samples: number;
  /** [B, F] */
  readonly features: Float64Array;
  /** [B, T] */
  readonly targets: Float64Array;
}

interface LossOfRow {
  readonly loss: number;
  /** [K], with respect to the outputs. */
  readonly gradient: Float64Array;
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
    const inputs = layerInputs(spec, weights, row(batch.features, sample, spec.inputs));
    const { loss, gradient: outputs } = lossOf(spec.loss, inputs.at(-1)!, row(batch.targets, sample, targetCount));
    lossSum += loss;
    backward(spec, weights, inputs, outputs, gradient);
  }
  return { lossSum, gradient };
}

/** What goes into each layer for one sample, and last the model's outputs. */
function layerInputs(spec: ModelSpec, weights: Float64Array, features: Float64Array): Float64Array[] {
  const inputs = [features];
  let offset = 0;
  for (const layer of spec.layers) {
    const x = inputs.at(-1)!;
    if (layer.kind !== 'dense') {
      inputs.push(x.map((value) => activationOf(layer, value)));
      continue;
    }
    const biases = offset + layer.units * x.length;
    const weightOffset = offset;
    inputs.push(
      new Float64Array(layer.units).map((_, unit) => {
        const first = weightOffset + unit * x.length;
        return x.reduce((sum, value, i) => sum + value * weights[first + i]!, weights[biases + unit]!);
      }),
    );
    offset = biases + layer.units;
  }
  return inputs;
}

/** Adds one sample's gradient to `into` [P]. */
function backward(
  spec: ModelSpec,
  weights: Float64Array,
  inputs: readonly Float64Array[],
  outputs: Float64Array,
  into: Float64Array,
): void {
  let gradient = outputs;
  let end = weights.length;
  for (let index = spec.layers.length - 1; index >= 0; index--) {
    const layer = spec.layers[index]!;
    const x = inputs[index]!;
    if (layer.kind !== 'dense') {
      gradient = gradient.map((g, i) => g * derivativeOf(layer, x[i]!));
      continue;
    }
    const biases = end - layer.units;
    const first = biases - layer.units * x.length;
    const towardsInput = new Float64Array(x.length);
    for (const [unit, g] of gradient.entries()) {
      into[biases + unit]! += g;
      for (const [i, value] of x.entries()) {
        into[first + unit * x.length + i]! += g * value;
        towardsInput[i]! += g * weights[first + unit * x.length + i]!;
      }
    }
    gradient = towardsInput;
    end = first;
  }
}

function lossOf(loss: LossSpec, outputs: Float64Array, targets: Float64Array): LossOfRow {
  switch (loss.kind) {
    case 'meanSquaredError':
      return {
        loss: outputs.reduce((sum, p, k) => sum + (p - targets[k]!) ** 2, 0) / outputs.length,
        gradient: outputs.map((p, k) => (2 * (p - targets[k]!)) / outputs.length),
      };
    case 'binaryCrossEntropy': {
      const p = 1 / (1 + Math.exp(-outputs[0]!));
      return {
        loss: -Math.log(targets[0] === 1 ? p : 1 - p),
        gradient: Float64Array.of(p - targets[0]!),
      };
    }
    case 'softmaxCrossEntropy': {
      const largest = Math.max(...outputs);
      const total = outputs.reduce((sum, z) => sum + Math.exp(z - largest), 0);
      const probabilities = outputs.map((z) => Math.exp(z - largest) / total);
      return {
        loss: -Math.log(probabilities[targets[0]!]!),
        gradient: probabilities.map((p, j) => p - (j === targets[0] ? 1 : 0)),
      };
    }
    default:
      return loss satisfies never;
  }
}

type ActivationSpec = Exclude<LayerSpec, { readonly kind: 'dense' }>;

function activationOf(layer: ActivationSpec, x: number): number {
  switch (layer.kind) {
    case 'relu':
      return Math.max(0, x);
    case 'sigmoid':
      return 1 / (1 + Math.exp(-x));
    case 'tanh':
      return Math.tanh(x);
    default:
      return layer satisfies never;
  }
}

function derivativeOf(layer: ActivationSpec, x: number): number {
  switch (layer.kind) {
    case 'relu':
      return x > 0 ? 1 : 0;
    case 'sigmoid':
      return 1 / ((1 + Math.exp(-x)) * (1 + Math.exp(x)));
    case 'tanh':
      return 1 - Math.tanh(x) ** 2;
    default:
      return layer satisfies never;
  }
}

function row(matrix: Float64Array, index: number, width: number): Float64Array {
  return matrix.subarray(index * width, (index + 1) * width);
}
