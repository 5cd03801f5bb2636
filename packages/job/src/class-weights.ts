/** `train.classWeights` as one weight a class, in the order of the classes. */
import { type DatasetInfo, type JobSpec, RopeteamError, type RunPlan } from '#training';
import { nearest } from './suggest.js';

/**
 * `balanced`: n / (C · n_c) over the training samples, as scikit-learn has it: rare classes count as much as common ones, and
 * the mean over all samples is 1, so the size of a step stays what it was.
 * @throws RopeteamError `CONFIG.CONFLICT` for a regression, and for a label that is none
 */
export function resolveClassWeights(
  given: JobSpec['train']['classWeights'],
  { task, classes, classCounts }: Pick<DatasetInfo, 'task' | 'classes' | 'classCounts'>,
): readonly number[] | undefined {
  if (given === undefined) return undefined;
  const refuse = (message: string, hint: string): never => {
    throw new RopeteamError('CONFIG.CONFLICT', { key: 'train.classWeights' }, message, { hint });
  };
  if (task === 'regression') {
    return refuse('train.classWeights weighs classes, and a regression has none', 'remove it');
  }
  if (given === 'balanced') {
    if (classCounts === undefined) throw new Error('balanced weights need a data set whose samples were counted');
    const samples = classCounts.reduce((sum, count) => sum + count, 0);
    return classCounts.map((count) => samples / (classes.length * count));
  }
  const unknown = Object.keys(given).find((label) => !classes.includes(label));
  if (unknown !== undefined) {
    const near = nearest(unknown, classes);
    const known = classes.slice(0, 8).join(', ') + (classes.length > 8 ? `, … (${classes.length})` : '');
    const message = `train.classWeights names ${JSON.stringify(unknown)}, which is no label of the target; labels: ${known}`;
    return refuse(message, near === undefined ? 'correct it, or remove it' : `did you mean ${JSON.stringify(near)}?`);
  }
  return classes.map((label) => (Object.hasOwn(given, label) ? given[label]! : 1));
}

/** The weights of a model's loss by the labels of its data, to be shown. */
export function classWeightsByLabel(
  loss: RunPlan['model']['loss'],
  classes: readonly string[],
): Readonly<Record<string, number>> | undefined {
  if (!('classWeights' in loss) || loss.classWeights === undefined) return undefined;
  const { classWeights } = loss;
  return Object.fromEntries(classes.map((label, index) => [label, classWeights[index]!]));
}
