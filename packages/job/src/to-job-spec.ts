/** A checked job file as the rest of Ropeteam sees it: alternatives told apart by `kind`, durations in milliseconds. */
import type { JobSpec, SplitSource } from '#training';
import { parseDuration } from './duration.js';
import { apiVersion, type JobFile } from './job-file.js';
import { defaultEpochs, optimizers, schedules } from './train-settings.js';

/** The frozen job. Defaults that are not fixed values are filled in here. */
export function toJobSpec(file: JobFile): JobSpec {
  const { data, model, train, checkpoint } = file;
  return deepFreeze<JobSpec>({
    apiVersion,
    name: file.name,
    data: {
      source: data.source,
      format: data.format ?? 'csv', // the only one there is; told from the extension when there are more
      delimiter: data.delimiter,
      target: typeof data.target === 'string' ? [data.target] : data.target,
      features: data.features,
      ...(data.task === undefined ? {} : { task: data.task }),
      scale: data.scale,
      split: { validation: splitSource(data.split.validation), test: splitSource(data.split.test) },
      badRows: data.badRows,
      maxBadRows: data.maxBadRows,
      missing: data.missing,
      maxCategories: data.maxCategories,
    },
    model: {
      layers: model.layers.map((layer) =>
        typeof layer === 'string' ? { kind: layer } : { kind: 'dense', units: layer.dense },
      ),
      ...(model.loss === undefined ? {} : { loss: model.loss }),
      init: model.init,
    },
    train: {
      limit:
        train.steps === undefined
          ? { kind: 'epochs', epochs: train.epochs ?? defaultEpochs }
          : { kind: 'steps', steps: train.steps },
      batch: train.batch,
      microBatches: train.microBatches,
      optimizer: optimizerOf(train.optimizer),
      schedule: scheduleOf(train.schedule),
      ...(train.clipNorm === undefined ? {} : { clipNorm: train.clipNorm }),
      stop: {
        ...(train.stop.tolerance === undefined ? {} : { tolerance: train.stop.tolerance }),
        ...(train.stop.patience === undefined ? {} : { patience: train.stop.patience }),
      },
      seed: train.seed,
    },
    checkpoint: {
      everyMs: millisecondsOf(checkpoint.every),
      keep: checkpoint.keep,
      ...(checkpoint.everySteps === undefined ? {} : { everySteps: checkpoint.everySteps }),
    },
  });
}

const splitSource = (value: number | string): SplitSource =>
  typeof value === 'number' ? { kind: 'fraction', fraction: value } : { kind: 'file', path: value };

type Train = JobFile['train'];

function optimizerOf(given: Train['optimizer']): JobSpec['train']['optimizer'] {
  const { sgd, momentum, adam } = typeof given === 'string' ? withDefaults(given) : given;
  if (sgd !== undefined) return { kind: 'sgd', ...sgd };
  if (momentum !== undefined) return { kind: 'momentum', ...momentum };
  if (adam !== undefined) return { kind: 'adam', ...adam };
  throw new Error('an optimizer without a name passed the checks');
}

/** The long form of a bare name. */
function withDefaults(name: Extract<Train['optimizer'], string>): Exclude<Train['optimizer'], string> {
  return {
    sgd: { sgd: optimizers.sgd.parse({}) },
    momentum: { momentum: optimizers.momentum.parse({}) },
    adam: { adam: optimizers.adam.parse({}) },
  }[name];
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
