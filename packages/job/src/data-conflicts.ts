/** Rules across the settings of `data:`. */
import { DATA_FORMATS, type DataFormat, formatOfName, isBareArray, isObjectUrl, objectUrl } from '#training';
import type { Conflict, Settings } from './conflicts.js';
import { defaultSplit } from './data-settings.js';

export function dataConflicts(settings: Settings): Conflict[] {
  return [
    ...sourceFile(settings),
    ...labels(settings),
    ...targets(settings),
    ...features(settings),
    ...splits(settings),
  ];
}

/** Extensions of formats that are not read, by what people call them. */
const otherFormats: ReadonlyMap<string, string> = new Map([
  ['json', 'JSON'],
  ['npz', 'NumPy'],
  ['xlsx', 'Excel'],
  ['xls', 'Excel'],
  ['zip', 'Zip'],
]);

function sourceFile(settings: Settings): Conflict[] {
  const paths = [
    ['data', 'source'],
    ['data', 'labels'],
    ...['validation', 'test'].flatMap((name) => [
      ['data', 'split', name],
      ['data', 'split', name, 'source'],
      ['data', 'split', name, 'labels'],
    ]),
  ];
  return paths.flatMap((path) => {
    const file = settings(...path);
    if (typeof file !== 'string') return [];
    const key = path.join('.');
    if (isObjectUrl(file) && objectUrl(file) === undefined) {
      const message = `${key} must be s3://bucket/name, received ${JSON.stringify(file)}`;
      return [{ path, code: 'CONFIG.RANGE' as const, message, hint: 'name a bucket and one object in it' }];
    }
    if (/^[a-z][a-z0-9+.-]+:\/\//i.test(file) && !isObjectUrl(file)) {
      const hint = 'download the file first and name it here, or put it into object storage: s3://bucket/name';
      return [{ path, code: 'CONFIG.RANGE' as const, message: `${key} must be a file, received an address`, hint }];
    }
    const format = otherFormats.get(/\.([a-z]+)(\.gz)?$/i.exec(file)?.[1]?.toLowerCase() ?? '');
    if (format === undefined || settings('data', 'format') !== undefined) return [];
    const message = `${key} must be a CSV, TSV, JSON Lines, Parquet, NPY or IDX file, received the name of ${/^[AEIOU]/.test(format) ? 'an' : 'a'} ${format} file`;
    return [
      { path, code: 'CONFIG.RANGE' as const, message, hint: 'convert it to CSV, or set data.format: csv if it is one' },
    ];
  });
}

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
    if (typeof source !== 'string' || (given !== undefined && !isFormat(given))) return [];
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
    if (typeof value !== 'string') continue;
    if (/^[\d.]+\s*%?$/.test(value)) {
      const share = Number.parseFloat(value) / (value.endsWith('%') ? 100 : 1);
      const message = `${path.join('.')} must be a fraction or a file, received the text ${JSON.stringify(value)}`;
      found.push({ path, code: 'CONFIG.RANGE', message, hint: `write ${share} without quotes` });
    } else if (value === source) {
      const message = `${path.join('.')} is the file the model is trained on; its result would say nothing`;
      found.push({ path, message, hint: 'name another file, or give a fraction such as 0.1' });
    }
  }
  if (shares < 1 || found.length > 0) return found;
  const path =
    settings('data', 'split', 'test') === undefined ? ['data', 'split', 'validation'] : ['data', 'split', 'test'];
  const sum = Number(shares.toPrecision(6));
  const message = `data.split keeps ${sum} of the data back (validation + test), which leaves nothing to train on`;
  return [{ path, message, hint: `make the two add up to less than 1; left out, each is ${defaultSplit.test}` }];
}
