/** From a model's raw outputs to what a user asks for: a label with probabilities, or numbers. */
import type { ModelSpec } from '#kernel';

/** What one sample's outputs mean. */
export type Decision =
  | {
      readonly kind: 'class';
      readonly index: number;
      /** [C], adding up to 1; absent for a hinge, whose outputs are margins and no probabilities. */
      readonly probabilities?: Float64Array;
      /** [K] as the model gave them. */
      readonly scores: Float32Array;
    }
  | { readonly kind: 'numbers'; readonly values: Float32Array };

/**
 * @param outputs [K] of one sample
 *
 * The class is the first of the largest outputs; with one output, class 1 where it is above 0: as accuracy counts it in
 * training. Probabilities: softmax over the outputs, or the logistic function of the one there is.
 */
export function decide({ loss, outputs: K }: ModelSpec, outputs: Float32Array): Decision {
  switch (loss.kind) {
    case 'meanSquaredError':
    case 'huber':
      return { kind: 'numbers', values: outputs.slice() };
    case 'binaryCrossEntropy': {
      const p = logistic(outputs[0]!);
      const probabilities = Float64Array.of(1 - p, p);
      return { kind: 'class', index: outputs[0]! > 0 ? 1 : 0, probabilities, scores: outputs.slice() };
    }
    case 'softmaxCrossEntropy':
      return {
        kind: 'class',
        index: indexOfLargest(outputs),
        probabilities: softmax(outputs),
        scores: outputs.slice(),
      };
    case 'hinge': {
      const index = K === 1 ? (outputs[0]! > 0 ? 1 : 0) : indexOfLargest(outputs);
      return { kind: 'class', index, scores: outputs.slice() };
    }
    default:
      return loss satisfies never;
  }
}

/** Whether its predictions come with probabilities. */
export function hasProbabilities({ loss }: ModelSpec): boolean {
  return loss.kind === 'binaryCrossEntropy' || loss.kind === 'softmaxCrossEntropy';
}

function logistic(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

function softmax(logits: Float32Array): Float64Array {
  const largest = logits.reduce((most, logit) => Math.max(most, logit), Number.NEGATIVE_INFINITY);
  const powers = Float64Array.from(logits, (logit) => Math.exp(logit - largest));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power) => power / total);
}

function indexOfLargest(values: Float32Array): number {
  let best = 0;
  for (let index = 1; index < values.length; index++) if (values[index]! > values[best]!) best = index;
  return best;
}
