/** A model as one ES module without dependencies, for browsers and Node, and its types. */
import { readFile } from 'node:fs/promises';
import type { TrainedModel } from '#storage';
import { type ColumnEncoding, hashWord } from '#training';
import { hasProbabilities } from '../predictions.js';
import type { StandaloneModel } from './standalone-runtime.js';

export interface JsModule {
  /** The text of `model.js`. */
  readonly code: string;
  /** The text of `model.d.ts`. */
  readonly types: string;
}

/** The module exports `predict(row)` and `description`. */
export async function toJsModule(model: TrainedModel): Promise<JsModule> {
  const runtime = await readFile(new URL('./standalone-runtime.js', import.meta.url), 'utf8');
  const description = {
    run: model.run,
    weightsSha256: model.weightsSha256,
    inputs: model.dataset.preprocessing.columns.map(({ name }) => name),
    targets: model.dataset.targetNames,
    classes: model.dataset.classes,
  };
  const code = [
    `// A model trained by Ropeteam: run ${model.run}, weights sha256 ${model.weightsSha256}.`,
    '// One ES module without dependencies: import { predict } from this file.',
    '',
    runtime
      .replace(/^\/\/# sourceMappingURL=.*$/m, '')
      .replaceAll(/^export (?=function )/gm, '')
      .trim(),
    '',
    `export const description = ${asCode(description)};`,
    '',
    '/** What the model says about one row, an object by column name. Throws a TypeError for a cell it cannot take. */',
    `export const predict = createPredictor(${asCode(standalone(model))}, ${hashWord});`,
    '',
  ].join('\n');
  return { code, types: typesOf(model) };
}

function standalone({ spec, weights, dataset }: TrainedModel): StandaloneModel {
  const { buffer, byteOffset, byteLength } = weights;
  return {
    columns: dataset.preprocessing.columns.map(({ kind: _, ...column }) => column),
    layers: spec.layers,
    loss: spec.loss.kind,
    targets: dataset.targetNames,
    ...(dataset.preprocessing.targets === undefined ? {} : { scaling: dataset.preprocessing.targets }),
    classes: dataset.classes,
    weightsBase64: Buffer.from(buffer, byteOffset, byteLength).toString('base64'),
  };
}

/** JSON as an expression: line separators end a statement in older parsers, `</script` a page, `__proto__` is a setter. */
function asCode(value: unknown): string {
  const json = JSON.stringify(value).replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029');
  return json.replaceAll('</', '<\\/').replaceAll('"__proto__":', '["__proto__"]:');
}

function typesOf(model: TrainedModel): string {
  const { preprocessing, classes, targetNames, task } = model.dataset;
  const fields = preprocessing.columns.map((column) => `  readonly ${JSON.stringify(column.name)}${cellType(column)};`);
  const label = classes.map((name) => JSON.stringify(name)).join(' | ');
  const prediction =
    task === 'regression'
      ? targetNames.map((name) => `  readonly ${JSON.stringify(name)}: number;`)
      : [
          '  readonly label: Label;',
          ...(hasProbabilities(model.spec)
            ? ['  /** By label, adding up to 1. */', '  readonly probabilities: Readonly<Record<Label, number>>;']
            : []),
        ];
  return [
    '/** One row: numbers as numbers or as the text of a number; null where the cell is empty. */',
    'export interface Row {',
    ...fields,
    '}',
    ...(task === 'regression' ? [] : [`export type Label = ${label};`]),
    'export interface Prediction {',
    ...prediction,
    '}',
    '/** @throws TypeError for a cell the model cannot take */',
    'export declare const predict: (row: Row) => Prediction;',
    'export declare const description: {',
    '  readonly run: string;',
    '  readonly weightsSha256: string;',
    '  readonly inputs: readonly string[];',
    '  readonly targets: readonly string[];',
    '  readonly classes: readonly string[];',
    '};',
    '',
  ].join('\n');
}

/** What may be empty may also be left out. */
function cellType(column: ColumnEncoding): string {
  if (column.kind === 'hashed') return '?: string | number | boolean | null';
  if (column.kind === 'number') return column.missing === undefined ? ': number | string' : '?: number | string | null';
  return `?: ${[...column.categories, ...(column.unseen ?? [])].map((category) => JSON.stringify(category)).join(' | ')} | null`;
}
