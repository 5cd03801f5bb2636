/** A compiled model run on one micro-batch: the order of the routine calls, the same for both engines. */
import type { CompiledProgram } from './compile-model.js';
import type { MicroBatchAddresses } from './kernel.js';
import type { ScratchLayout } from './operations.js';
import { ACTIVATION_CODES, type Routines } from './routines.js';

/** Floats to bytes. */
const FLOAT = 4;

/** As a gradient's address: a loss alone is asked for. */
export const NOT_WANTED = 0;

/** Runs every operation on the features; returns the address of the last output, [B, K]. */
export function forward(
  routines: Routines,
  { operations }: CompiledProgram,
  at: MicroBatchAddresses,
  layout: ScratchLayout,
): number {
  const { samples, weights } = at;
  const packing = at.scratch + layout.packing;
  let input = at.features;
  for (const [index, operation] of operations.entries()) {
    const output = at.scratch + layout.outputs[index]!;
    const { width } = operation;
    const activation = ACTIVATION_CODES[operation.activation];
    if (operation.kind === 'dense') {
      const { inputs } = operation;
      const weight = weights + FLOAT * operation.weightOffset;
      // Y = X · Wᵀ: W lies as [width, inputs], so as its transpose it has rows 1 apart and columns `inputs` apart.
      routines.multiply(samples, width, inputs, input, inputs, 1, weight, 1, inputs, output, packing);
      routines.addBias(output, samples, width, weights + FLOAT * operation.biasOffset, activation);
    } else {
      routines.activate(input, output, samples * width, activation);
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
): void {
  const sums = scratch + layout.sums;
  switch (spec.loss.kind) {
    case 'meanSquaredError':
      routines.meanSquaredError(outputs, targets, samples, spec.outputs, gradient, sums);
      return;
    case 'binaryCrossEntropy':
      routines.binaryCrossEntropy(outputs, targets, samples, gradient, sums);
      return;
    case 'softmaxCrossEntropy':
      routines.softmaxCrossEntropy(outputs, targets, samples, spec.outputs, gradient, sums);
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
  const firstDense = operations.findIndex((operation) => operation.kind === 'dense');
  let gradient = at.scratch + layout.gradients[0];
  let spare = at.scratch + layout.gradients[1];
  for (let index = operations.length - 1; index >= firstDense; index--) {
    const operation = operations[index]!;
    const { width } = operation;
    if (operation.activation !== 'none') {
      const output = at.scratch + layout.outputs[index]!;
      routines.activateBackward(gradient, output, samples * width, ACTIVATION_CODES[operation.activation]);
    }
    if (operation.kind === 'activation') continue;
    const { inputs } = operation;
    const input = index === 0 ? at.features : at.scratch + layout.outputs[index - 1]!;
    const weightGradient = at.gradient + FLOAT * operation.weightOffset;
    routines.sumRows(gradient, samples, width, at.gradient + FLOAT * operation.biasOffset);
    // dW = dYᵀ · X
    routines.multiply(width, inputs, samples, gradient, 1, width, input, inputs, 1, weightGradient, packing);
    if (index === firstDense) return;
    // dX = dY · W
    const weight = at.weights + FLOAT * operation.weightOffset;
    routines.multiply(samples, inputs, width, gradient, width, 1, weight, inputs, 1, spare, packing);
    [gradient, spare] = [spare, gradient];
  }
}
