/**
 * What an evaluation counts besides the sums of the loss: which class was taken for which, how sure the model was, how its
 * scores rank. All counts are whole numbers, so that nothing depends on who counted what; the sums are of doubles and
 * are added in the order of samples.
 *
 * Counts lie in one row of cells, each split into sections: confusion [C, C], calibration [bins, 3] (samples, correct,
 * confidence in units), ranks [columns, 2, rank bins] (samples of other classes, samples of the class).
 */
import type { ModelSpec } from './model-spec.js';
import { expOfNonPositive, log64 } from './plain/elementary.js';

/** Classes a confusion matrix is kept for: beyond, it would outgrow the messages it travels in. */
export const MAX_CONFUSION_CLASSES = 256;
/** Classes that a ROC curve each is counted for; two share one. */
const MAX_RANKED_CLASSES = 64;
/** Bins of equal width for the confidence, the probability of the class that was chosen (Guo et al., 2017). */
export const CALIBRATION_BINS = 15;
/** Confidences are counted in units of this part of 1. */
export const CONFIDENCE_UNITS = 4096;
/** -ln of 1e-15, the smallest probability that counts: one sure mistake shall not make the mean infinite. */
const MOST_LOG_LOSS = 34.538776394910684;

/** Scores are told apart by their sign, their power of two from 2^-8 to 2^15, and the first 8 binary places after it. */
const RANK_PLACES = 8;
const LEAST_EXPONENT = 127 - 8;
const MOST_EXPONENT = 127 + 15;
const RANKS_EACH_SIGN = (MOST_EXPONENT - LEAST_EXPONENT + 1) << RANK_PLACES;
/** Scores nearer to 0 than 2^-8 share one bin in the middle. */
export const RANK_BINS = 2 * RANKS_EACH_SIGN + 1;

export interface TallyLayout {
  /** C; 0 for a model of numbers. */
  readonly classes: number;
  /** Whether the outputs stand for probabilities: not those of a hinge. */
  readonly probabilistic: boolean;
  /** First cell of each section; undefined where it is not counted. */
  readonly confusion?: number;
  readonly calibration?: number;
  readonly ranks?: number;
  /** Scores a sample is ranked by: one for two classes, else one a class. */
  readonly columns: number;
  /** Cells together. */
  readonly cells: number;
  /** [K] what 1 in an output of numbers is in the data, where it is not 1: of scaled targets. */
  readonly units?: readonly number[];
}

/** Sums that go with the counts. */
interface TallySums {
  /** Σ |output - target| over samples and outputs, in units of the data; 0 for classes. */
  readonly absoluteErrorSum: number;
  /** Σ (output - target)², the same, of scaled targets; 0 for others, whose kernel sums it. */
  readonly squaredErrorSum: number;
  /** -Σ ln p(class of the sample), p at least 1e-15; 0 for numbers and a hinge. */
  readonly logLossSum: number;
}

/** What the evaluation of some samples counted. */
export interface EvaluationTally extends TallySums {
  /** Cells that are not 0, ascending, and what is in each. */
  readonly cells: readonly number[];
  readonly counts: readonly number[];
}

/** @param units [K] of a model of numbers whose targets are scaled */
export function tallyLayout({ loss, outputs: K }: ModelSpec, units?: readonly number[]): TallyLayout {
  if (loss.kind === 'meanSquaredError' || loss.kind === 'huber') {
    return { classes: 0, probabilistic: false, columns: 0, cells: 0, ...(units === undefined ? {} : { units }) };
  }
  const classes = K === 1 ? 2 : K;
  const probabilistic = loss.kind !== 'hinge';
  const columns = classes === 2 ? 1 : classes <= MAX_RANKED_CLASSES ? classes : 0;
  const confusion = classes <= MAX_CONFUSION_CLASSES ? 0 : undefined;
  const calibration = confusion === undefined ? 0 : classes * classes;
  const ranks = calibration + (probabilistic ? 3 * CALIBRATION_BINS : 0);
  return {
    classes,
    probabilistic,
    columns,
    ...(confusion === undefined ? {} : { confusion }),
    ...(probabilistic ? { calibration } : {}),
    ...(columns === 0 ? {} : { ranks }),
    cells: ranks + 2 * columns * RANK_BINS,
  };
}

/**
 * Counts some samples.
 * @param outputs [n, K]
 * @param targets [n] class indexes, or [n, K]
 * @param count adds to a cell
 */
export function tallySamples(
  layout: TallyLayout,
  outputs: Float32Array,
  targets: Float32Array,
  count: (cell: number, by: number) => void,
): TallySums {
  if (layout.classes === 0) return tallyNumbers(layout, outputs, targets);
  const K = outputs.length / targets.length;
  let logLossSum = 0;
  for (let sample = 0; sample < targets.length; sample++) {
    const z = outputs.subarray(sample * K, (sample + 1) * K);
    const label = targets[sample]!;
    // Of a model that has diverged: the loss says so.
    if (!z.every(Number.isFinite)) continue;
    logLossSum += K === 1 ? tallyOne(layout, z[0]!, label, count) : tallyMany(layout, z, label, count);
  }
  return { absoluteErrorSum: 0, squaredErrorSum: 0, logLossSum };
}

function tallyNumbers({ units }: TallyLayout, outputs: Float32Array, targets: Float32Array): TallySums {
  let absoluteErrorSum = 0;
  let squaredErrorSum = 0;
  if (units === undefined) {
    for (let index = 0; index < outputs.length; index++)
      absoluteErrorSum += Math.abs(outputs[index]! - targets[index]!);
    return { absoluteErrorSum, squaredErrorSum, logLossSum: 0 };
  }
  for (let index = 0; index < outputs.length; index++) {
    const error = (outputs[index]! - targets[index]!) * units[index % units.length]!;
    absoluteErrorSum += Math.abs(error);
    squaredErrorSum += error * error;
  }
  return { absoluteErrorSum, squaredErrorSum, logLossSum: 0 };
}

/** Bin of a score: higher scores have higher bins or the same. */
export function rankBin(score: number): number {
  scratch[0] = Math.abs(score);
  const bits = scratchBits[0]!;
  const exponent = bits >>> 23;
  if (exponent < LEAST_EXPONENT) return RANKS_EACH_SIGN;
  const rank =
    exponent > MOST_EXPONENT
      ? RANKS_EACH_SIGN
      : ((exponent - LEAST_EXPONENT) << RANK_PLACES) + ((bits >>> (23 - RANK_PLACES)) & ((1 << RANK_PLACES) - 1)) + 1;
  return RANKS_EACH_SIGN + (score < 0 ? -rank : rank);
}

const scratch = new Float32Array(1);
const scratchBits = new Uint32Array(scratch.buffer);

type Count = (cell: number, by: number) => void;

/** One output for two classes: the logit, or the margin. @returns -ln p(label) */
function tallyOne(layout: TallyLayout, z: number, label: number, count: Count): number {
  const chosen = z > 0 ? 1 : 0;
  countClass(layout, label, chosen, count);
  countRank(layout, 0, z, label === 1, count);
  if (!layout.probabilistic) return 0;
  // ln(1 + e^-|z|): of the class that was chosen; of the other |z| more.
  const least = log64(1 + expOfNonPositive(-Math.abs(z)));
  countConfidence(layout, 1 / (1 + expOfNonPositive(-Math.abs(z))), label === chosen, count);
  return Math.min(MOST_LOG_LOSS, label === chosen ? least : least + Math.abs(z));
}

function tallyMany(layout: TallyLayout, z: Float32Array, label: number, count: Count): number {
  let chosen = 0;
  for (let j = 1; j < z.length; j++) if (z[j]! > z[chosen]!) chosen = j;
  countClass(layout, label, chosen, count);
  const { probabilistic, columns } = layout;
  const largest = z[chosen]!;
  let total = 0;
  if (probabilistic) for (const logit of z) total += expOfNonPositive(Math.fround(logit - largest));
  if (columns === 1) countRank(layout, 0, z[1]! - z[0]!, label === 1, count);
  else {
    for (let column = 0; column < columns; column++) {
      // The odds of a class: logits of two samples do not compare.
      const score = probabilistic ? logOdds(z[column]! - largest, total) : z[column]!;
      countRank(layout, column, score, label === column, count);
    }
  }
  if (!probabilistic) return 0;
  countConfidence(layout, 1 / total, label === chosen, count);
  return Math.min(MOST_LOG_LOSS, log64(total) - (z[label]! - largest));
}

/** ln(p / (1 - p)) of a class whose logit lies `below` the largest, p = e^below / total. */
function logOdds(below: number, total: number): number {
  const rest = total - expOfNonPositive(Math.fround(below));
  if (rest <= 2 ** -52) return below + MOST_LOG_LOSS;
  return below - (rest >= 1 ? log64(rest) : -log64(1 / rest));
}

function countClass({ confusion, classes }: TallyLayout, label: number, chosen: number, count: Count): void {
  if (confusion !== undefined) count(confusion + label * classes + chosen, 1);
}

function countConfidence({ calibration }: TallyLayout, confidence: number, right: boolean, count: Count): void {
  if (calibration === undefined) return;
  const bin = calibration + 3 * Math.min(CALIBRATION_BINS - 1, Math.floor(confidence * CALIBRATION_BINS));
  count(bin, 1);
  if (right) count(bin + 1, 1);
  count(bin + 2, Math.round(confidence * CONFIDENCE_UNITS));
}

function countRank({ ranks }: TallyLayout, column: number, score: number, ofClass: boolean, count: Count): void {
  if (ranks !== undefined) count(ranks + (2 * column + (ofClass ? 1 : 0)) * RANK_BINS + rankBin(score), 1);
}
