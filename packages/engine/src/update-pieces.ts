import { compileModel, type Parameter } from '#kernel';
import type { UpdateSettings } from './engine.js';
import { RANGE_FLOATS } from './memory-plan.js';

/** Floats `[begin, end)` that an update treats alike, all within one range. */
export interface UpdatePiece {
  readonly begin: number;
  readonly end: number;
  /** Position among all pieces. */
  readonly index: number;
  /** Position of the parameter the piece begins in. */
  readonly parameter: number;
  /** 0 for a parameter that does not decay. */
  readonly weightDecay: number;
}

/** The pieces an update is made of, range by range. */
export function piecesOf({ model, optimizer, l2 = 0 }: UpdateSettings): readonly (readonly UpdatePiece[])[] {
  const weightDecay = 'weightDecay' in optimizer ? optimizer.weightDecay : l2;
  return cutRanges(compileModel(model).parameters, RANGE_FLOATS, weightDecay, optimizer.kind === 'lamb');
}

/**
 * Cuts fixed ranges of parameters where an update changes its treatment. Ranges and cuts follow from the model and the
 * optimizer alone, never from threads.
 * @param parameters in the order of the weights, without gaps
 * @param weightDecay of weight matrices: parameters of two dimensions and more
 * @param apart every parameter in pieces of its own; otherwise neighbours that decay alike stay together
 * @returns the pieces of each range
 */
export function cutRanges(
  parameters: readonly Parameter[],
  rangeFloats: number,
  weightDecay: number,
  apart: boolean,
): readonly (readonly UpdatePiece[])[] {
  const runs = decayRuns(parameters, weightDecay, apart);
  const last = parameters.at(-1);
  const total = last === undefined ? 0 : last.offset + last.size;
  const ranges: UpdatePiece[][] = [];
  let index = 0;
  let run = 0;
  for (let from = 0; from < total; from += rangeFloats) {
    const to = Math.min(total, from + rangeFloats);
    const pieces: UpdatePiece[] = [];
    for (let begin = from; begin < to; ) {
      const { end: runEnd, ...treatment } = runs[run]!; // runs cover [0, total)
      const end = Math.min(to, runEnd);
      pieces.push({ begin, end, index, ...treatment });
      index++;
      begin = end;
      if (end === runEnd) run++;
    }
    ranges.push(pieces);
  }
  return ranges;
}

interface DecayRun {
  readonly end: number;
  readonly parameter: number;
  readonly weightDecay: number;
}

function decayRuns(parameters: readonly Parameter[], weightDecay: number, apart: boolean): readonly DecayRun[] {
  const runs: DecayRun[] = [];
  for (const [parameter, { shape, offset, size }] of parameters.entries()) {
    const own = shape.length >= 2 ? weightDecay : 0;
    const before = runs.at(-1);
    const joins = !apart && before?.weightDecay === own;
    runs.splice(joins ? -1 : runs.length, joins ? 1 : 0, {
      end: offset + size,
      parameter: joins ? before.parameter : parameter,
      weightDecay: own,
    });
  }
  return runs;
}
