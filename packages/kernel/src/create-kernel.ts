import { compiledProgram } from './compile-model.js';
import { integerPower } from './integer-power.js';
import type { Kernel, LossSums, UpdateAddresses } from './kernel.js';
import { type LinearMemory, memoryViews } from './linear-memory.js';
import type { OptimizerSpec } from './model-spec.js';
import { scratchLayout } from './operations.js';
import type { Routines } from './routines.js';
import { backward, forward, loss, NOT_WANTED } from './run-program.js';

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
      const outputs = forward(routines, compiled, at, layout, 'gradient');
      loss(routines, compiled, at, layout, outputs, at.scratch + layout.gradients[0]);
      backward(routines, compiled, at, layout);
      return readSums(at.scratch + layout.sums, at.samples);
    },
    evaluate(program, at) {
      const compiled = compiledProgram(program);
      const layout = scratchLayout(compiled.operations, at.samples);
      const outputs = forward(routines, compiled, at, layout, 'evaluate');
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
