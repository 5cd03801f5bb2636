/** When training has converged or stopped getting better. Judged once an epoch; pure, so that every replay agrees. */
import type { Metrics, StoppedBy } from './events.js';

/** Figures an epoch can be judged by. */
export const WATCHED_METRICS = [
  'loss',
  'accuracy',
  'macroF1',
  'rocAuc',
  'logLoss',
  'calibrationError',
  'r2',
  'meanAbsoluteError',
  'rootMeanSquaredError',
] as const satisfies readonly (keyof Metrics)[];

export type WatchedMetric = (typeof WATCHED_METRICS)[number];

/** Those that are known of the training split too, where nothing is kept back for validation. */
export const TRAINING_METRICS: readonly WatchedMetric[] = ['loss', 'accuracy', 'r2'];

const HIGHER_IS_BETTER: readonly WatchedMetric[] = ['accuracy', 'macroF1', 'rocAuc', 'r2'];

export interface StopRules {
  /** Epoch loss must fall by at least this below the best so far to count as progress. Absolute. */
  readonly tolerance?: number;
  /** Epochs in a row without progress before a rule ends the run. */
  readonly patience?: number;
  /** What `patience` and the best epoch go by, on the validation split if there is one; absent: the loss. */
  readonly metric?: WatchedMetric;
  /** Whose weights the run keeps; absent: those of the last step. */
  readonly keep?: 'last' | 'best';
}

/** Epochs without progress that `tolerance` waits for when the job gives no `patience`. */
const DEFAULT_TOLERANCE_PATIENCE = 5;

export interface StopState {
  readonly bestTrainLoss: number;
  readonly epochsConverged: number;
  /** The watched figure of the best epoch, with the sign that makes the least the best. */
  readonly bestWatched: number;
  readonly epochsWithoutBest: number;
}

export const FRESH_STOP_STATE: StopState = {
  bestTrainLoss: Number.POSITIVE_INFINITY,
  epochsConverged: 0,
  bestWatched: Number.POSITIVE_INFINITY,
  epochsWithoutBest: 0,
};

export interface EpochFigures {
  readonly train: Metrics;
  /** Absent without a validation split. */
  readonly validation?: Metrics;
}

export interface Judgement {
  readonly stop: StopState;
  /** The rule that ends the run, if one does. */
  readonly stoppedBy?: Extract<StoppedBy, 'tolerance' | 'patience'>;
  /** Present when no epoch before was as good: its watched figure. */
  readonly best?: number;
}

/** What one more epoch means. A figure that is missing, or NaN, is no new best. */
export function judgeEpoch(state: StopState, rules: StopRules, { train, validation }: EpochFigures): Judgement {
  const metric = rules.metric ?? 'loss';
  const converged = state.bestTrainLoss - train.loss < (rules.tolerance ?? 0);
  const value = (validation ?? train)[metric];
  const cost = value === undefined ? Number.POSITIVE_INFINITY : HIGHER_IS_BETTER.includes(metric) ? -value : value;
  const isBest = cost < state.bestWatched;
  const stop: StopState = {
    bestTrainLoss: Math.min(state.bestTrainLoss, train.loss),
    epochsConverged: converged ? state.epochsConverged + 1 : 0,
    bestWatched: isBest ? cost : state.bestWatched,
    epochsWithoutBest: isBest ? 0 : state.epochsWithoutBest + 1,
  };
  const { tolerance, patience } = rules;
  const best = isBest && value !== undefined ? { best: value } : {};
  if (tolerance !== undefined && stop.epochsConverged >= (patience ?? DEFAULT_TOLERANCE_PATIENCE)) {
    return { stop, stoppedBy: 'tolerance', ...best };
  }
  if (patience !== undefined && stop.epochsWithoutBest >= patience) return { stop, stoppedBy: 'patience', ...best };
  return { stop, ...best };
}
