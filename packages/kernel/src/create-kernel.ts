import { type CompiledProgram, compiledProgram } from './compile-model.js';
import { integerPower } from './integer-power.js';
import type { Kernel, LossSums, MicroBatchAddresses, UpdateAddresses } from './kernel.js';
import { type LinearMemory, memoryViews } from './linear-memory.js';
import type { OptimizerSpec } from './model-spec.js';
import { type ScratchLayout, scratchLayout } from './operations.js';
import { ACTIVATION_CODES, type Routines } from './routines.js';

/** Floats to bytes. */
const FLOAT = 4;

/** A kernel over `memory`: the order of calls that both engines share, around the routines that differ. */
export function createKernel(id: string, memory: LinearMemory, routines: Routines): Kernel {
  const views = memoryViews(memory);

  const readSums = (address: number, sampleCount: number): LossSums => {
    const { doubles } = views();
    const first = address / 8;
    return {
      sampleCount,
      lossSum: doubles[first]!,
      correctCount: doubles[first + 1]!,
      squaredErrorSum: doubles[first + 2]!,
      targetSum: doubles[first + 3]!,
      targetSquareSum: doubles[first + 4]!,
    };
  };

  return {
    id,
    gradient(program, at) {
      const compiled = compiledProgram(program);
      const layout = scratchLayout(compiled.operations, at.samples);
      const outputs = forward(routines, compiled, at, layout);
      loss(routines, compiled, at, layout, outputs, at.scratch + layout.gradients[0]);
      backward(routines, compiled, at, layout);
      return readSums(at.scratch + layout.sums, at.samples);
    },
    evaluate(program, at) {
      const compiled = compiledProgram(program);
      const layout = scratchLayout(compiled.operations, at.samples);
      const outputs = forward(routines, compiled, at, layout);
      loss(routines, compiled, at, layout, outputs, NOT_WANTED);
      return readSums(at.scratch + layout.sums, at.samples);
    },
    fold: (into, right, count) => routines.fold(into, right, count),
    scale: (gradient, count, factor) => routines.scale(gradient, count, factor),
    squareSum: (gradient, count) => routines.squareSum(gradient, count),
    update: (optimizer, at, step, learningRate) => update(routines, optimizer, at, step, learningRate),
    hash: (address, bytes) => BigInt.asUintN(64, routines.hash(address, bytes)),
  };
}

/** As a gradient's address: a loss alone is asked for. */
const NOT_WANTED = 0;

/** Runs every operation on the features; returns the address of the last output, [B, K]. */
function forward(
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
      routines.multiply(samples, width, inputs, input, inputs, 1, weight, 1, inputs, output, width, packing);
      routines.addBias(output, samples, width, weights + FLOAT * operation.biasOffset, activation);
    } else {
      routines.activate(input, output, samples * width, activation);
    }
    input = output;
  }
  return input;
}

/** Leaves the loss sums in scratch and the gradient of the loss with respect to the outputs at `gradient`. */
function loss(
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
function backward(
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
    routines.multiply(width, inputs, samples, gradient, 1, width, input, inputs, 1, weightGradient, inputs, packing);
    if (index === firstDense) return;
    // dX = dY · W
    const weight = at.weights + FLOAT * operation.weightOffset;
    routines.multiply(samples, inputs, width, gradient, width, 1, weight, inputs, 1, spare, inputs, packing);
    [gradient, spare] = [spare, gradient];
  }
}

/** As PyTorch's SGD and Adam. Sources: Sutskever et al., 2013 (momentum); Kingma and Ba, 2015, algorithm 1 (Adam). */
function update(
  routines: Routines,
  optimizer: OptimizerSpec,
  at: UpdateAddresses,
  step: number,
  learningRate: number,
): void {
  const { weights, gradient, state, count } = at;
  switch (optimizer.kind) {
    case 'sgd':
      routines.sgd(weights, gradient, count, learningRate);
      return;
    case 'momentum': {
      const { momentum, nesterov } = optimizer;
      routines.momentum(weights, gradient, slot(state, 0), count, learningRate, momentum, nesterov ? 1 : 0);
      return;
    }
    case 'adam': {
      const { beta1, beta2, epsilon } = optimizer;
      const stepSize = learningRate / (1 - integerPower(beta1, step + 1));
      const secondScale = 1 / Math.sqrt(1 - integerPower(beta2, step + 1));
      routines.adam(
        weights,
        gradient,
        slot(state, 0),
        slot(state, 1),
        count,
        stepSize,
        beta1,
        beta2,
        secondScale,
        epsilon,
      );
      return;
    }
    default:
      optimizer satisfies never;
  }
}

function slot(state: readonly number[], index: number): number {
  const address = state[index];
  if (address === undefined) {
    throw new RangeError(`the optimizer keeps at least ${index + 1} state slots, received ${state.length}`);
  }
  return address;
}
