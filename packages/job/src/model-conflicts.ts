/** Rules across `model:`, `train:` and the task. */
import { type Task, TRAINING_METRICS, WATCHED_METRICS, type WatchedMetric } from '#training';
import type { Conflict, Settings } from './conflicts.js';
import { defaultReplicas } from './local-settings.js';
import { type LayerSpec, parameterCount, tooLarge } from './model-size.js';
import { oneOf } from './schema-shape.js';
import { defaultBatch } from './train-settings.js';

export function modelConflicts(settings: Settings): Conflict[] {
  return [
    ...lossForTask(settings),
    ...firstWeights(settings),
    ...size(settings),
    ...cuts(settings),
    ...watched(settings),
    ...windows(settings),
    ...warmup(settings),
    ...twoDecays(settings),
    ...rollbackTarget(settings),
  ];
}

const classLosses: readonly unknown[] = ['binaryCrossEntropy', 'softmaxCrossEntropy', 'hinge'];
const numberLosses: readonly unknown[] = ['meanSquaredError', 'huber'];

function lossForTask(settings: Settings): Conflict[] {
  const loss = nameOf(settings('model', 'loss'));
  const task = settings('data', 'task');
  const target = settings('data', 'target');
  const path = ['model', 'loss'];
  if (classLosses.includes(loss) && task === 'regression') {
    const message = `${String(loss)} is a loss for classes, data.task is regression`;
    return [{ path, message, hint: 'set model.loss: meanSquaredError, or data.task: classification' }];
  }
  if (numberLosses.includes(loss) && task === 'classification') {
    const message = `${String(loss)} is a loss for numbers, data.task is classification`;
    return [{ path, message, hint: 'remove model.loss: it follows from the number of classes' }];
  }
  if (classLosses.includes(loss) && Array.isArray(target) && target.length > 1 && task === undefined) {
    const message = `${String(loss)} takes one target column, data.target names ${target.length}`;
    return [{ path, message, hint: 'keep one target column, or set model.loss: meanSquaredError' }];
  }
  return [];
}

/** The training split has but the first figures, and each task its own. */
function watched(settings: Settings): Conflict[] {
  const metric = WATCHED_METRICS.find((name) => name === settings('train', 'metric'));
  if (metric === undefined || metric === 'loss') return [];
  const path = ['train', 'metric'];
  const task = settings('data', 'task');
  if ((task === 'classification' || task === 'regression') && isOfOtherTask(metric, task)) {
    const message = `train.metric is ${metric}, which a ${task} does not have`;
    return [{ path, message, hint: task === 'classification' ? 'set train.metric: accuracy' : 'set train.metric: r2' }];
  }
  if (settings('data', 'split', 'validation') !== 0 || TRAINING_METRICS.includes(metric)) return [];
  const message = `${metric} is measured on the validation split, and data.split.validation is 0`;
  return [{ path, message, hint: `keep something back for validation, or watch ${oneOf(TRAINING_METRICS)}` }];
}

const FIGURES_OF_NUMBERS: readonly WatchedMetric[] = ['r2', 'meanAbsoluteError', 'rootMeanSquaredError'];

/** Whether a metric is a figure of the other task. */
export function isOfOtherTask(metric: WatchedMetric, task: Task): boolean {
  return metric !== 'loss' && FIGURES_OF_NUMBERS.includes(metric) !== (task === 'regression');
}

function windows(settings: Settings): Conflict[] {
  const window = settings('train', 'shuffle', 'window');
  if (typeof window === 'number' && settings('train', 'localSteps') !== undefined) {
    const message =
      'train.shuffle.window holds samples near each other, and a round of train.localSteps reaches further';
    return [{ path: ['train', 'shuffle', 'window'], message, hint: 'set train.shuffle: true' }];
  }
  const given = settings('train', 'batch');
  const batch = typeof given === 'number' ? given : defaultBatch;
  if (typeof window !== 'number' || window >= 2 * batch) return [];
  const message = `a window of ${window} samples has no room for two batches of ${batch}`;
  const hint = `set train.shuffle.window to at least ${2 * batch}, or make train.batch smaller`;
  return [{ path: ['train', 'shuffle', 'window'], message, hint }];
}

function firstWeights(settings: Settings): Conflict[] {
  if (settings('model', 'init') !== 'zeros' || sizedLayers(settings).every(({ kind }) => kind !== 'dense')) return [];
  return [
    {
      path: ['model', 'init'],
      message: 'with init: zeros all units of a hidden layer start the same and stay the same',
      hint: 'set model.init: auto, or keep zeros for a model with layers: []',
    },
  ];
}

/** Without the data the widths of the first and the last layer are unknown; between hidden layers they are not. */
function size(settings: Settings): Conflict[] {
  const parameters = parameterCount(0, sizedLayers(settings));
  const large = tooLarge(parameters);
  if (large === undefined) return [];
  const { message, bytes } = large;
  return [{ path: ['model', 'layers'], message, hint: 'make the dense layers smaller', tooLargeBytes: bytes }];
}

/** Checkpoints by the clock lie elsewhere in every run: going back to one would make the weights depend on time. */
function rollbackTarget(settings: Settings): Conflict[] {
  if (settings('train', 'onNonFinite') !== 'rollback') return [];
  const path = ['train', 'onNonFinite'];
  if (settings('train', 'localSteps') !== undefined) {
    const message = 'train.onNonFinite: rollback lowers the rate of steps, and with train.localSteps a step is a round';
    return [{ path, message, hint: 'choose skip or stop' }];
  }
  if (settings('checkpoint', 'everySteps') !== undefined) return [];
  return [
    {
      path,
      message:
        'train.onNonFinite: rollback needs checkpoint.everySteps: where the run goes back to may not depend on time',
      hint: 'set checkpoint.everySteps, for example 1000, or choose skip or stop',
    },
  ];
}

function cuts(settings: Settings): Conflict[] {
  const microBatches = settings('train', 'microBatches');
  const batch = settings('train', 'batch') ?? defaultBatch;
  const replicas = replicasOf(settings);
  if (replicas !== undefined && typeof batch === 'number') return cutsOfReplicas(batch, replicas, microBatches);
  if (typeof microBatches !== 'number' || typeof batch !== 'number' || microBatches <= batch) return [];
  const message = `train.microBatches is ${microBatches}, more than the ${batch} samples of train.batch`;
  return [{ path: ['train', 'microBatches'], message, hint: 'make train.batch larger, or leave microBatches out' }];
}

/** Undefined without local steps. */
function replicasOf(settings: Settings): number | undefined {
  if (settings('train', 'localSteps') === undefined) return undefined;
  const replicas = settings('train', 'localSteps', 'replicas') ?? defaultReplicas;
  return typeof replicas === 'number' ? replicas : undefined;
}

function cutsOfReplicas(batch: number, replicas: number, microBatches: unknown): Conflict[] {
  if (replicas > batch) {
    const message = `train.localSteps.replicas is ${replicas}, more than the ${batch} samples of train.batch`;
    return [{ path: ['train', 'localSteps', 'replicas'], message, hint: 'make train.batch larger: replicas share it' }];
  }
  const own = Math.ceil(batch / replicas);
  if (typeof microBatches !== 'number' || microBatches <= own) return [];
  const message = `train.microBatches is ${microBatches}, more than the ${own} samples each of ${replicas} replicas has of a batch`;
  return [{ path: ['train', 'microBatches'], message, hint: 'make train.batch larger, or leave microBatches out' }];
}

function warmup(settings: Settings): Conflict[] {
  const steps = settings('train', 'steps');
  const warm = settings('train', 'schedule', 'warmup');
  if (typeof steps !== 'number' || typeof warm !== 'number' || warm < steps || warm === 0) return [];
  const message = `train.schedule.warmup takes ${warm} steps, the run has ${steps}: it would never reach its learning rate`;
  return [{ path: ['train', 'schedule', 'warmup'], message, hint: 'shorten the warm-up' }];
}

/** The decoupled decay of these optimizers is there to take the place of L2, which their moments would distort. */
function twoDecays(settings: Settings): Conflict[] {
  const l2 = settings('train', 'l2');
  const optimizer = settings('train', 'optimizer');
  const own = ['adamw', 'lamb'].find(
    (name) => optimizer === name || settings('train', 'optimizer', name) !== undefined,
  );
  if (typeof l2 !== 'number' || l2 === 0 || own === undefined) return [];
  const message = `train.l2 is given, and ${own} has a weight decay of its own`;
  const hint = `remove train.l2 and set train.optimizer.${own}.weightDecay`;
  return [{ path: ['train', 'l2'], message, hint }];
}

/** The layers that have parameters, as far as they are written as they should be. */
function sizedLayers(settings: Settings): LayerSpec[] {
  const layers = settings('model', 'layers');
  if (!Array.isArray(layers)) return [];
  return layers.flatMap((layer: unknown): LayerSpec[] => {
    const units = typeof layer === 'object' && layer !== null && 'dense' in layer ? layer.dense : undefined;
    if (typeof units === 'number') return [{ kind: 'dense', units }];
    return nameOf(layer) === 'layerNorm' ? [{ kind: 'layerNorm', epsilon: 1 }] : [];
  });
}

/** `huber` of `huber` and of `{ huber: … }`. */
function nameOf(value: unknown): unknown {
  return typeof value === 'object' && value !== null ? Object.keys(value)[0] : value;
}
