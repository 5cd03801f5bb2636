/** `DatasetInfo` as a message of plan.proto, both ways. */
import type { ColumnEncoding, DatasetInfo, Preprocessing, ShardInfo, SplitName, TargetScaling, Task } from '#training';
import { type Fields, invalidField, inverted } from './fields.js';
import type { PlainMessage } from './proto-definitions.js';

export const splits = {
  SPLIT_TRAIN: 'train',
  SPLIT_VALIDATION: 'validation',
  SPLIT_TEST: 'test',
} as const satisfies Record<string, SplitName>;
export const splitNames = inverted(splits);

const tasks = { TASK_CLASSIFICATION: 'classification', TASK_REGRESSION: 'regression' } as const satisfies Record<
  string,
  Task
>;
const scales = {
  SCALE_NONE: 'none',
  SCALE_STANDARD: 'standard',
  SCALE_MINMAX: 'minmax',
} as const satisfies Record<string, Preprocessing['scale']>;

const NAME_CHARACTERS = 4096;

export function datasetToMessage(dataset: DatasetInfo): PlainMessage {
  const { preprocessing } = dataset;
  return {
    task: inverted(tasks)[dataset.task],
    featureCount: dataset.featureCount,
    targetCount: dataset.targetCount,
    targetNames: dataset.targetNames,
    classes: dataset.classes,
    samples: dataset.samples,
    shards: dataset.shards.map((shard) => ({
      ...shard,
      split: splitNames[shard.split],
      sha256: Buffer.from(shard.sha256, 'hex'),
    })),
    preprocessing: {
      scale: inverted(scales)[preprocessing.scale],
      columns: preprocessing.columns.map(columnToMessage),
      targets: preprocessing.targets ?? [],
    },
    dataSha256: Buffer.from(dataset.dataSha256, 'hex'),
    skippedRows: dataset.skippedRows,
    warnings: dataset.warnings,
  };
}

function columnToMessage(column: ColumnEncoding): PlainMessage {
  switch (column.kind) {
    case 'number': {
      const { name, shift, factor, missing } = column;
      return { name, number: { shift, factor, ...(missing === undefined ? {} : { missing }) } };
    }
    case 'oneHot':
      return { name: column.name, oneHot: { categories: column.categories, unseen: column.unseen ?? [] } };
    case 'hashed':
      return { name: column.name, hashed: { buckets: column.buckets, seed: column.seed } };
    default:
      return column satisfies never;
  }
}

export function datasetFromMessage(fields: Fields): DatasetInfo {
  const samples = fields.message('samples');
  const preprocessing = fields.message('preprocessing');
  const targets = preprocessing.messages('targets').map(targetFromMessage);
  return {
    task: fields.choice('task', tasks),
    featureCount: fields.positive('featureCount'),
    targetCount: fields.positive('targetCount'),
    targetNames: fields.texts('targetNames', NAME_CHARACTERS),
    classes: fields.texts('classes', NAME_CHARACTERS),
    samples: {
      train: samples.natural('train'),
      validation: samples.natural('validation'),
      test: samples.natural('test'),
    },
    shards: fields.messages('shards').map(shardFromMessage),
    preprocessing: {
      scale: preprocessing.choice('scale', scales),
      columns: preprocessing.messages('columns').map(columnFromMessage),
      ...(targets.length === 0 ? {} : { targets }),
    },
    dataSha256: hexOf(fields.bytes('dataSha256', 32)),
    skippedRows: fields.natural('skippedRows'),
    warnings: fields.texts('warnings', NAME_CHARACTERS),
  };
}

function shardFromMessage(fields: Fields): ShardInfo {
  const begin = fields.natural('begin');
  const end = fields.natural('end');
  if (end < begin) throw invalidField(`${fields.path}.end`, `is ${end}, before begin ${begin}`);
  return {
    split: fields.choice('split', splits),
    index: fields.natural('index'),
    begin,
    end,
    bytes: fields.natural('bytes'),
    sha256: hexOf(fields.bytes('sha256', 32)),
  };
}

function columnFromMessage(fields: Fields): ColumnEncoding {
  const name = fields.text('name', NAME_CHARACTERS);
  if (fields.has('oneHot')) {
    const words = fields.message('oneHot');
    const categories = words.texts('categories', NAME_CHARACTERS);
    const unseen = words.texts('unseen', NAME_CHARACTERS);
    return { kind: 'oneHot', name, categories, ...(unseen.length === 0 ? {} : { unseen }) };
  }
  if (fields.has('hashed')) {
    const hashed = fields.message('hashed');
    return { kind: 'hashed', name, buckets: hashed.positive('buckets'), seed: hashed.natural('seed') };
  }
  const number = fields.message('number');
  return {
    kind: 'number',
    name,
    shift: number.finite('shift'),
    factor: number.finite('factor'),
    ...(number.has('missing') ? { missing: number.finite('missing') } : {}),
  };
}

function targetFromMessage(fields: Fields): TargetScaling {
  const [shift, factor] = [fields.finite('shift'), fields.finite('factor')];
  if (!(factor > 0)) throw invalidField(`${fields.path}.factor`, `must be above 0, received ${factor}`);
  return { shift, factor };
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}
