/** Each loss of one sample and its gradient, from the formulas, in double precision. For tests. */
import type { LossSpec } from './model-spec.js';

export interface LossOfRow {
  readonly loss: number;
  /** [K], with respect to the outputs. */
  readonly gradient: Float64Array;
}

export function loss64(loss: LossSpec, outputs: Float64Array, targets: Float64Array): LossOfRow {
  const plain = unweighted(loss, outputs, targets);
  if (!('classWeights' in loss) || loss.classWeights === undefined) return plain;
  const weight = Math.fround(loss.classWeights[targets[0]!]!);
  return { loss: weight * plain.loss, gradient: plain.gradient.map((value) => weight * value) };
}

function unweighted(loss: LossSpec, outputs: Float64Array, targets: Float64Array): LossOfRow {
  const K = outputs.length;
  const label = targets[0]!;
  switch (loss.kind) {
    case 'meanSquaredError':
      return {
        loss: outputs.reduce((sum, p, k) => sum + (p - targets[k]!) ** 2, 0) / K,
        gradient: outputs.map((p, k) => (2 * (p - targets[k]!)) / K),
      };
    case 'huber': {
      const { delta } = loss;
      const errors = outputs.map((p, k) => p - targets[k]!);
      const inside = (error: number): boolean => Math.abs(error) <= delta;
      return {
        loss: errors.reduce((sum, e) => sum + (inside(e) ? e ** 2 / 2 : delta * Math.abs(e) - delta ** 2 / 2), 0) / K,
        gradient: errors.map((e) => (inside(e) ? e : delta * Math.sign(e)) / K),
      };
    }
    case 'binaryCrossEntropy': {
      const smoothing = loss.labelSmoothing ?? 0;
      const target = label * (1 - smoothing) + smoothing / 2;
      const z = outputs[0]!;
      return {
        loss: target * Math.log1p(Math.exp(-z)) + (1 - target) * Math.log1p(Math.exp(z)),
        gradient: Float64Array.of(1 / (1 + Math.exp(-z)) - target),
      };
    }
    case 'softmaxCrossEntropy': {
      const smoothing = loss.labelSmoothing ?? 0;
      const largest = Math.max(...outputs);
      const total = outputs.reduce((sum, z) => sum + Math.exp(z - largest), 0);
      const targetOf = (j: number): number => (j === label ? 1 - smoothing : 0) + smoothing / K;
      return {
        loss: outputs.reduce((sum, z, j) => sum - targetOf(j) * (z - largest - Math.log(total)), 0),
        gradient: outputs.map((z, j) => Math.exp(z - largest) / total - targetOf(j)),
      };
    }
    case 'hinge': {
      if (K === 1) {
        const y = 2 * label - 1;
        const shortfall = 1 - y * outputs[0]!;
        return { loss: Math.max(0, shortfall), gradient: Float64Array.of(shortfall > 0 ? -y : 0) };
      }
      const shortfalls = outputs.map((z, j) => (j === label ? 0 : Math.max(0, 1 - outputs[label]! + z)));
      const short = shortfalls.filter((value) => value > 0).length;
      return {
        loss: shortfalls.reduce((sum, value) => sum + value, 0) / K,
        gradient: shortfalls.map((value, j) => (j === label ? -short : value > 0 ? 1 : 0) / K),
      };
    }
    default:
      return loss satisfies never;
  }
}
