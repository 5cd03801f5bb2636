/** How a run's samples fall into epochs, steps and micro-batches: a pure function of job and data, never of workers. */
import { autoMicroBatches, type WindowCut } from '#kernel';
import type { DatasetInfo, SplitName } from './dataset.js';
import type { Fence, RunId, Step } from './identities.js';
import { step as toStep } from './identities.js';
import { type CutSettings, cutRounds, type LocalShape, type StepsCut } from './local-steps.js';
import type { RunPlan } from './messages.js';
import { askedWindows } from './sample-windows.js';
import type { EvaluationItem } from './work-items.js';

/** Samples in one evaluation item. Fixed, so that sums of metrics are added in the same order for any worker count. */
const EVALUATION_SAMPLES = 4096;

export interface RunShape {
  readonly run: RunId;
  readonly fence: Fence;
  readonly samples: Readonly<Record<SplitName, number>>;
  /** Samples of a step: the global batch, or with local steps a round's; never more than the training samples. */
  readonly batch: number;
  /** M: leaves of the reduction tree. With local steps each is a replica. */
  readonly microBatches: number;
  readonly stepsPerEpoch: number;
  /** Steps at the most. */
  readonly steps: number;
  /** Epochs at the most; the last may be cut short by `steps`. */
  readonly epochs: number;
  readonly limitedBy: 'epochs' | 'steps';
  /** Present: a step is a round of local steps. */
  readonly local?: LocalShape;
  /** Absent: an epoch's order is one of the whole training split. */
  readonly windows?: WindowCut;
  /** After every so many steps the weights are saved: no lease goes beyond. */
  readonly saveEverySteps?: number;
}

export function shapeRun(
  run: RunId,
  fence: Fence,
  train: CutSettings,
  samples: DatasetInfo['samples'],
  parameterCount: number,
  saveEverySteps?: number,
): RunShape {
  const cut =
    train.localSteps === undefined
      ? cutSteps(train, samples.train, parameterCount)
      : cutRounds(train, train.localSteps, samples.train, parameterCount);
  const windows = train.localSteps === undefined ? askedWindows(train.shuffle, samples.train) : undefined;
  return {
    run,
    fence,
    samples,
    ...cut,
    epochs: Math.ceil(cut.steps / cut.stepsPerEpoch),
    limitedBy: train.limit.kind,
    ...(windows === undefined ? {} : { windows }),
    ...(saveEverySteps === undefined ? {} : { saveEverySteps }),
  };
}

function cutSteps(train: CutSettings, trainSamples: number, parameterCount: number): StepsCut {
  const batch = Math.min(train.batch, trainSamples);
  const stepsPerEpoch = stepsOfEpoch(trainSamples, batch);
  const { limit, microBatches } = train;
  return {
    batch,
    microBatches: microBatches === 'auto' ? autoMicroBatches(batch, parameterCount) : microBatches,
    stepsPerEpoch,
    steps: limit.kind === 'steps' ? limit.steps : limit.epochs * stepsPerEpoch,
  };
}

/** The last batch of an epoch may be short. */
const stepsOfEpoch = (samples: number, batch: number): number => Math.ceil(samples / batch);

/** The samples of one step: positions `[firstPosition, endPosition)` of its epoch's permutation. */
export interface StepSamples {
  readonly epoch: number;
  readonly firstPosition: number;
  readonly endPosition: number;
}

/** What decides which samples a step has; a plan tells workers as much. */
type StepCut = Pick<RunShape, 'batch' | 'stepsPerEpoch'> & { readonly samples: { readonly train: number } };

export function samplesOfStep(shape: StepCut, step: number): StepSamples {
  const epoch = Math.floor(step / shape.stepsPerEpoch);
  const firstPosition = (step - epoch * shape.stepsPerEpoch) * shape.batch;
  return { epoch, firstPosition, endPosition: Math.min(firstPosition + shape.batch, shape.samples.train) };
}

/** The same, from what a worker knows. */
export function samplesOfLeaseStep({ batch, dataset: { samples } }: RunPlan, step: number): StepSamples {
  return samplesOfStep({ batch, samples, stepsPerEpoch: stepsOfEpoch(samples.train, batch) }, step);
}

/** Whether `version` committed steps are a whole number of epochs. */
export function endsEpoch(shape: RunShape, version: number): boolean {
  return version > 0 && version % shape.stepsPerEpoch === 0;
}

/** The evaluation of one split at one weight version, cut into items of fixed size; none for an empty split. */
export function evaluationItems(shape: RunShape, version: number, split: SplitName): readonly EvaluationItem[] {
  const samples = shape.samples[split];
  return Array.from({ length: Math.ceil(samples / EVALUATION_SAMPLES) }, (_, part) => ({
    kind: 'evaluation' as const,
    run: shape.run,
    fence: shape.fence,
    version: toStep(version) satisfies Step,
    split,
    part,
    begin: part * EVALUATION_SAMPLES,
    end: Math.min((part + 1) * EVALUATION_SAMPLES, samples),
    issue: 0,
  }));
}
