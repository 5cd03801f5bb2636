import { type CutRule, cutProduct, OWN_CUT, rectangleOf } from './cut-product.js';
import type { Routines } from './routines.js';

/**
 * Threads that run the same program at the same time on the same buffers, each making the same calls in the same order.
 */
export interface Team {
  /**
   * Has every piece of `[0, pieces)` done once, by whoever is free. When it returns, all pieces are done, and so is all
   * that was offered before; everything written meanwhile is visible to everybody.
   */
  share(pieces: number, work: (piece: number) => void): void;
  /**
   * Has `work` done by one thread while the others go on: it must write nothing that is read, and read nothing that is
   * written, before the next `share`.
   */
  offer(work: () => void): void;
  /** The calling thread's own scratch memory in place of `address`, which all of them were given. */
  ownScratch(address: number): number;
}

/**
 * A team of one. For an engine whose sums depend on the shape of a call: run by itself it has to be cut as teams cut it.
 */
export const ALONE: Team = {
  share(pieces, work) {
    for (let piece = 0; piece < pieces; piece++) work(piece);
  },
  offer: (work) => work(),
  ownScratch: (address) => address,
};

/** Floats of an elementwise loop worth taking from a shared counter: some 5 µs. A multiple of 4, as every cut must be. */
const RANGE = 16_384;

/**
 * The same routines, each shared by all threads of a team: products by rectangles, elementwise loops by ranges. All
 * cuts follow from shapes alone. A routine without a rule here (the losses, whose sums have one order) is done by one
 * thread while the others wait, and what it returns is known to that one alone.
 */
export function teamRoutines(routines: Routines, team: Team, rule: CutRule = OWN_CUT): Routines {
  const ranges = (count: number, work: (offset: number, count: number) => void): void => {
    team.share(Math.ceil(count / RANGE), (piece) => {
      const begin = piece * RANGE;
      work(4 * begin, Math.min(RANGE, count - begin));
    });
  };
  const byRows = (rows: number, width: number, work: (offset: number, count: number, row: number) => void): void => {
    const rowsEach = Math.max(1, Math.floor(RANGE / width));
    team.share(Math.ceil(rows / rowsEach), (piece) => {
      const row = piece * rowsEach;
      work(4 * row * width, Math.min(rowsEach, rows - row), row);
    });
  };
  return {
    ...doneByOne(routines, team),
    multiply: multiplyInPieces(routines.multiply, team, rule),
    addBias(matrix, rows, width, bias, activation, slope) {
      byRows(rows, width, (offset, count) => {
        routines.addBias(matrix + offset, count, width, bias, activation, slope);
      });
    },
    activate(from, into, count, activation, slope) {
      ranges(count, (offset, length) => routines.activate(from + offset, into + offset, length, activation, slope));
    },
    activateBackward(gradient, output, count, activation, slope) {
      ranges(count, (offset, length) => {
        routines.activateBackward(gradient + offset, output + offset, length, activation, slope);
      });
    },
    gelu(from, into, count) {
      ranges(count, (offset, length) => routines.gelu(from + offset, into + offset, length));
    },
    geluBackward(gradient, input, count) {
      ranges(count, (offset, length) => routines.geluBackward(gradient + offset, input + offset, length));
    },
    softmax(from, into, rows, width) {
      byRows(rows, width, (offset, count) => routines.softmax(from + offset, into + offset, count, width));
    },
    softmaxBackward(gradient, output, rows, width) {
      byRows(rows, width, (offset, count) => {
        routines.softmaxBackward(gradient + offset, output + offset, count, width);
      });
    },
    dropout(from, into, rows, width, position, key0, key1, threshold, factor) {
      byRows(rows, width, (offset, count, row) => {
        routines.dropout(from + offset, into + offset, count, width, position + row, key0, key1, threshold, factor);
      });
    },
    layerNorm(from, into, rows, width, weight, bias, epsilon, statistics) {
      byRows(rows, width, (offset, count, row) => {
        const own = statistics + 8 * row; // two floats a row
        routines.layerNorm(from + offset, into + offset, count, width, weight, bias, epsilon, own);
      });
    },
    // A bias' gradient is read by nobody before the micro-batch is done, and products follow.
    sumRows(matrix, rows, width, into) {
      team.offer(() => routines.sumRows(matrix, rows, width, into));
    },
    fold(into, right, count) {
      ranges(count, (offset, length) => routines.fold(into + offset, right + offset, length));
    },
  };
}

/** A product, shared by all threads of a team. */
export function multiplyInPieces(multiply: Routines['multiply'], team: Team, rule: CutRule): Routines['multiply'] {
  return (
    rows,
    columns,
    depth,
    left,
    leftRowStride,
    leftColumnStride,
    right,
    rightRowStride,
    rightColumnStride,
    into,
    intoRowStride,
    packing,
  ) => {
    const cut = cutProduct(rows, columns, depth, rule);
    const ownPacking = team.ownScratch(packing);
    team.share(cut.rowCuts * cut.columnCuts, (piece) => {
      const { rowBegin, rowEnd, columnBegin, columnEnd } = rectangleOf(cut, rows, columns, piece);
      if (rowBegin === rowEnd || columnBegin === columnEnd) return;
      multiply(
        rowEnd - rowBegin,
        columnEnd - columnBegin,
        depth,
        left + 4 * rowBegin * leftRowStride,
        leftRowStride,
        leftColumnStride,
        right + 4 * columnBegin * rightColumnStride,
        rightRowStride,
        rightColumnStride,
        into + 4 * (rowBegin * intoRowStride + columnBegin),
        intoRowStride,
        ownPacking,
      );
    });
  };
}

function doneByOne(routines: Routines, team: Team): Routines {
  const entries = Object.entries(routines).filter(
    (entry): entry is [string, Routine] => typeof entry[1] === 'function',
  );
  return Object.fromEntries(
    entries.map(([name, routine]) => [
      name,
      (...operands: readonly number[]): unknown => {
        let result: unknown;
        team.share(1, () => {
          result = routine(...operands);
        });
        return result;
      },
    ]),
  ) as unknown as Routines; // the same names, each with its own routine's operands and result
}

/** What all of `Routines` have in common. */
type Routine = (...operands: readonly number[]) => unknown;
