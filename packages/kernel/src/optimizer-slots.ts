import type { OptimizerSpec } from './model-spec.js';

/** Names of the state vectors [P] an optimizer keeps, in the order of its state; all are zero at the start. */
export function optimizerSlotNames(optimizer: OptimizerSpec): readonly string[] {
  switch (optimizer.kind) {
    case 'sgd':
      return [];
    case 'momentum':
      return ['velocity'];
    case 'adagrad':
      return ['squareSum'];
    case 'rmsprop':
      return optimizer.momentum > 0 ? ['secondMoment', 'velocity'] : ['secondMoment'];
    case 'adam':
    case 'adamw':
    case 'lamb':
      return ['firstMoment', 'secondMoment'];
    default:
      return optimizer satisfies never;
  }
}

/** How many state vectors [P] an optimizer keeps. */
export function optimizerSlots(optimizer: OptimizerSpec): number {
  return optimizerSlotNames(optimizer).length;
}
