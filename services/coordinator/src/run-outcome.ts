/** How a run ends, and who hears of it. */
import {
  type ErrorEnvelope,
  type Metrics,
  nameRows,
  RopeteamError,
  type RunEffect,
  type RunId,
  type RunState,
  type SplitName,
  type StoppedBy,
} from '#training';
import type { PreparedRun } from './prepare-run.js';

export type RunOutcome =
  | {
      readonly kind: 'finished';
      readonly stoppedBy: StoppedBy;
      readonly metrics: Readonly<Partial<Record<SplitName, Metrics>>>;
    }
  | { readonly kind: 'failed'; readonly error: ErrorEnvelope };

export interface TrainerListener {
  /** A step counts; the weights hold still until this returns. */
  committed(state: RunState, loss: number): void;
  /** Called once, when the run has finished or failed. */
  ended(outcome: RunOutcome): void;
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
    shuffle: job.train.shuffle !== false,
    data: job.data,
    skippedRows,
  });
}
