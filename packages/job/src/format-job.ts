/** A job as the job.yaml that gives it again, every default written out. */
import { Document, isCollection, isMap, isPair, isScalar, visit } from 'yaml';
import type { FileNames, JobSpec, SplitSource } from '#training';
import { formatDuration } from './duration.js';
import type { JobFileInput } from './job-file.js';

/** The effective job.yaml: `parseJob(formatJob(job))` equals `job`. */
export function formatJob(job: JobSpec): string {
  const document = new Document(toJobFile(job));
  document.commentBefore = ' The effective job: every setting with the value the run uses.';
  visit(document, {
    Collection: (_key, node, ancestors) => {
      if (ancestors.filter(isCollection).length >= 2) node.flow = true;
    },
    Pair: (_key, pair) => {
      const comment = isScalar(pair.key) ? followsFromData[String(pair.key.value)] : undefined;
      if (comment === undefined || !isMap(pair.value) || !isPair(pair)) return;
      const absent = Object.entries(comment).filter(([key]) => !(isMap(pair.value) && pair.value.has(key)));
      if (absent.length > 0) pair.value.comment = absent.map(([, text]) => ` ${text}`).join('\n');
    },
  });
  return document.toString({ lineWidth: 0, flowCollectionPadding: true });
}

/** Settings without a fixed default: where they are absent, a comment says where their value comes from. */
const followsFromData: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  data: { format: 'format: told from the name of each file', task: 'task: told from the target column' },
  model: { loss: 'loss: follows from the task and the number of classes' },
};

function toJobFile(job: JobSpec): JobFileInput {
  const { data, model, train, checkpoint } = job;
  return {
    apiVersion: job.apiVersion,
    name: job.name,
    data: {
      source: writable(data.source),
      ...(data.labels === undefined ? {} : { labels: data.labels }),
      ...(data.format === undefined ? {} : { format: data.format }),
      delimiter: data.delimiter,
      target: data.target.length === 1 && data.target[0] !== undefined ? data.target[0] : [...data.target],
      features: data.features === 'all' ? 'all' : [...data.features],
      ...(data.task === undefined ? {} : { task: data.task }),
      scale: data.scale,
      scaleTarget: data.scaleTarget,
      split: { validation: splitValue(data.split.validation), test: splitValue(data.split.test) },
      badRows: data.badRows,
      maxBadRows: data.maxBadRows,
      missing: data.missing,
      maxCategories: data.maxCategories,
      ...(data.columns === undefined ? {} : { columns: data.columns }),
    },
    model: {
      layers: model.layers.map(layerValue),
      ...(model.loss === undefined ? {} : { loss: lossValue(model.loss) }),
      init: model.init,
    },
    train: {
      ...(train.limit.kind === 'epochs' ? { epochs: train.limit.epochs } : { steps: train.limit.steps }),
      batch: train.batch,
      // the schema holds the powers of two one by one; a JobSpec says number and was checked when it was made
      microBatches: train.microBatches as NonNullable<JobFileInput['train']>['microBatches'],
      wire: train.wire,
      ...(train.localSteps === undefined ? {} : { localSteps: localStepsValue(train.localSteps) }),
      optimizer: optimizerValue(train.optimizer),
      schedule: scheduleValue(train.schedule),
      ...(train.classWeights === undefined ? {} : { classWeights: train.classWeights }),
      ...(train.clipNorm === undefined ? {} : { clipNorm: train.clipNorm }),
      ...(train.l2 === undefined ? {} : { l2: train.l2 }),
      stop: train.stop,
      metric: train.metric,
      keep: train.keep,
      onNonFinite: train.onNonFinite,
      verify: train.verify,
      shuffle: train.shuffle,
      seed: train.seed,
    },
    checkpoint: {
      every: formatDuration(checkpoint.everyMs),
      keep: checkpoint.keep,
      ...(checkpoint.everySteps === undefined ? {} : { everySteps: checkpoint.everySteps }),
    },
  };
}

function splitValue(source: SplitSource): number | string | string[] | { source: string; labels: string } {
  if (source.kind === 'fraction') return source.fraction;
  const { path, labels } = source;
  return labels === undefined || typeof path !== 'string' ? writable(path) : { source: path, labels };
}

const writable = (names: FileNames): string | string[] => (typeof names === 'string' ? names : [...names]);

function layerValue(layer: JobSpec['model']['layers'][number]): JobFileInput['model']['layers'][number] {
  switch (layer.kind) {
    case 'dense':
      return { dense: layer.units };
    case 'leakyRelu':
      return { leakyRelu: { slope: layer.slope } };
    case 'dropout':
      return { dropout: layer.rate };
    case 'layerNorm':
      return { layerNorm: { epsilon: layer.epsilon } };
    default:
      return layer.kind;
  }
}

function lossValue({
  kind,
  ...settings
}: NonNullable<JobSpec['model']['loss']>): NonNullable<JobFileInput['model']['loss']> {
  return Object.keys(settings).length === 0 ? kind : { [kind]: settings };
}

type Train = NonNullable<JobFileInput['train']>;

function localStepsValue({ replicas, ...rest }: NonNullable<JobSpec['train']['localSteps']>) {
  // As with micro-batches: the schema holds the powers of two one by one.
  return { ...rest, replicas: replicas as NonNullable<Train['localSteps']>['replicas'] };
}

function optimizerValue({ kind, ...settings }: JobSpec['train']['optimizer']): NonNullable<Train['optimizer']> {
  return { [kind]: settings };
}

function scheduleValue({ warmup, after }: JobSpec['train']['schedule']): NonNullable<Train['schedule']> {
  const { kind, ...settings } = after;
  return { warmup, [kind]: settings };
}
