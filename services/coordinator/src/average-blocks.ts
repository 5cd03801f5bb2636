import { averageTerms, type GradientReceipt, type NonFinite, rateOfStep, type Step, sumsOfStep } from '#training';
import { slotOf } from './gradient-inbox.js';
import { findNonFinite } from './non-finite-scan.js';
import type { PreparedRun } from './prepare-run.js';
import type { Averaged } from './run-record.js';

export interface AveragedStep {
  readonly averaged: Averaged;
  /** Neither mean nor loss holds NaN or an infinity. Otherwise nothing was updated. */
  readonly finite: boolean;
  readonly trouble?: NonFinite;
}

/**
 * Folds a step's blocks, takes the mean and updates.
 * @param suspected the step was not finite before: where that begins is looked for, while the blocks are still what they are
 */
export async function averageBlocks(
  { engine, job, shape, program, rollbacks }: PreparedRun,
  step: Step,
  receipts: readonly GradientReceipt[],
  suspected: boolean,
): Promise<AveragedStep> {
  const { wire } = job.train;
  const sums = sumsOfStep(receipts, shape.microBatches);
  const learningRate = rateOfStep(job.train, shape, step, rollbacks);
  const { divisor, ...terms } = averageTerms(job.train, shape, step, sums.sampleCount, rollbacks);
  const bytesOf = (receipt: GradientReceipt): Uint8Array => engine.inbox(slotOf(receipt));
  const place = suspected ? await findNonFinite(receipts, { wire, program, bytesOf }) : {};
  const result = await engine.average({
    step,
    blocks: receipts.map((receipt) => ({ slot: slotOf(receipt), ...receipt.block })),
    sampleCount: divisor,
    ...terms,
    leaveOut: !Number.isFinite(sums.lossSum),
  });
  const { gradientNorm } = result;
  const loss = sums.lossSum / sums.sampleCount;
  return {
    averaged: { ...result, learningRate },
    finite: result.finite,
    ...(result.finite ? {} : { trouble: { learningRate, gradientNorm, loss, ...place } }),
  };
}
