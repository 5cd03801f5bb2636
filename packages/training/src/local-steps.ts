/**
 * Local steps: a step of the run is a round. Every replica, of a number the job fixes, starts from the same weights and makes
 * H steps of its own on its share of the round's samples; then the differences are averaged like gradients, along the tree
 * over replicas, and an outer optimizer takes their mean for a gradient (DiLoCo, arXiv 2311.08105, algorithm 1).
 *
 * So to the step protocol a replica is a micro-batch, and a round is a step.
 */
import type { OptimizerSpec, ScheduleSpec } from '#kernel';
import { autoMicroBatches, learningRateAt } from '#kernel';
import type { JobSpec } from './job-spec.js';
import { loweredRate } from './lowered-rate.js';

/** What says how many samples a step has. */
export type CutSettings = Pick<JobSpec['train'], 'limit' | 'batch' | 'microBatches' | 'localSteps' | 'shuffle'>;
type Train = CutSettings & Pick<JobSpec['train'], 'optimizer' | 'schedule' | 'l2' | 'clipNorm'>;

/** What a round is made of; a pure function of job and data. */
export interface LocalShape {
  /** H: local steps of a whole round. */
  readonly steps: number;
  /** Samples one replica takes in one local step; the last of a round may have fewer. */
  readonly batch: number;
  /** The cut of one replica's local batch, a power of two. */
  readonly microBatches: number;
  /** Local steps of one replica in an epoch: its last round may have fewer than H. */
  readonly stepsPerEpoch: number;
  /** Local steps of one replica in the run: schedules end there. */
  readonly totalSteps: number;
}

/** The cut of epochs into steps: what `RunShape` holds of it. */
export interface StepsCut {
  readonly batch: number;
  readonly microBatches: number;
  readonly stepsPerEpoch: number;
  readonly steps: number;
  readonly local?: LocalShape;
}

/** @param trainSamples of the training split, at least 1 */
export function cutRounds(
  train: CutSettings,
  { steps, replicas }: NonNullable<Train['localSteps']>,
  trainSamples: number,
  parameterCount: number,
): StepsCut {
  const ownBatch = Math.ceil(Math.min(train.batch, trainSamples) / replicas);
  const batch = Math.min(steps * replicas * ownBatch, trainSamples);
  const rounds = Math.ceil(trainSamples / batch);
  const lastSamples = trainSamples - (rounds - 1) * batch;
  const stepsPerEpoch = (rounds - 1) * steps + localStepsOf(lastSamples, replicas, ownBatch);
  const allRounds = train.limit.kind === 'epochs' ? train.limit.epochs * rounds : roundsFor(train.limit.steps);
  const { microBatches } = train;

  /** So many local steps, up to a whole round. */
  function roundsFor(localSteps: number): number {
    const epochs = Math.floor(localSteps / stepsPerEpoch);
    return epochs * rounds + Math.ceil((localSteps - epochs * stepsPerEpoch) / steps);
  }

  return {
    batch,
    microBatches: replicas,
    stepsPerEpoch: rounds,
    steps: allRounds,
    local: {
      steps,
      batch: ownBatch,
      microBatches: microBatches === 'auto' ? autoMicroBatches(ownBatch, parameterCount) : microBatches,
      stepsPerEpoch,
      totalSteps: localStepsBefore({ steps, stepsPerEpoch }, rounds, allRounds),
    },
  };
}

/** `train.batch` and `train.microBatches` as they came out: with them the job cuts its samples the same way again. */
export function effectiveCut(cut: Pick<StepsCut, 'batch' | 'microBatches' | 'local'>): {
  readonly batch: number;
  readonly microBatches: number;
} {
  const { batch, microBatches, local } = cut;
  if (local === undefined) return { batch, microBatches };
  return { batch: microBatches * local.batch, microBatches: local.microBatches };
}

/** Local steps that a round of so many samples takes: as many as the replica with the most samples. */
export function localStepsOf(samples: number, replicas: number, ownBatch: number): number {
  return Math.ceil(Math.ceil(samples / replicas) / ownBatch);
}

/** Local steps of one replica before round `round`. */
export function localStepsBefore(
  { steps, stepsPerEpoch }: Pick<LocalShape, 'steps' | 'stepsPerEpoch'>,
  roundsPerEpoch: number,
  round: number,
): number {
  const epochs = Math.floor(round / roundsPerEpoch);
  return epochs * stepsPerEpoch + (round - epochs * roundsPerEpoch) * steps;
}

/** What a worker is told of local steps. */
export interface LocalSettings extends LocalShape {
  readonly optimizer: OptimizerSpec;
  readonly schedule: ScheduleSpec;
  readonly clipNorm?: number;
  readonly l2?: number;
}

/** The learning rates of a round's local steps, from what a worker knows. */
export function ratesOfRound(
  plan: Pick<StepsCut, 'batch' | 'microBatches'> & {
    readonly local: LocalSettings;
    readonly dataset: { readonly samples: { readonly train: number } };
  },
  round: number,
  samples: number,
): readonly number[] {
  const { local, batch, microBatches: replicas, dataset } = plan;
  const first = localStepsBefore(local, Math.ceil(dataset.samples.train / batch), round);
  return Array.from({ length: localStepsOf(samples, replicas, local.batch) }, (_, step) =>
    learningRateAt(local.schedule, local.optimizer, first + step, local.totalSteps),
  );
}

/** How the coordinator makes new weights of a step's mean gradient. */
export interface CoordinatorUpdate {
  readonly optimizer: OptimizerSpec;
  readonly l2?: number;
}

/** The job's own optimizer; with local steps that one is the replicas', and this the outer one. */
export function coordinatorUpdate({ localSteps, optimizer, l2 }: Train): CoordinatorUpdate {
  if (localSteps === undefined) return { optimizer, ...(l2 === undefined ? {} : { l2 }) };
  return { optimizer: { kind: 'momentum', ...localSteps.outer, nesterov: true } };
}

type Shape = Pick<StepsCut, 'stepsPerEpoch' | 'steps' | 'local' | 'microBatches'>;

/** How one step's sum becomes a mean and then an update. */
export interface AverageTerms {
  readonly divisor: number;
  readonly learningRate: number;
  readonly clipNorm?: number;
}

/** @param sampleCount of the step */
export function averageTerms(
  train: Train,
  shape: Shape,
  step: number,
  sampleCount: number,
  rollbacks: readonly number[] = [],
): AverageTerms {
  // Every replica counts the same, whether or not it has a sample more than another.
  if (train.localSteps !== undefined) {
    return { divisor: shape.microBatches, learningRate: train.localSteps.outer.learningRate };
  }
  const { clipNorm } = train;
  const learningRate = rateOfStep(train, shape, step, rollbacks);
  return { divisor: sampleCount, learningRate, ...(clipNorm === undefined ? {} : { clipNorm }) };
}

/** The learning rate a step is recorded with: of a round, that of its first local step. */
export function rateOfStep(
  { schedule, optimizer }: Train,
  shape: Omit<Shape, 'microBatches'>,
  step: number,
  rollbacks: readonly number[] = [],
): number {
  const { local, stepsPerEpoch, steps } = shape;
  if (local === undefined) return loweredRate(learningRateAt(schedule, optimizer, step, steps), rollbacks, step);
  return learningRateAt(schedule, optimizer, localStepsBefore(local, stepsPerEpoch, step), local.totalSteps);
}
