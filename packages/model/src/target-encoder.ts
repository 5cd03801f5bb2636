/** The answers a data set knows, as the loss wants them: class indexes, or numbers. */
import { explainNotANumber } from '#storage';
import { scaleTarget, type TargetScaling } from '#training';
import { type CellProblem, type CellValue, readNumber } from './row-encoder.js';

/**
 * Encodes the cells of the target columns; returns the first that is none.
 * @param classes labels by index; empty: the targets are numbers
 * @param targets how the numbers are scaled; absent: not at all
 * @param into [T] from `offset`
 */
export function createTargetEncoder(
  names: readonly string[],
  classes: readonly string[],
  targets?: readonly TargetScaling[],
) {
  const indexes = new Map(classes.map((label, index) => [label, index]));
  // Labels that are whole numbers are equal as numbers: 3 and 3.0, as in training.
  const numeric = classes.every((label) => label === String(Number(label)));
  const indexOf = (cell: CellValue): number | undefined => {
    const text = cell === null || cell === undefined ? '' : String(cell).trim();
    return indexes.get(text) ?? (numeric ? indexes.get(String(Number(text === '' ? Number.NaN : text))) : undefined);
  };
  return (cells: readonly CellValue[], into: Float32Array, offset: number): CellProblem | undefined => {
    for (const [position, column] of names.entries()) {
      const cell = cells[position];
      if (classes.length > 0) {
        const index = indexOf(cell);
        if (index === undefined) {
          const known = classes.slice(0, 8).join(', ') + (classes.length > 8 ? `, … (${classes.length})` : '');
          const reason = `${JSON.stringify(cell ?? '')} is not a class of the model; its classes: ${known}`;
          return { column, reason, hint: 'correct the label, or leave the row out' };
        }
        into[offset + position] = index;
      } else {
        const read = readNumber(cell);
        if (typeof read === 'string') return { column, ...explainNotANumber(read) };
        if (Number.isNaN(read)) return { column, reason: 'the target is empty', hint: 'fill it, or leave the row out' };
        into[offset + position] = targets === undefined ? read : scaleTarget(targets[position]!, read);
      }
    }
    return undefined;
  };
}
