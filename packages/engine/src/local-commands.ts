import { type ControlBlock, TABLE } from './control-block.js';
import type { LocalOptions, WorkerEngineOptions } from './engine.js';
import { LOSS_SUMS_LENGTH, sumsTableLength } from './loss-sums.js';
import { updateTableLengths } from './step-update.js';

/** Where the numbers of local steps lie, behind the table of sums that gradients and evaluations use. */
export interface LocalTable {
  /** Doubles in all, from `TABLE` on. */
  readonly length: number;
  readonly squareSums: number;
  readonly norms: number;
  /** Sums of the local step in hand. */
  readonly sums: number;
  /** One learning rate a local step. */
  readonly rates: number;
}

export function localTable({ model, microBatches }: WorkerEngineOptions, local: LocalOptions): LocalTable {
  const lengths = updateTableLengths({ ...local, model });
  const squareSums = TABLE + sumsTableLength(Math.max(microBatches, local.microBatches));
  const norms = squareSums + lengths.squareSums;
  const sums = norms + lengths.norms;
  const rates = sums + LOSS_SUMS_LENGTH;
  return { squareSums, norms, sums, rates, length: rates + local.steps - TABLE };
}

export function writeLocalRates({ numbers }: ControlBlock, { rates }: LocalTable, given: readonly number[]): void {
  numbers.set(given, rates);
}

export function readLocalRates({ numbers }: ControlBlock, { rates }: LocalTable, localStep: number): number {
  return numbers[rates + localStep]!;
}
