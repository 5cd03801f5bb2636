/** A checked job file as the rest of Ropeteam sees it: alternatives told apart by `kind`, durations in milliseconds. */
import type { JobSpec, SplitSource } from '#training';
import { parseDuration } from './duration.js';
import { apiVersion, type JobFile } from './job-file.js';
import { layers, losses } from './model-settings.js';
import { defaultEpochs, optimizers, schedules } from './train-settings.js';

/** The frozen job. Defaults that are not fixed values are filled in here. */
export function toJobSpec(file: JobFile): JobSpec {
  const { data, model, train, checkpoint } = file;
  return deepFreeze<JobSpec>({
    apiVersion,
    name: file.name,
    data: {
      source: data.source,
      ...(data.labels === undefined ? {} : { labels: data.labels }),
      ...(data.format === undefined ? {} : { format: data.format }),
      delimiter: data.delimiter,
      target: typeof data.target === 'string' ? [data.target] : data.target,
      features: data.features,
      ...(data.task === undefined ? {} : { task: data.task }),
      scale: data.scale,
      scaleTarget: data.scaleTarget,
      split: { validation: splitSource(data.split.validation), test: splitSource(data.split.test) },
      badRows: data.badRows,
      maxBadRows: data.maxBadRows,
      missing: data.missing,
      maxCategories: data.maxCategories,
      ...(data.columns === undefined ? {} : { columns: columnsOf(data.columns) }),
    },
    model: {
      layers: model.layers.map(layerOf),
      ...(model.loss === undefined ? {} : { loss: lossOf(model.loss) }),
      init: model.init,
    },
    train: {
      limit:
        train.steps === undefined
          ? { kind: 'epochs', epochs: train.epochs ?? defaultEpochs }
          : { kind: 'steps', steps: train.steps },
      batch: train.batch,
      microBatches: train.microBatches,
      wire: train.wire,
      ...(train.localSteps === undefined ? {} : { localSteps: train.localSteps }),
      optimizer: optimizerOf(train.optimizer),
      schedule: scheduleOf(train.schedule),
      ...(train.classWeights === undefined ? {} : { classWeights: train.classWeights }),
      ...(train.clipNorm === undefined ? {} : { clipNorm: train.clipNorm }),
      ...(train.l2 === undefined ? {} : { l2: train.l2 }),
      stop: {
        ...(train.stop.tolerance === undefined ? {} : { tolerance: train.stop.tolerance }),
        ...(train.stop.patience === undefined ? {} : { patience: train.stop.patience }),
      },
      metric: train.metric,
      keep: train.keep,
      onNonFinite: train.onNonFinite,
      verify: train.verify,
      shuffle: train.shuffle,
      seed: train.seed,
    },
    checkpoint: {
      everyMs: millisecondsOf(checkpoint.every),
      keep: checkpoint.keep,
      ...(checkpoint.everySteps === undefined ? {} : { everySteps: checkpoint.everySteps }),
    },
  });
}

function columnsOf(given: NonNullable<JobFile['data']['columns']>): NonNullable<JobSpec['data']['columns']> {
  return Object.fromEntries(
    Object.entries(given).map(([name, { kind, buckets }]) => [
      name,
      { kind, ...(buckets === undefined ? {} : { buckets }) },
    ]),
  );
}

function splitSource(value: JobFile['data']['split']['test']): SplitSource {
  if (typeof value === 'number') return { kind: 'fraction', fraction: value };
  return typeof value === 'string' || Array.isArray(value)
    ? { kind: 'file', path: value }
    : { kind: 'file', path: value.source, labels: value.labels };
}

type Layer = JobFile['model']['layers'][number];

function layerOf(given: Layer): JobSpec['model']['layers'][number] {
  if (given === 'leakyRelu') return layerOf({ leakyRelu: layers.leakyRelu.parse({}) });
  if (given === 'layerNorm') return layerOf({ layerNorm: layers.layerNorm.parse({}) });
  if (typeof given === 'string') return { kind: given };
  const { dense, leakyRelu, dropout, layerNorm } = given;
  if (dense !== undefined) return { kind: 'dense', units: dense };
  if (leakyRelu !== undefined) return { kind: 'leakyRelu', ...leakyRelu };
  if (dropout !== undefined) return { kind: 'dropout', rate: dropout };
  if (layerNorm !== undefined) return { kind: 'layerNorm', ...layerNorm };
  throw new Error('a layer without a name passed the checks');
}

function lossOf(given: NonNullable<JobFile['model']['loss']>): NonNullable<JobSpec['model']['loss']> {
  if (given === 'huber') return lossOf({ huber: losses.huber.parse({}) });
  if (typeof given === 'string') return { kind: given };
  const { huber, binaryCrossEntropy, softmaxCrossEntropy } = given;
  if (huber !== undefined) return { kind: 'huber', ...huber };
  if (binaryCrossEntropy !== undefined) return smoothed('binaryCrossEntropy', binaryCrossEntropy.labelSmoothing);
  if (softmaxCrossEntropy !== undefined) return smoothed('softmaxCrossEntropy', softmaxCrossEntropy.labelSmoothing);
  throw new Error('a loss without a name passed the checks');
}

/** Smoothing by 0 is the loss by its name alone, however it was written. */
function smoothed(kind: 'binaryCrossEntropy' | 'softmaxCrossEntropy', labelSmoothing: number) {
  return labelSmoothing === 0 ? { kind } : { kind, labelSmoothing };
}

type Train = JobFile['train'];

function optimizerOf(given: Train['optimizer']): JobSpec['train']['optimizer'] {
  if (typeof given === 'string') return optimizerOf({ [given]: optimizers[given].parse({}) });
  const { sgd, momentum, adagrad, rmsprop, adam, adamw, lamb } = given;
  if (sgd !== undefined) return { kind: 'sgd', ...sgd };
  if (momentum !== undefined) return { kind: 'momentum', ...momentum };
  if (adagrad !== undefined) return { kind: 'adagrad', ...adagrad };
  if (rmsprop !== undefined) return { kind: 'rmsprop', ...rmsprop };
  if (adam !== undefined) return { kind: 'adam', ...adam };
  if (adamw !== undefined) return { kind: 'adamw', ...adamw };
  if (lamb !== undefined) return { kind: 'lamb', ...lamb };
  throw new Error('an optimizer without a name passed the checks');
}

function scheduleOf(given: Train['schedule']): JobSpec['train']['schedule'] {
  if (typeof given === 'string') return scheduleOf({ warmup: 0, [given]: schedules[given].parse({}) });
  const { warmup, step, linear, exponential, cosine } = given;
  if (step !== undefined) return { warmup, after: { kind: 'step', ...step } };
  if (linear !== undefined) return { warmup, after: { kind: 'linear', ...linear } };
  if (exponential !== undefined) return { warmup, after: { kind: 'exponential', ...exponential } };
  if (cosine !== undefined) return { warmup, after: { kind: 'cosine', ...cosine } };
  return { warmup, after: { kind: 'constant' } };
}

function millisecondsOf(duration: string): number {
  const milliseconds = parseDuration(duration);
  if (milliseconds === undefined) throw new Error(`the duration ${duration} passed the checks`);
  return milliseconds;
}

function deepFreeze<T extends object>(value: T): T {
  for (const below of Object.values(value)) if (typeof below === 'object' && below !== null) deepFreeze(below);
  return Object.freeze(value);
}
