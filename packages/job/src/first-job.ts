/** The job file `ropeteam init` writes: settings that fit a data set's size and kind, each with its reason behind it. */
import { basename } from 'node:path';
import { stringify } from 'yaml';
import type { DatasetInfo } from '#training';

export interface FirstSettings {
  /** Units of the hidden layers. */
  readonly hidden: readonly number[];
  readonly epochs: number;
  readonly batch: number;
  readonly learningRate: number;
}

export interface FirstJob {
  readonly name: string;
  /** Relative to the job file's folder, as are `labels` and `schema`. */
  readonly source: string;
  readonly labels?: string;
  readonly target: string;
  readonly schema: string;
  readonly info: DatasetInfo;
  readonly settings: FirstSettings;
}

const LEAST_BATCH = 8;
const MOST_BATCH = 512;
/** So many steps let Adam settle on the examples; large sets are seen a few times all the same. */
const WANTED_STEPS = 1_200;
const LEAST_EPOCHS = 3;
const MOST_EPOCHS = 100;
const SAMPLES_FOR_TWO_LAYERS = 100_000;

/** From the training samples n and inputs F: batches of about n/32, one hidden layer as wide as n can teach. */
export function settingsFor({ samples, featureCount }: DatasetInfo): FirstSettings {
  const wanted = 2 ** Math.round(Math.log2(Math.max(1, samples.train) / 32));
  const batch = Math.min(MOST_BATCH, Math.max(LEAST_BATCH, wanted));
  const steps = Math.ceil(samples.train / batch);
  const epochs = Math.min(MOST_EPOCHS, Math.max(LEAST_EPOCHS, Math.round(WANTED_STEPS / steps)));
  const width = samples.train < 500 || featureCount < 4 ? 16 : samples.train < 20_000 ? 64 : 128;
  const hidden = samples.train < SAMPLES_FOR_TWO_LAYERS ? [width] : [width, width / 2];
  return { hidden, epochs, batch, learningRate: 0.003 };
}

/** `data/My Wine.csv.gz` -> `my-wine` */
export function jobNameFrom(source: string): string {
  const stem = basename(source).replace(/\..*$/, '');
  const name = stem
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, 40);
  return /^[a-z]/.test(name) ? name : `job${name === '' ? '' : `-${name}`}`;
}

/** A job.yaml of about a dozen lines. */
export function firstJobText({ name, source, labels, target, schema, info, settings }: FirstJob): string {
  const { samples, classes, featureCount, preprocessing } = info;
  const counted = (count: number): string => count.toLocaleString('en');
  const hidden = settings.hidden.map((units) => `{ dense: ${units} }, relu`).join(', ');
  const words = preprocessing.columns.filter(({ kind }) => kind !== 'number').length;
  const columns = `${several(preprocessing.columns.length, 'column')}${words === 0 ? '' : `, ${words} of words`}`;
  const learned =
    info.task === 'classification'
      ? `${classes.length} classes: ${classes.slice(0, 4).map(oneLine).join(', ')}${classes.length > 4 ? ', …' : ''}`
      : 'a number: regression';
  const lines: readonly (readonly [string, string?])[] = [
    [`# yaml-language-server: $schema=${schema}`],
    ['apiVersion: ropeteam/v1'],
    [`name: ${name}`],
    ['data:'],
    [`  source: ${scalar(source)}`, `${columns} -> ${several(featureCount, 'input')}`],
    ...(labels === undefined ? [] : [[`  labels: ${scalar(labels)}`] as const]),
    [`  target: ${scalar(target)}`, learned],
    [`  task: ${info.task}`],
    ...(info.task === 'regression'
      ? [['  scaleTarget: standard', 'trained on mean 0, deviation 1; predictions are in units of the data'] as const]
      : []),
    [
      '  split: { validation: 0.1, test: 0.1 }',
      `${counted(samples.train)} rows train, ${counted(samples.validation)} watch, ${counted(samples.test)} judge`,
    ],
    ['model:'],
    [`  layers: [${hidden}]`, 'the output layer follows from the target'],
    ['train:'],
    [`  epochs: ${settings.epochs}`, `of ${counted(Math.ceil(samples.train / settings.batch))} steps each`],
    [`  batch: ${settings.batch}`],
    [`  optimizer: { adam: { learningRate: ${settings.learningRate} } }`],
    ['  seed: 0', 'another seed is another shuffle, split and start'],
  ];
  const width = Math.max(...lines.map(([text, comment]) => (comment === undefined ? 0 : text.length)));
  return `${lines.map(([text, comment]) => (comment === undefined ? text : `${text.padEnd(width)}  # ${comment}`)).join('\n')}\n`;
}

const several = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;
const scalar = (text: string): string => stringify(text).trimEnd();
const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ').slice(0, 24);
