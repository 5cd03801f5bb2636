import { integerPower } from './integer-power.js';
import type { UpdateAddresses } from './kernel.js';
import type { OptimizerSpec } from './model-spec.js';
import type { Routines } from './routines.js';

/** As PyTorch's SGD and Adam. Sources: Sutskever et al., 2013 (momentum); Kingma and Ba, 2015, algorithm 1 (Adam). */
export function runUpdate(
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
