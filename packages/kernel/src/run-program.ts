/** A compiled model run on one micro-batch: the order of the routine calls, the same for both engines. */
import type { CompiledProgram } from './compile-model.js';
import { maskOf } from './dropout-mask.js';
import type { MicroBatchAddresses } from './kernel.js';
import type { MemoryViews } from './linear-memory.js';
import type { ModelSpec } from './model-spec.js';
import type { DropoutOperation, ScratchLayout } from './operations.js';
import { ACTIVATION_CODES, type Routines } from './routines.js';

/** Floats to bytes. */
const FLOAT = 4;

/** As a gradient's address: a loss alone is asked for. */
export const NOT_WANTED = 0;

/** Random layers act in training alone. */
export type Mode = 'gradient' | 'evaluate';

/** Runs every operation on the features; returns the address of the last output, [B, K]. */
export function forward(
  routines: Routines,
  { operations }: CompiledProgram,
  at: MicroBatchAddresses,
  layout: ScratchLayout,
  mode: Mode,
): number {
  const { samples, weights } = at;
  const packing = at.scratch + layout.packing;
  let input = at.features;
  for (const [index, operation] of operations.entries()) {
    const output = at.scratch + layout.outputs[index]!;
    const { width } = operation;
    switch (operation.kind) {
      case 'dense': {
        const { inputs, slope } = operation;
        const weight = weights + FLOAT * operation.weightOffset;
        const bias = weights + FLOAT * operation.biasOffset;
        // Y = X · Wᵀ: W lies as [width, inputs], so as its transpose it has rows 1 apart and columns `inputs` apart.
        routines.multiply(samples, width, inputs, input, inputs, 1, weight, 1, inputs, output, width, packing);
        routines.addBias(output, samples, width, bias, ACTIVATION_CODES[operation.activation], slope);
        break;
      }
      case 'activation':
        routines.activate(input, output, samples * width, ACTIVATION_CODES[operation.activation], operation.slope);
        break;
      case 'gelu':
        routines.gelu(input, output, samples * width);
        break;
      case 'softmax':
        routines.softmax(input, output, samples, width);
        break;
      case 'layerNorm': {
        const weight = weights + FLOAT * operation.weightOffset;
        const bias = weights + FLOAT * operation.biasOffset;
        const statistics = at.scratch + layout.statistics[index]!;
        routines.layerNorm(input, output, samples, width, weight, bias, operation.epsilon, statistics);
        break;
      }
      case 'dropout':
        if (mode === 'evaluate') continue; // what follows reads what came before
        drop(routines, operation, at, input, output);
        break;
      default:
        operation satisfies never;
    }
    input = output;
  }
  return input;
}

/** Leaves the loss sums in scratch and the gradient of the loss with respect to the outputs at `gradient`. */
export function loss(
  routines: Routines,
  { spec }: CompiledProgram,
  { samples, scratch, targets }: MicroBatchAddresses,
  layout: ScratchLayout,
  outputs: number,
  gradient: number,
  views: () => MemoryViews,
): void {
  const sums = scratch + layout.sums;
  const weights = 'classWeights' in spec.loss ? spec.loss.classWeights : undefined;
  if (weights === undefined) lossOf(routines, spec, outputs, targets, samples, gradient, sums);
  else routines.once((own) => weightedLoss(own, spec, weights, outputs, targets, samples, gradient, sums, views()));
}

/** The loss sample by sample, each with its gradient times the weight of its class; what is no class has the weight NaN. */
function weightedLoss(
  routines: Routines,
  spec: ModelSpec,
  weights: readonly number[],
  outputs: number,
  targets: number,
  samples: number,
  gradient: number,
  sums: number,
  { floats, doubles }: MemoryViews,
): void {
  const width = spec.outputs;
  const first = sums / 8;
  let lossSum = 0;
  let correctCount = 0;
  for (let sample = 0; sample < samples; sample++) {
    const row = FLOAT * sample * width;
    const target = targets + FLOAT * sample;
    const into = gradient === NOT_WANTED ? NOT_WANTED : gradient + row;
    lossOf(routines, spec, outputs + row, target, 1, into, sums);
    const weight = Math.fround(weights[floats[target / FLOAT]!] ?? Number.NaN);
    lossSum += weight * doubles[first]!;
    correctCount += doubles[first + 1]!;
    if (into !== NOT_WANTED) routines.scale(into, width, weight);
  }
  doubles[first] = lossSum;
  doubles[first + 1] = correctCount;
}

function lossOf(
  routines: Routines,
  spec: ModelSpec,
  outputs: number,
  targets: number,
  samples: number,
  gradient: number,
  sums: number,
): void {
  const width = spec.outputs;
  switch (spec.loss.kind) {
    case 'meanSquaredError':
      routines.meanSquaredError(outputs, targets, samples, width, gradient, sums);
      return;
    case 'huber':
      routines.huber(outputs, targets, samples, width, spec.loss.delta, gradient, sums);
      return;
    case 'binaryCrossEntropy':
      routines.binaryCrossEntropy(outputs, targets, samples, spec.loss.labelSmoothing ?? 0, gradient, sums);
      return;
    case 'softmaxCrossEntropy':
      routines.softmaxCrossEntropy(outputs, targets, samples, width, spec.loss.labelSmoothing ?? 0, gradient, sums);
      return;
    case 'hinge':
      if (width === 1) routines.hinge(outputs, targets, samples, gradient, sums);
      else routines.multiClassHinge(outputs, targets, samples, width, gradient, sums);
      return;
    default:
      spec.loss satisfies never;
  }
}

/** From the gradient with respect to the outputs back to every parameter's. Nothing is computed for the features. */
export function backward(
  routines: Routines,
  { operations }: CompiledProgram,
  at: MicroBatchAddresses,
  layout: ScratchLayout,
): void {
  const { samples } = at;
  const packing = at.scratch + layout.packing;
  const first = operations.findIndex((operation) => 'weightOffset' in operation);
  let gradient = at.scratch + layout.gradients[0];
  let spare = at.scratch + layout.gradients[1];
  for (let index = operations.length - 1; index >= first; index--) {
    const operation = operations[index]!;
    const { width } = operation;
    const input = index === 0 ? at.features : at.scratch + layout.outputs[index - 1]!;
    const output = at.scratch + layout.outputs[index]!;
    switch (operation.kind) {
      case 'dense': {
        const { inputs, activation, slope } = operation;
        if (activation !== 'none') {
          routines.activateBackward(gradient, output, samples * width, ACTIVATION_CODES[activation], slope);
        }
        const weightGradient = at.gradient + FLOAT * operation.weightOffset;
        routines.sumRows(gradient, samples, width, at.gradient + FLOAT * operation.biasOffset);
        // dW = dYᵀ · X
        routines.multiply(
          width,
          inputs,
          samples,
          gradient,
          1,
          width,
          input,
          inputs,
          1,
          weightGradient,
          inputs,
          packing,
        );
        if (index === first) return;
        // dX = dY · W
        const weight = at.weights + FLOAT * operation.weightOffset;
        routines.multiply(samples, inputs, width, gradient, width, 1, weight, inputs, 1, spare, inputs, packing);
        [gradient, spare] = [spare, gradient];
        break;
      }
      case 'activation': {
        const code = ACTIVATION_CODES[operation.activation];
        routines.activateBackward(gradient, output, samples * width, code, operation.slope);
        break;
      }
      case 'gelu':
        routines.geluBackward(gradient, input, samples * width);
        break;
      case 'softmax':
        routines.softmaxBackward(gradient, output, samples, width);
        break;
      case 'layerNorm': {
        const weight = at.weights + FLOAT * operation.weightOffset;
        const statistics = at.scratch + layout.statistics[index]!;
        const weightGradient = at.gradient + FLOAT * operation.weightOffset;
        const biasGradient = at.gradient + FLOAT * operation.biasOffset;
        routines.layerNormBackward(gradient, input, samples, width, weight, statistics, weightGradient, biasGradient);
        break;
      }
      case 'dropout':
        drop(routines, operation, at, gradient, gradient);
        break;
      default:
        operation satisfies never;
    }
  }
}

/** Masks are drawn again on the way back: that costs less than keeping them. */
function drop(
  routines: Routines,
  { width, rate, layer }: DropoutOperation,
  { samples, draws }: MicroBatchAddresses,
  from: number,
  into: number,
): void {
  if (draws === undefined) throw new RangeError(`layers[${layer}] dropout: a gradient needs seed, epoch and position`);
  const { key, threshold, factor } = maskOf(draws, layer, rate);
  routines.dropout(from, into, samples, width, draws.firstPosition, key[0], key[1], threshold, factor);
}
