import { integerPower } from './integer-power.js';
import type { UpdateAddresses, UpdateTerms } from './kernel.js';
import type { LambSpec, SingleUpdateSpec } from './model-spec.js';
import type { Routines } from './routines.js';

/**
 * `Kernel.update`. Sources: PyTorch's optimizers of the same names; Sutskever et al., 2013 (momentum); Duchi et al., 2011
 * (adagrad); Kingma and Ba, 2015, algorithm 1 (adam); Loshchilov and Hutter, 2019, algorithm 2 (adamw).
 */
export function runUpdate(
  routines: Routines,
  optimizer: SingleUpdateSpec,
  at: UpdateAddresses,
  step: number,
  learningRate: number,
  { gradientFactor = 1, weightDecay = 0 }: UpdateTerms = {},
): void {
  const { weights, gradient, state, count } = at;
  const seen = [count, gradientFactor, weightDecay] as const;
  switch (optimizer.kind) {
    case 'sgd':
      routines.sgd(weights, gradient, ...seen, learningRate);
      return;
    case 'momentum': {
      const { momentum, nesterov } = optimizer;
      routines.momentum(weights, gradient, slot(state, 0), ...seen, learningRate, momentum, nesterov ? 1 : 0);
      return;
    }
    case 'adagrad':
      routines.adagrad(weights, gradient, slot(state, 0), ...seen, learningRate, optimizer.epsilon);
      return;
    case 'rmsprop': {
      const { decay, epsilon, momentum } = optimizer;
      const velocity = momentum > 0 ? slot(state, 1) : NO_VELOCITY;
      routines.rmsprop(weights, gradient, slot(state, 0), velocity, ...seen, learningRate, decay, epsilon, momentum);
      return;
    }
    case 'adam':
    case 'adamw': {
      const { beta1, beta2, epsilon } = optimizer;
      const decoupled = optimizer.kind === 'adamw';
      routines.adam(
        weights,
        gradient,
        slot(state, 0),
        slot(state, 1),
        count,
        gradientFactor,
        decoupled ? 0 : weightDecay,
        decoupled ? 1 - learningRate * weightDecay : 1,
        learningRate / (1 - integerPower(beta1, step + 1)),
        beta1,
        beta2,
        1 / Math.sqrt(1 - integerPower(beta2, step + 1)),
        epsilon,
      );
      return;
    }
    default:
      optimizer satisfies never;
  }
}

/** `Kernel.lambDirection`: You et al., 2020, algorithm 2, up to the norms. */
export function runLambDirection(
  routines: Routines,
  { beta1, beta2, epsilon }: LambSpec,
  { weights, gradient, state, count }: UpdateAddresses,
  step: number,
  { gradientFactor = 1, weightDecay = 0 }: UpdateTerms = {},
): void {
  routines.lambDirection(
    weights,
    gradient,
    slot(state, 0),
    slot(state, 1),
    count,
    gradientFactor,
    weightDecay,
    1 / (1 - integerPower(beta1, step + 1)),
    beta1,
    beta2,
    1 / Math.sqrt(1 - integerPower(beta2, step + 1)),
    epsilon,
  );
}

const NO_VELOCITY = 0;

function slot(state: readonly number[], index: number): number {
  const address = state[index];
  if (address === undefined) {
    throw new RangeError(`the optimizer keeps at least ${index + 1} state slots, received ${state.length}`);
  }
  return address;
}
