/** How a run ends, and who hears of it. */
import {
  type ErrorEnvelope,
  type FinalMetrics,
  isShuffled,
  type Kept,
  type NonFinite,
  nameRows,
  RopeteamError,
  type RunEffect,
  type RunId,
  type RunState,
  type SplitName,
  type Step,
  type StoppedBy,
} from '#training';
import type { PreparedRun } from './prepare-run.js';

export type RunOutcome =
  | {
      readonly kind: 'finished';
      readonly stoppedBy: StoppedBy;
      readonly metrics: Readonly<Partial<Record<SplitName, FinalMetrics>>>;
    }
  | { readonly kind: 'failed'; readonly error: ErrorEnvelope }
  /** A step is not finite: the run goes on from an earlier one, as after a restart. */
  | { readonly kind: 'rolled-back'; readonly step: Step; readonly to: Step; readonly trouble: NonFinite };

export interface TrainerListener {
  /** A step counts; the weights hold still until this returns. */
  committed(state: RunState, loss: number): void;
  /** No step comes any more, and the weights are about to be replaced by those of the best epoch. */
  restoring(state: RunState): Promise<void>;
  /** Called once, when the run has finished or failed. */
  ended(outcome: RunOutcome): void;
}

/** Where the kept weights come from, if they are an epoch's for being its best. */
export function keptBy(
  { best, restored, version }: RunState,
  { job, dataset }: Pick<PreparedRun, 'job' | 'dataset'>,
): Kept | undefined {
  if (best === undefined || (restored === undefined && best.step !== version)) return undefined;
  const split = dataset.info.samples.validation > 0 ? 'validation' : 'train';
  return { step: best.step, epoch: best.epoch, metric: `${split}.${job.train.metric}`, value: best.value };
}

/** A step that could not be averaged, adopted or written down: nothing may count after it. */
export function stepFailed(run: RunId, what: string, cause: unknown): RopeteamError {
  if (cause instanceof RopeteamError) return cause;
  const message = `a step could not be ${what}: ${cause instanceof Error ? cause.message : String(cause)}`;
  return new RopeteamError('RUN.FAILED', { run }, message, {
    cause,
    hint: 'the coordinator’s log has the place in the code; its last checkpoint is whole',
  });
}

/** The error a run fails with; of an item that failed too often with the rows it computes. */
export function errorWithRows(
  { error, suspect }: RunEffect & { kind: 'fail' },
  { job, dataset, shape }: Pick<PreparedRun, 'job' | 'dataset' | 'shape'>,
): ErrorEnvelope {
  if (suspect === undefined) return error;
  const { skippedRows } = dataset.info;
  return nameRows(error, suspect, {
    shape,
    seed: job.train.seed,
    shuffle: isShuffled(job.train.shuffle),
    data: job.data,
    skippedRows,
  });
}
