/** What the workers of a simulated cluster send, and the generator that its schedules replay from. */
import type { workerId } from './identities.js';
import type { RunInput } from './run-state.js';
import type { LeaseItem, WorkerItem } from './work-items.js';

/** Hash of what a lying worker computes. */
export const LIE = 'f'.repeat(16);

const HASH = '0'.repeat(16);

/** What a worker would send: sums that depend on the samples alone. */
export function receiptOf(item: WorkerItem, worker: ReturnType<typeof workerId>, gradientHash = HASH): RunInput {
  if (item.kind === 'evaluation') {
    const sums = sumsOver(item.end - item.begin, item.begin + 1);
    const { run, fence: at, version, split, part } = item;
    const tally = { cells: [], counts: [], absoluteErrorSum: sums.lossSum, squaredErrorSum: 0, logLossSum: 0 };
    return { kind: 'evaluation-received', receipt: { run, fence: at, version, split, part, worker, ...sums, tally } };
  }
  if (item.kind === 'lease') throw new Error('a lease has a receipt of its own');
  const { run, fence: at, step, block } = item;
  const sums = sumsOver(block.end - block.begin, step + 1);
  const proof = { gradientHash, computeMs: 1, waitedMs: 0, attempt: 1 };
  return { kind: 'gradient-received', receipt: { run, fence: at, step, block, worker, ...sums, ...proof } };
}

/** @param broken the first step in it that is not finite: it ends there */
export function leaseReceiptOf(
  item: LeaseItem,
  worker: ReturnType<typeof workerId>,
  microBatches: number,
  broken: number | undefined,
  hash = HASH,
): RunInput {
  const { run, fence: at, step, end } = item;
  const proof = { gradientNorm: 1, gradientHash: hash, weightsHash: hash };
  const steps = range(step, broken === undefined ? end : broken + 1).map((each) => ({
    ...sumsOver(microBatches, each + 1),
    ...proof,
    finite: each !== broken,
  }));
  const times = { computeMs: 1, waitedMs: 0, attempt: 1 };
  return { kind: 'lease-received', receipt: { run, fence: at, step, end, worker, startHash: HASH, steps, ...times } };
}

function sumsOver(sampleCount: number, each: number) {
  const sum = sampleCount * each;
  const squares = { squaredErrorSum: sum, targetSum: sum, targetSquareSum: sum * each * 4 };
  return { sampleCount, lossSum: sum, correctCount: 0, ...squares };
}

export function range(begin: number, end: number): number[] {
  return Array.from({ length: end - begin }, (_, index) => begin + index);
}

/** A small seeded generator: a test's schedule must replay. */
export function mulberry(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
