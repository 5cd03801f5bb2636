/** The counts of an evaluation, which all threads of a worker add to. */
import { type EvaluationTally, type ModelSpec, type TallyLayout, tallyLayout, tallySamples } from '#kernel';
import { EVALUATION_WAVE } from './loss-sums.js';

export interface SharedTally {
  readonly layout: TallyLayout;
  /** Counts fit into 32 bits: a wave has 2^18 samples, and each adds at most 2^12 to a cell. */
  readonly cells: Int32Array<SharedArrayBuffer>;
  /** Three doubles a chunk of the wave: absolute errors, squared errors, log-loss. */
  readonly sums: Float64Array<SharedArrayBuffer>;
}

const SUMS = 3;

/** @param targetUnits as for `tallyLayout` */
export function createSharedTally(model: ModelSpec, targetUnits?: readonly number[]): SharedTally {
  const layout = tallyLayout(model, targetUnits);
  return {
    layout,
    cells: new Int32Array(new SharedArrayBuffer(4 * layout.cells)),
    sums: new Float64Array(new SharedArrayBuffer(8 * SUMS * EVALUATION_WAVE)),
  };
}

/** Counts the samples of one chunk. Threads may do so at the same time: whole numbers add up to the same in any order. */
export function tallyChunk(
  { layout, cells, sums }: SharedTally,
  chunk: number,
  outputs: Float32Array,
  targets: Float32Array,
): void {
  const { absoluteErrorSum, squaredErrorSum, logLossSum } = tallySamples(layout, outputs, targets, (cell, by) => {
    Atomics.add(cells, cell, by);
  });
  sums.set([absoluteErrorSum, squaredErrorSum, logLossSum], SUMS * chunk);
}

/** Adds up what the waves of one evaluation left behind. */
export function collectTally({ cells, sums }: SharedTally): {
  /** Takes what `chunks` chunks have counted, and leaves the cells empty. */
  take(chunks: number): void;
  result(): EvaluationTally;
} {
  const counts = new Map<number, number>();
  let absoluteErrorSum = 0;
  let squaredErrorSum = 0;
  let logLossSum = 0;
  return {
    take(chunks) {
      for (let chunk = 0; chunk < chunks; chunk++) {
        absoluteErrorSum += sums[SUMS * chunk]!;
        squaredErrorSum += sums[SUMS * chunk + 1]!;
        logLossSum += sums[SUMS * chunk + 2]!;
      }
      for (let cell = 0; cell < cells.length; cell++) {
        const found = cells[cell]!;
        if (found !== 0) counts.set(cell, (counts.get(cell) ?? 0) + found);
      }
      cells.fill(0);
    },
    result: () => {
      const found = [...counts].sort(([left], [right]) => left - right);
      return {
        cells: found.map(([cell]) => cell),
        counts: found.map(([, count]) => count),
        absoluteErrorSum,
        squaredErrorSum,
        logLossSum,
      };
    },
  };
}
