/** When training has converged or stopped getting better. Judged once an epoch; pure, so that every replay agrees. */
import type { StoppedBy } from './events.js';

export interface StopRules {
  /** Epoch loss must fall by at least this below the best so far to count as progress. Absolute. */
  readonly tolerance?: number;
  /** Epochs in a row without progress before a rule ends the run. */
  readonly patience?: number;
}

/** Epochs without progress that `tolerance` waits for when the job gives no `patience`. */
const DEFAULT_TOLERANCE_PATIENCE = 5;

export interface StopState {
  readonly bestTrainLoss: number;
  readonly epochsConverged: number;
  readonly bestValidationLoss: number;
  readonly epochsWithoutBest: number;
}

export const FRESH_STOP_STATE: StopState = {
  bestTrainLoss: Number.POSITIVE_INFINITY,
  epochsConverged: 0,
  bestValidationLoss: Number.POSITIVE_INFINITY,
  epochsWithoutBest: 0,
};

export interface EpochLosses {
  readonly train: number;
  /** Absent without a validation split. */
  readonly validation?: number;
}

/** The state after one more epoch, and the rule that ends the run, if one does. */
export function judgeEpoch(
  state: StopState,
  rules: StopRules,
  losses: EpochLosses,
): readonly [StopState, Extract<StoppedBy, 'tolerance' | 'patience'> | undefined] {
  const converged = state.bestTrainLoss - losses.train < (rules.tolerance ?? 0);
  const watched = losses.validation ?? losses.train;
  const best = watched < state.bestValidationLoss;
  const next: StopState = {
    bestTrainLoss: Math.min(state.bestTrainLoss, losses.train),
    epochsConverged: converged ? state.epochsConverged + 1 : 0,
    bestValidationLoss: Math.min(state.bestValidationLoss, watched),
    epochsWithoutBest: best ? 0 : state.epochsWithoutBest + 1,
  };
  if (rules.tolerance !== undefined && next.epochsConverged >= (rules.patience ?? DEFAULT_TOLERANCE_PATIENCE)) {
    return [next, 'tolerance'];
  }
  if (rules.patience !== undefined && next.epochsWithoutBest >= rules.patience) return [next, 'patience'];
  return [next, undefined];
}
