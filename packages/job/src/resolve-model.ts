/** The complete model of a job, once the data set says how many inputs, outputs and classes there are. */
import { type DatasetInfo, type JobSpec, RopeteamError, type RunPlan } from '#training';
import { resolveClassWeights } from './class-weights.js';
import { scaledLabels } from './data-conflicts.js';
import { isOfOtherTask } from './model-conflicts.js';
import { parameterCount, tooLarge } from './model-size.js';

type ModelSpec = RunPlan['model'];
type LossSpec = ModelSpec['loss'];
type LossName = LossSpec['kind'];
export type ModelData = Pick<DatasetInfo, 'task' | 'featureCount' | 'targetCount' | 'classes' | 'classCounts'>;

/**
 * The hidden layers of the job with the output layer behind them, and the loss.
 *
 * Left out, the loss is meanSquaredError for a regression (one output a target), binaryCrossEntropy for exactly two
 * classes (one output) and softmaxCrossEntropy for more (one output a class); softmaxCrossEntropy named for two
 * classes has two outputs. A hinge has one output for two classes and one a class for more.
 * @throws RopeteamError `CONFIG.CONFLICT` when the loss, the metric or `data.scaleTarget` does not suit the data, `MODEL.TOO_LARGE`
 */
export function resolveModel(job: JobSpec, data: ModelData): ModelSpec {
  const loss = job.model.loss ?? defaultLoss(data);
  const unsuited = data.task === 'classification' ? classConflict(loss.kind, data) : numberConflict(loss.kind, data);
  if (unsuited !== undefined) {
    throw new RopeteamError('CONFIG.CONFLICT', { key: unsuited.key }, unsuited.message, { hint: unsuited.hint });
  }
  const { scaleTarget } = job.data;
  if (scaleTarget !== 'none' && data.task === 'classification') {
    const { message, hint } = scaledLabels(scaleTarget);
    throw new RopeteamError('CONFIG.CONFLICT', { key: 'data.scaleTarget' }, message, { hint });
  }
  const classWeights = resolveClassWeights(job.train.classWeights, data);
  const { metric } = job.train;
  if (isOfOtherTask(metric, data.task)) {
    const message = `train.metric is ${metric}, which a ${data.task} does not have`;
    throw new RopeteamError('CONFIG.CONFLICT', { key: 'train.metric' }, message, {
      hint: data.task === 'classification' ? 'set train.metric: accuracy' : 'set train.metric: r2',
    });
  }
  const outputs = outputsOf(loss.kind, data);
  const layers = [...job.model.layers, { kind: 'dense', units: outputs } as const];
  const large = tooLarge(parameterCount(data.featureCount, layers));
  if (large !== undefined) {
    const hint = `make the dense layers smaller, or use fewer than the ${data.featureCount} inputs there are`;
    throw new RopeteamError('MODEL.TOO_LARGE', { bytes: large.bytes }, large.message, { hint });
  }
  return {
    inputs: data.featureCount,
    outputs,
    layers,
    loss: { ...loss, ...(classWeights === undefined ? {} : { classWeights }) },
    init: job.model.init,
  };
}

function defaultLoss(data: ModelData): LossSpec {
  if (data.task === 'regression') return { kind: 'meanSquaredError' };
  return { kind: data.classes.length === 2 ? 'binaryCrossEntropy' : 'softmaxCrossEntropy' };
}

function outputsOf(loss: LossName, data: ModelData): number {
  switch (loss) {
    case 'meanSquaredError':
    case 'huber':
      return data.targetCount;
    case 'binaryCrossEntropy':
      return 1;
    case 'softmaxCrossEntropy':
      return data.classes.length;
    case 'hinge':
      return data.classes.length === 2 ? 1 : data.classes.length;
    default:
      return loss satisfies never;
  }
}

interface Unsuited {
  readonly key: string;
  readonly message: string;
  readonly hint: string;
}

function classConflict(loss: LossName, data: ModelData): Unsuited | undefined {
  const classes = data.classes.length;
  const key = 'model.loss';
  if (classes < 2) {
    const message = `the target has ${classes === 1 ? `one class, ${JSON.stringify(data.classes[0])}` : 'no classes'}; there is nothing to tell apart`;
    return { key: 'data.target', message, hint: 'name a target column with at least two different labels' };
  }
  if (loss === 'meanSquaredError' || loss === 'huber') {
    const message = `${loss} is a loss for numbers, the target has ${classes} classes`;
    return { key, message, hint: 'remove model.loss, or set data.task: regression' };
  }
  if (loss === 'binaryCrossEntropy' && classes !== 2) {
    const message = `binaryCrossEntropy tells two classes apart, the target has ${classes}`;
    return { key, message, hint: 'set model.loss: softmaxCrossEntropy, or leave it out' };
  }
  return undefined;
}

function numberConflict(loss: LossName, data: ModelData): Unsuited | undefined {
  if (loss === 'meanSquaredError' || loss === 'huber') return undefined;
  const what = data.targetCount === 1 ? 'a number' : `${data.targetCount} numbers`;
  return {
    key: 'model.loss',
    message: `${loss} is a loss for classes, the target is ${what} (data.task: regression)`,
    hint: 'set model.loss: meanSquaredError, or data.task: classification',
  };
}
