import type { OptimizerSpec } from './model-spec.js';

/** Names of the state vectors [P] an optimizer keeps, in the order of its state; all are zero at the start. */
export function optimizerSlotNames(optimizer: OptimizerSpec): readonly string[] {
  switch (optimizer.kind) {
    case 'sgd':
      return [];
    case 'momentum':
      return ['velocity'];
    case 'adam':
      return ['firstMoment', 'secondMoment'];
    default:
      return optimizer satisfies never;
  }
}

/** How many state vectors [P] an optimizer keeps. */
export function optimizerSlots(optimizer: OptimizerSpec): number {
  return optimizerSlotNames(optimizer).length;
}
