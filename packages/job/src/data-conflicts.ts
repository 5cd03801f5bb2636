/** Rules across the settings of `data:`. */
import {
  DATA_FORMATS,
  type DataFormat,
  formatOfName,
  isBareArray,
  isFilePattern,
  isObjectUrl,
  objectUrl,
  type Scale,
} from '#training';
import type { Conflict, Settings } from './conflicts.js';
import { defaultSplit } from './data-settings.js';
import type { PathStep } from './source-tree.js';

export function dataConflicts(settings: Settings): Conflict[] {
  return [
    ...sourceFile(settings),
    ...fileLists(settings),
    ...labels(settings),
    ...targets(settings),
    ...scaledTarget(settings),
    ...features(settings),
    ...splits(settings),
  ];
}

/** Extensions of formats that are not read, by what people call them. */
const otherFormats: ReadonlyMap<string, string> = new Map([
  ['json', 'JSON'],
  ['xlsx', 'Excel'],
  ['xls', 'Excel'],
  ['zip', 'Zip'],
]);

function sourceFile(settings: Settings): Conflict[] {
  const groups: readonly (readonly PathStep[])[] = [
    ['data', 'source'],
    ['data', 'labels'],
    ...['validation', 'test'].flatMap((name) => [
      ['data', 'split', name],
      ['data', 'split', name, 'source'],
      ['data', 'split', name, 'labels'],
    ]),
  ];
  const paths = groups.flatMap((path) => {
    const value = settings(...path);
    return Array.isArray(value) ? value.map((_, index) => [...path, index]) : [path];
  });
  return paths.flatMap((path) => {
    const file = settings(...path);
    if (typeof file !== 'string') return [];
    const key = path.filter((step) => typeof step === 'string').join('.');
    if (isObjectUrl(file) && (objectUrl(file) === undefined || isFilePattern(file))) {
      const message = `${key} must be s3://bucket/name, received ${JSON.stringify(file)}`;
      return [
        { path, code: 'CONFIG.RANGE' as const, message, hint: 'name a bucket and one object in it; several as a list' },
      ];
    }
    if (/^[a-z][a-z0-9+.-]+:\/\//i.test(file) && !isObjectUrl(file)) {
      const hint = 'download the file first and name it here, or put it into object storage: s3://bucket/name';
      return [{ path, code: 'CONFIG.RANGE' as const, message: `${key} must be a file, received an address`, hint }];
    }
    const format = otherFormats.get(/\.([a-z]+)(\.gz)?$/i.exec(file)?.[1]?.toLowerCase() ?? '');
    if (format === undefined || settings('data', 'format') !== undefined) return [];
    const message = `${key} must be a CSV, TSV, JSON Lines, Parquet, NPY, NPZ or IDX file, received the name of ${/^[AEIOU]/.test(format) ? 'an' : 'a'} ${format} file`;
    return [
      { path, code: 'CONFIG.RANGE' as const, message, hint: 'convert it to CSV, or set data.format: csv if it is one' },
    ];
  });
}

/** A list names each file once, and only files with columns are read as one. */
function fileLists(settings: Settings): Conflict[] {
  const format = settings('data', 'format');
  const paths = [['data', 'source'], ...['validation', 'test'].map((name) => ['data', 'split', name])];
  return paths.flatMap((path): Conflict[] => {
    const value = settings(...path);
    const key = path.join('.');
    const names = listOf(value);
    const repeated = names.findIndex((name, index) => names.indexOf(name) !== index);
    if (repeated !== -1) {
      const message = `${key} names ${JSON.stringify(names[repeated])} twice`;
      return [{ path: [...path, repeated], message, hint: 'name each file once' }];
    }
    const isSeveral = names.length > 1 || names.some(isFilePattern);
    const array = names.find((name) => isBareArray(isFormat(format) ? format : formatOfName(name)));
    if (!isSeveral || array === undefined) return [];
    const message = `${key} names several files, and ${JSON.stringify(array)} is one array without names`;
    const hint = 'name one file: only files with named columns are read as one';
    return [{ path, message, hint }];
  });
}

const listOf = (value: unknown): readonly string[] =>
  (Array.isArray(value) ? value : [value]).filter((name) => typeof name === 'string');

/** An array without names needs a file of labels, and nothing else has one. */
function labels(settings: Settings): Conflict[] {
  const groups = [
    { path: ['data', 'source'], source: settings('data', 'source'), labels: settings('data', 'labels') },
    ...['validation', 'test'].map((name) => {
      const path = ['data', 'split', name];
      const file = settings(...path);
      if (typeof file === 'string') return { path, source: file, labels: undefined };
      return { path, source: settings(...path, 'source'), labels: settings(...path, 'labels') };
    }),
  ];
  const given = settings('data', 'format');
  return groups.flatMap(({ path, source, labels }) => {
    if (Array.isArray(source) && labels !== undefined) {
      const hint = 'name one array in source, or the column of the labels in data.target';
      return [{ path, message: `${path.join('.')} names several files, and a file of labels is named besides`, hint }];
    }
    if (typeof source !== 'string' || isFilePattern(source) || (given !== undefined && !isFormat(given))) return [];
    const bare = isBareArray(given ?? formatOfName(source));
    if (bare === (labels !== undefined)) return [];
    const key = path.join('.');
    if (!bare) {
      const message = `${key} has named columns, and a file of labels is named besides`;
      return [{ path, message, hint: 'remove the labels, and name their column in data.target' }];
    }
    const hint = path.length === 2 ? 'name it in data.labels' : 'write { source: FILE, labels: FILE }';
    return [{ path, message: `${key} is one array without names, and its file of labels is missing`, hint }];
  });
}

const isFormat = (value: unknown): value is DataFormat => DATA_FORMATS.some((format) => format === value);

function targets(settings: Settings): Conflict[] {
  const target = settings('data', 'target');
  if (!Array.isArray(target)) return [];
  const repeated = target.findIndex((name, index) => target.indexOf(name) !== index);
  if (repeated !== -1) {
    const message = `data.target names ${JSON.stringify(target[repeated])} twice`;
    return [{ path: ['data', 'target', repeated], message, hint: 'name each column once' }];
  }
  if (target.length < 2 || settings('data', 'task') !== 'classification') return [];
  const message = `a classification has one target column, data.target names ${target.length}`;
  return [{ path: ['data', 'target'], message, hint: 'keep one column, or set data.task: regression' }];
}

/** Labels have no units. */
function scaledTarget(settings: Settings): Conflict[] {
  const scale = settings('data', 'scaleTarget');
  if ((scale !== 'standard' && scale !== 'minmax') || settings('data', 'task') !== 'classification') return [];
  return [{ path: ['data', 'scaleTarget'], ...scaledLabels(scale) }];
}

/** What is wrong with scaling the target of a classification. */
export function scaledLabels(scale: Scale): { readonly message: string; readonly hint: string } {
  const message = `data.scaleTarget is ${scale}, and the target of a classification is a label, which cannot be scaled`;
  return { message, hint: 'remove data.scaleTarget, or set data.task: regression' };
}

function features(settings: Settings): Conflict[] {
  const names = settings('data', 'features');
  const target = settings('data', 'target');
  if (!Array.isArray(names)) return [];
  const given: readonly unknown[] = Array.isArray(target) ? target : [target];
  const both = names.findIndex((name) => typeof name === 'string' && given.includes(name));
  if (both === -1) return [];
  const message = `${JSON.stringify(names[both])} is both a feature and the target: the model would be given the answer`;
  return [{ path: ['data', 'features', both], message, hint: 'remove it from data.features' }];
}

function splits(settings: Settings): Conflict[] {
  const source = settings('data', 'source');
  const found: Conflict[] = [];
  let shares = 0;
  for (const name of ['validation', 'test'] as const) {
    const path = ['data', 'split', name];
    const value = settings(...path) ?? defaultSplit[name];
    if (typeof value === 'number' && value >= 0 && value < 1) shares += value; // others are the schema's to refuse
    if (Array.isArray(value)) {
      const both = value.findIndex((file) => listOf(source).includes(file));
      if (both !== -1) found.push(trainedOn([...path, both]));
    }
    if (typeof value !== 'string') continue;
    if (/^[\d.]+\s*%?$/.test(value)) {
      const share = Number.parseFloat(value) / (value.endsWith('%') ? 100 : 1);
      const message = `${path.join('.')} must be a fraction or a file, received the text ${JSON.stringify(value)}`;
      found.push({ path, code: 'CONFIG.RANGE', message, hint: `write ${share} without quotes` });
    } else if (listOf(source).includes(value)) {
      found.push(trainedOn(path));
    }
  }
  if (shares < 1 || found.length > 0) return found;
  const path =
    settings('data', 'split', 'test') === undefined ? ['data', 'split', 'validation'] : ['data', 'split', 'test'];
  const sum = Number(shares.toPrecision(6));
  const message = `data.split keeps ${sum} of the data back (validation + test), which leaves nothing to train on`;
  return [{ path, message, hint: `make the two add up to less than 1; left out, each is ${defaultSplit.test}` }];
}

function trainedOn(path: readonly PathStep[]): Conflict {
  const key = path.filter((step) => typeof step === 'string').join('.');
  const message = `${key} is the file the model is trained on; its result would say nothing`;
  return { path, message, hint: 'name another file, or give a fraction such as 0.1' };
}
