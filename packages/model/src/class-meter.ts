/** Collects a classifier's figures sample by sample: probabilities beyond what the loss sums say. */
import { CALIBRATION_BINS, MAX_CONFUSION_CLASSES } from '#kernel';
import { type ClassReport, reportClasses } from '#training';
import type { Decision } from './predictions.js';
import { rocAuc } from './roc-auc.js';

export interface ClassFindings {
  readonly accuracy: number;
  /** -mean ln p(the sample's class), p at least 1e-15; absent for a hinge. */
  readonly logLoss?: number;
  /** Of class 1 against class 0, or the mean over the classes of each against the rest. */
  readonly rocAuc?: number;
  /** Σ over bins of (samples in bin / samples) · |accuracy - mean confidence|; absent for a hinge. */
  readonly calibrationError?: number;
  /** Absent beyond `MAX_CONFUSION_CLASSES` classes. */
  readonly report?: ClassReport;
}

export interface ClassMeter {
  add(decision: Extract<Decision, { kind: 'class' }>, actual: number): void;
  result(): ClassFindings;
}

/** Smaller probabilities count as this: one sure mistake shall not make the mean infinite. */
const LEAST_PROBABILITY = 1e-15;
/** Scores kept for the area under the curve, 64 MiB of them; with more there is none. */
const MOST_SCORES = 1 << 23;

export function createClassMeter(labels: readonly string[]): ClassMeter {
  const C = labels.length;
  const confusion = C <= MAX_CONFUSION_CLASSES ? new Float64Array(C * C) : undefined;
  const bins = Array.from({ length: CALIBRATION_BINS }, () => ({ samples: 0, correct: 0, confidence: 0 }));
  const columns = C === 2 ? 1 : C;
  let scores: number[][] | undefined = Array.from({ length: columns }, () => []);
  const actuals: number[] = [];
  let samples = 0;
  let correct = 0;
  let logSum = 0;
  let probabilistic = true;

  const areas = (): number | undefined => {
    if (scores === undefined) return undefined;
    const found = scores.flatMap((of, column) => {
      const positive = C === 2 ? 1 : column;
      const area = rocAuc(
        Float64Array.from(of),
        Uint8Array.from(actuals, (actual) => Number(actual === positive)),
      );
      return area === undefined ? [] : [area];
    });
    return found.length === 0 ? undefined : found.reduce((sum, area) => sum + area, 0) / found.length;
  };

  return {
    add({ index, probabilities, scores: raw }, actual) {
      samples++;
      const right = Number(index === actual);
      correct += right;
      if (confusion !== undefined) confusion[actual * C + index]! += 1;
      if (probabilities === undefined) {
        probabilistic = false;
      } else {
        logSum -= Math.log(Math.max(LEAST_PROBABILITY, probabilities[actual]!));
        const confidence = probabilities[index]!;
        const bin = bins[Math.min(CALIBRATION_BINS - 1, Math.floor(confidence * CALIBRATION_BINS))]!;
        bin.samples++;
        bin.correct += right;
        bin.confidence += confidence;
      }
      if ((samples + 1) * columns > MOST_SCORES) scores = undefined;
      if (scores === undefined) return;
      actuals.push(actual);
      for (const [column, of] of scores.entries()) of.push(scoreOf(C, raw, probabilities, column));
    },
    result() {
      const area = areas();
      const error = bins.reduce((sum, bin) => sum + Math.abs(bin.correct - bin.confidence), 0) / samples;
      return {
        accuracy: correct / samples,
        ...(probabilistic ? { logLoss: logSum / samples, calibrationError: error } : {}),
        ...(area === undefined ? {} : { rocAuc: area }),
        ...(confusion === undefined ? {} : { report: reportClasses(confusion, labels) }),
      };
    },
  };
}

/** Two classes: the logit, for probabilities near 0 and 1 round to ties. More: the probability, as logits of samples do not compare. */
function scoreOf(C: number, raw: Float32Array, probabilities: Float64Array | undefined, column: number): number {
  if (C !== 2) return probabilities?.[column] ?? raw[column]!;
  return raw.length === 1 ? raw[0]! : raw[1]! - raw[0]!;
}
