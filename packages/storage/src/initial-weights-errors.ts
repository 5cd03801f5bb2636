/** What is wrong with the file a run should start from, in words. */
import type { Parameter } from '#kernel';
import { RopeteamError } from '#training';
import type { Mismatch } from './match-tensors.js';
import type { TensorEntry } from './safetensors-header.js';

/** Problems shown of one file. */
const MOST_PROBLEMS = 20;

/** @param reason what is wrong with the file, a sentence about "it" or a part of it */
export function cannotUse(file: string, reason: string, hint: string, cause?: unknown): RopeteamError {
  return new RopeteamError('MODEL.INIT', { file }, `the run cannot start from ${file}: ${reason}`, { hint, cause });
}

export function mismatchErrors(file: string, mismatches: readonly Mismatch[]): readonly RopeteamError[] {
  const missing = mismatches.flatMap((one) => (one.kind === 'missing' ? [described(one.parameter)] : []));
  const leftOver = mismatches.flatMap((one) => (one.kind === 'left-over' ? [described(one.tensor)] : []));
  return [
    ...mismatches.flatMap((one) => (one.kind === 'shape' ? [wrongShape(file, one.parameter, one.tensor)] : [])),
    ...mismatches.flatMap((one) => (one.kind === 'ambiguous' ? [ambiguous(file, one.tensors)] : [])),
    ...(missing.length === 0
      ? []
      : [
          cannotUse(
            file,
            `it has no tensor for ${listed(missing)} of this job's model`,
            'take the file of a model with the same layers, or change model.layers to its layers; tensors are named ' +
              'layers.<index>.weight and .bias, or as nn.Sequential names them',
          ),
        ]),
    ...(leftOver.length === 0
      ? []
      : [
          cannotUse(
            file,
            `this job's model has no place for ${listed(leftOver)}`,
            'nothing of a file is left out silently: remove these tensors from it, or change model.layers',
          ),
        ]),
  ];
}

/** One error as it is; several as one that has them all. */
export function several(file: string, problems: readonly RopeteamError[]): RopeteamError {
  const [first] = problems;
  if (problems.length === 1 && first !== undefined) return first;
  const shown = problems.slice(0, MOST_PROBLEMS);
  const rest = problems.length > shown.length ? ` (${shown.length} shown)` : '';
  const message = `the run cannot start from ${file}: ${problems.length} problems${rest}`;
  return new RopeteamError('MODEL.INIT', { file }, message, { problems: shown });
}

function wrongShape(file: string, { name, shape }: Parameter, tensor: TensorEntry): RopeteamError {
  const isTransposed = shape.length === 2 && shape.toReversed().join() === tensor.shape.join();
  const message = `${name} is ${sizes(shape)} in this job's model, ${tensor.name} in ${file} is ${sizes(tensor.shape)}`;
  return new RopeteamError('MODEL.SHAPE', { layer: name }, message, {
    hint: isTransposed
      ? 'transpose it: a dense weight is [units, inputs], as in PyTorch'
      : 'take the file of a model with the same layers, inputs and outputs, or change model.layers',
  });
}

function ambiguous(file: string, tensors: readonly TensorEntry[]): RopeteamError {
  const names = listed(tensors.map(({ name }) => name));
  return cannotUse(
    file,
    `its shapes fit, but more than one order of ${names} does`,
    'name the tensors layers.<index>.weight and layers.<index>.bias, or number the modules in order',
  );
}

const sizes = (shape: readonly number[]): string => `[${shape.join(', ')}]`;
const described = ({ name, shape }: Pick<Parameter, 'name' | 'shape'>): string => `${name} ${sizes(shape)}`;

function listed(names: readonly string[]): string {
  if (names.length <= MOST_PROBLEMS) return names.join(', ');
  return `${names.slice(0, MOST_PROBLEMS).join(', ')} and ${names.length - MOST_PROBLEMS} more`;
}
