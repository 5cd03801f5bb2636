import { ARGUMENTS, type ControlBlock, RESULTS, TABLE } from './control-block.js';
import type { LeaseStepRequest, LeaseStepResult } from './engine.js';
import { hashDigits } from './hash-digits.js';
import { LOSS_SUMS_LENGTH, readLossSums } from './loss-sums.js';

/** Steps of one lease at the most: the control block has a row for each. */
export const MOST_LEASE_STEPS = 1024;

export interface LeaseArguments {
  readonly epoch: number;
  readonly firstStep: number;
  readonly steps: number;
  /** Byte address of the weights, updated in place. */
  readonly weights: number;
  /** Infinity: no clipping. */
  readonly clipNorm: number;
  /** Whether all participants compute each micro-batch together. */
  readonly together: boolean;
}

/** Results: hash of the weights at the start, then how many steps have a record. */
const STARTED_FROM = RESULTS;
const STEPS_DONE = RESULTS + 1;

/** A step's row: what is asked, then sums, norm, two hashes and whether it is finite. */
const POSITIONS = 0;
const RATE = 2;
const SUMS = 3;
const NORM = SUMS + LOSS_SUMS_LENGTH;
const GRADIENT_HASH = NORM + 1;
const WEIGHTS_HASH = NORM + 2;
const FINITE = NORM + 3;
const ROW = FINITE + 1;

/** Where the numbers of leases lie, behind the table of sums that gradients and evaluations use. */
export interface LeaseTable {
  /** Doubles in all, from `TABLE` on. */
  readonly length: number;
  readonly squareSums: number;
  readonly norms: number;
  readonly rows: number;
}

export function leaseTable(
  sumsLength: number,
  lengths: { readonly squareSums: number; readonly norms: number },
): LeaseTable {
  const squareSums = TABLE + sumsLength;
  const norms = squareSums + lengths.squareSums;
  const rows = norms + lengths.norms;
  return { squareSums, norms, rows, length: rows + ROW * MOST_LEASE_STEPS - TABLE };
}

export function writeLeaseArguments({ numbers }: ControlBlock, given: LeaseArguments): void {
  const { epoch, firstStep, steps, weights, clipNorm, together } = given;
  numbers.set([epoch, firstStep, steps, weights, clipNorm, together ? 1 : 0], ARGUMENTS);
  numbers[STEPS_DONE] = 0;
}

export function readLeaseArguments({ numbers }: ControlBlock): LeaseArguments {
  return {
    epoch: numbers[ARGUMENTS]!,
    firstStep: numbers[ARGUMENTS + 1]!,
    steps: numbers[ARGUMENTS + 2]!,
    weights: numbers[ARGUMENTS + 3]!,
    clipNorm: numbers[ARGUMENTS + 4]!,
    together: numbers[ARGUMENTS + 5] === 1,
  };
}

/** The rows of a lease's steps in the control block. */
export interface LeaseRows {
  writeRequest(step: number, request: LeaseStepRequest): void;
  readRequest(step: number): LeaseStepRequest;
  /** Where `writeLossSums` puts a step's sums. */
  sumsAt(step: number): number;
  writeGradientHash(step: number, hash: bigint): void;
  /** The step's record is complete; `weightsHash` is left out when it is not finite. */
  finish(step: number, end: { readonly gradientNorm: number; readonly weightsHash?: bigint }): void;
  writeStartHash(hash: bigint): void;
  readResult(): { readonly startHash: string; readonly steps: readonly LeaseStepResult[] };
}

export function leaseRows({ numbers }: ControlBlock, { rows }: LeaseTable): LeaseRows {
  const hashes = new BigUint64Array(numbers.buffer);
  const rowOf = (step: number): number => rows + ROW * step;
  const sumsAt = (step: number): number => rowOf(step) + SUMS;
  return {
    writeRequest(step, { firstPosition, endPosition, learningRate }) {
      numbers.set([firstPosition, endPosition, learningRate], rowOf(step) + POSITIONS);
    },
    readRequest(step) {
      const at = rowOf(step);
      return {
        firstPosition: numbers[at + POSITIONS]!,
        endPosition: numbers[at + POSITIONS + 1]!,
        learningRate: numbers[at + RATE]!,
      };
    },
    sumsAt,
    writeGradientHash(step, hash) {
      hashes[rowOf(step) + GRADIENT_HASH] = hash;
    },
    finish(step, { gradientNorm, weightsHash }) {
      numbers[rowOf(step) + NORM] = gradientNorm;
      numbers[rowOf(step) + FINITE] = weightsHash === undefined ? 0 : 1;
      hashes[rowOf(step) + WEIGHTS_HASH] = weightsHash ?? 0n;
      numbers[STEPS_DONE] = step + 1;
    },
    writeStartHash(hash) {
      hashes[STARTED_FROM] = hash;
    },
    readResult() {
      const steps = Array.from({ length: numbers[STEPS_DONE]! }, (_, step) => ({
        ...readLossSums(numbers, sumsAt(step), 0),
        gradientNorm: numbers[rowOf(step) + NORM]!,
        gradientHash: hashDigits(hashes[rowOf(step) + GRADIENT_HASH]!),
        weightsHash: hashDigits(hashes[rowOf(step) + WEIGHTS_HASH]!),
        finite: numbers[rowOf(step) + FINITE] === 1,
      }));
      return { startHash: hashDigits(hashes[STARTED_FROM]!), steps };
    },
  };
}
