/** Figures from what the workers counted. Whole numbers in, so the same out whoever counted them. */
import { addLossSums, CALIBRATION_BINS, CONFIDENCE_UNITS, type LossSums, RANK_BINS } from '#kernel';
import { reportClasses } from './class-report.js';
import { metricsOf, NO_SUMS } from './epoch-metrics.js';
import type { FinalMetrics, Metrics } from './events.js';
import type { EvaluationReceipt } from './messages.js';
import type { RunState } from './run-state.js';

/** @param receipts of all parts of a split, in order: sums of doubles are added part by part */
export function figuresOf(
  receipts: readonly EvaluationReceipt[],
  { task, targetCount, outputs }: Pick<RunState, 'task' | 'targetCount' | 'outputs'>,
): FinalMetrics {
  const sums = receipts.reduce<LossSums>(addLossSums, NO_SUMS);
  const basic = metricsOf(sums, task, targetCount);
  const samples = sums.sampleCount;
  if (outputs === undefined) return basic;
  const { layout, labels } = outputs;
  const total = (of: (receipt: EvaluationReceipt) => number): number =>
    receipts.reduce((sum, each) => sum + of(each), 0);
  if (task === 'regression') {
    const cells = samples * targetCount;
    const squared = layout.units === undefined ? sums.squaredErrorSum : total(({ tally }) => tally.squaredErrorSum);
    return {
      ...basic,
      meanAbsoluteError: total(({ tally }) => tally.absoluteErrorSum) / cells,
      rootMeanSquaredError: Math.sqrt(squared / cells),
    };
  }
  const counts = new Float64Array(layout.cells);
  for (const { tally } of receipts) {
    for (const [index, cell] of tally.cells.entries()) counts[cell] = (counts[cell] ?? 0) + (tally.counts[index] ?? 0);
  }
  const { confusion, calibration, ranks, probabilistic, classes, columns } = layout;
  const area = ranks === undefined ? undefined : meanArea(counts.subarray(ranks), columns);
  const report =
    confusion === undefined
      ? undefined
      : reportClasses(counts.subarray(confusion, confusion + classes * classes), labels);
  return {
    ...basic,
    ...(report === undefined
      ? {}
      : { macroPrecision: report.macroPrecision, macroRecall: report.macroRecall, macroF1: report.macroF1 }),
    ...(area === undefined ? {} : { rocAuc: area }),
    ...(probabilistic ? { logLoss: total(({ tally }) => tally.logLossSum) / samples } : {}),
    ...(calibration === undefined ? {} : { calibrationError: calibrationError(counts.subarray(calibration), samples) }),
    ...(report === undefined ? {} : { classes: report.classes, confusion: report.confusion }),
  };
}

/** What is told of every epoch: no list that grows with the classes. */
export function withoutClasses({ classes: _, confusion: __, ...figures }: FinalMetrics): Metrics {
  return figures;
}

/** Σ over bins of (samples in bin / samples) · |accuracy - mean confidence|. */
function calibrationError(counts: Float64Array, samples: number): number {
  let sum = 0;
  for (let bin = 0; bin < CALIBRATION_BINS; bin++) {
    sum += Math.abs((counts[3 * bin + 1] ?? 0) - (counts[3 * bin + 2] ?? 0) / CONFIDENCE_UNITS);
  }
  return sum / samples;
}

/** Mean over the classes of each against the rest, those without both sides left out. */
function meanArea(counts: Float64Array, columns: number): number | undefined {
  let sum = 0;
  let found = 0;
  for (let column = 0; column < columns; column++) {
    const others = counts.subarray(2 * column * RANK_BINS, (2 * column + 1) * RANK_BINS);
    const area = areaUnderCurve(others, counts.subarray((2 * column + 1) * RANK_BINS, (2 * column + 2) * RANK_BINS));
    if (area === undefined) continue;
    sum += area;
    found++;
  }
  return found === 0 ? undefined : sum / found;
}

/** Pairs of one sample of each side in the right order, scores in one bin counted half, by all pairs. Sums are whole. */
function areaUnderCurve(others: Float64Array, ofClass: Float64Array): number | undefined {
  let below = 0;
  let positives = 0;
  let doubled = 0;
  for (const [bin, count] of ofClass.entries()) {
    const ties = others[bin] ?? 0;
    doubled += count * (2 * below + ties);
    below += ties;
    positives += count;
  }
  return below === 0 || positives === 0 ? undefined : doubled / (2 * below * positives);
}
