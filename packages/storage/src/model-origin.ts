/**
 * What the model a run starts from was made for, held against what it is to be trained for: weights whose shapes fit can
 * still mean something else. Nothing here stops a run; each difference is a warning.
 */
import { readFile } from 'node:fs/promises';
import type { LayerSpec, ModelSpec } from '#kernel';
import type { ColumnEncoding, DatasetInfo, Preprocessing, TargetScaling } from '#training';
import { type Description, isDescription } from './model-file.js';

/** What the run that starts is for. */
export interface ComparedModel {
  readonly spec: ModelSpec;
  readonly dataset: Pick<DatasetInfo, 'classes' | 'targetNames' | 'preprocessing'>;
}

/**
 * Compares a run with the `model.json` that lay beside its first weights. None, when that is not one of ours or describes
 * other weights.
 * @param path of the `model.json`
 * @param weightsSha256 of the weights the run starts from
 * @param file what the user calls the weights' file
 */
export async function originWarnings(
  path: string,
  weightsSha256: string,
  file: string,
  now: ComparedModel,
): Promise<readonly string[]> {
  const then = parsed(await readFile(path, 'utf8'));
  if (then === undefined || then.weightsSha256 !== weightsSha256) return [];
  return [
    ...layerWarnings(then.architecture.layers, now.spec.layers),
    ...listWarnings('classes', then.classes, now.dataset.classes),
    ...listWarnings('targets', then.targetNames, now.dataset.targetNames),
    ...columnWarnings(then.preprocessing.columns, now.dataset.preprocessing.columns),
    ...targetWarnings(then.preprocessing.targets, now.dataset.preprocessing.targets, now.dataset.targetNames),
  ].map((difference) => `${file} was trained for something else: ${difference}`);
}

/** Any project may have a file of that name: what is not ours is none of our business. */
function parsed(text: string): Description | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isDescription(value) ? value : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Dense layers of other sizes would not have matched: this is about what lies between them. */
function layerWarnings(then: readonly LayerSpec[], now: readonly LayerSpec[]): readonly string[] {
  const words = (layers: readonly LayerSpec[]): string => layers.map((layer) => JSON.stringify(layer)).join(' ');
  if (words(then) === words(now)) return [];
  const named = (layers: readonly LayerSpec[]): string => layers.map(({ kind }) => kind).join(', ');
  return [`its layers were ${named(then)}, this job's are ${named(now)}`];
}

function listWarnings(what: string, then: readonly string[], now: readonly string[]): readonly string[] {
  const index = Math.max(
    then.findIndex((one, at) => one !== now[at]),
    now.findIndex((one, at) => one !== then[at]),
  );
  if (index < 0) return [];
  const shown = (list: readonly string[]): string =>
    list[index] === undefined ? `only ${list.length}` : JSON.stringify(list[index]);
  return [`its ${what} differ: number ${index} was ${shown(then)}, this job's is ${shown(now)}`];
}

/** One line for all columns: after other data every scaled column differs a little. */
function columnWarnings(then: readonly ColumnEncoding[], now: readonly ColumnEncoding[]): readonly string[] {
  const names = (columns: readonly ColumnEncoding[]): readonly string[] => columns.map(({ name }) => name);
  const renamed = listWarnings('columns', names(then), names(now));
  if (renamed.length > 0) return renamed;
  const changed = then.flatMap((column, index) => {
    const other = now[index];
    return other === undefined || JSON.stringify(column) === JSON.stringify(other) ? [] : [{ column, other }];
  });
  const [first] = changed;
  if (first === undefined) return [];
  const { column, other } = first;
  const count = changed.length === 1 ? 'one column' : `${changed.length} of ${then.length} columns`;
  return [
    `${count} became inputs in another way: ${JSON.stringify(column.name)} was ${inWords(column)}, is ${inWords(other)}`,
  ];
}

/** Weights of other units answer with other numbers, which the first steps have to make up for. */
function targetWarnings(
  then: Preprocessing['targets'],
  now: Preprocessing['targets'],
  names: readonly string[],
): readonly string[] {
  const changed = names.findIndex((_, index) => JSON.stringify(then?.[index]) !== JSON.stringify(now?.[index]));
  if (changed < 0) return [];
  const inUnits = (scaling: TargetScaling | undefined): string =>
    scaling === undefined ? 'not scaled' : `(value - ${short(scaling.shift)}) * ${short(scaling.factor)}`;
  const name = JSON.stringify(names[changed]);
  return [`the target ${name} was ${inUnits(then?.[changed])}, is ${inUnits(now?.[changed])}`];
}

function inWords(column: ColumnEncoding): string {
  switch (column.kind) {
    case 'number':
      return `(value - ${short(column.shift)}) * ${short(column.factor)}`;
    case 'oneHot':
      return `one of ${column.categories.length} categories`;
    case 'hashed':
      return `one of ${column.buckets} buckets with seed ${column.seed}`;
    default:
      return column satisfies never;
  }
}

const short = (value: number): string => String(Number(value.toPrecision(6)));
