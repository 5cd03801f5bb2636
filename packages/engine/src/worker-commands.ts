import { ARGUMENTS, type ControlBlock } from './control-block.js';
import type { EvaluationRequest, GradientRequest, SplitName } from './engine.js';

/** Commands of a worker's threads. Arguments cross as doubles: sample positions outgrow 32 bits. */
export const COMPUTE_GRADIENT = 1;
export const EVALUATE = 2;
/** As `COMPUTE_GRADIENT`, with all threads on the same micro-batch. */
export const COMPUTE_GRADIENT_TOGETHER = 3;
export const LEASE = 4;
export const SNAPSHOT = 5;
/** Makes the weights that are computed on, where those that travel, or that leases update, are not. */
export const WIDEN = 6;

/** The replicas of a block, each step after step by itself. */
export const LOCAL = 7;

export interface GradientArguments extends Omit<GradientRequest, 'learningRates'> {
  /** Byte address of the current weights. */
  readonly weights: number;
  /** Whether all participants compute each micro-batch together. */
  readonly together: boolean;
}

export interface EvaluationArguments extends EvaluationRequest {
  readonly weights: number;
}

const SPLITS: readonly SplitName[] = ['train', 'validation', 'test'];

export function writeGradientArguments({ numbers }: ControlBlock, given: GradientArguments): void {
  const { step, epoch, firstPosition, endPosition, begin, end, weights, together } = given;
  numbers.set([epoch, firstPosition, endPosition, begin, end, weights, step, together ? 1 : 0], ARGUMENTS);
}

export function readGradientArguments({ numbers }: ControlBlock): GradientArguments {
  return {
    epoch: numbers[ARGUMENTS]!,
    firstPosition: numbers[ARGUMENTS + 1]!,
    endPosition: numbers[ARGUMENTS + 2]!,
    begin: numbers[ARGUMENTS + 3]!,
    end: numbers[ARGUMENTS + 4]!,
    weights: numbers[ARGUMENTS + 5]!,
    step: numbers[ARGUMENTS + 6]!,
    together: numbers[ARGUMENTS + 7] === 1,
  };
}

export function writeEvaluationArguments({ numbers }: ControlBlock, given: EvaluationArguments): void {
  numbers.set([SPLITS.indexOf(given.split), given.begin, given.end, given.weights], ARGUMENTS);
}

export function readEvaluationArguments({ numbers }: ControlBlock): EvaluationArguments {
  return {
    split: SPLITS[numbers[ARGUMENTS]!]!,
    begin: numbers[ARGUMENTS + 1]!,
    end: numbers[ARGUMENTS + 2]!,
    weights: numbers[ARGUMENTS + 3]!,
  };
}

export interface WidenArguments {
  /** Byte address. */
  readonly from: number;
  /** They are float32 weights of a lease, to be rounded as they would be to travel. */
  readonly masters: boolean;
}

export function writeWidenArguments({ numbers }: ControlBlock, { from, masters }: WidenArguments): void {
  numbers.set([from, masters ? 1 : 0], ARGUMENTS);
}

export function readWidenArguments({ numbers }: ControlBlock): WidenArguments {
  return { from: numbers[ARGUMENTS]!, masters: numbers[ARGUMENTS + 1] === 1 };
}

/** The subtrees of a block that threads take one at a time, in order: at most `mostSubtrees`, a power of two. */
export function cutBlock(
  begin: number,
  end: number,
  mostSubtrees: number,
): { readonly count: number; readonly size: number } {
  const count = Math.min(end - begin, mostSubtrees);
  return { count, size: (end - begin) / count };
}
