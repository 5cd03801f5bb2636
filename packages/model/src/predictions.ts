/** From a model's raw outputs to what a user asks for: a label with probabilities, or numbers. */
import type { ModelSpec } from '#kernel';
import { type TargetScaling, unscaleTarget } from '#training';

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
  /** [K] in units of the data. */
  | { readonly kind: 'numbers'; readonly values: Float64Array };

/**
 * @param outputs [K] of one sample
 * @param targets [K] how a regression's were scaled; absent: not at all
 *
 * The class is the first of the largest outputs; with one output, class 1 where it is above 0: as accuracy counts it in
 * training. Probabilities: softmax over the outputs, or the logistic function of the one there is.
 */
export function decide(
  { loss, outputs: K }: ModelSpec,
  outputs: Float32Array,
  targets?: readonly TargetScaling[],
): Decision {
  switch (loss.kind) {
    case 'meanSquaredError':
    case 'huber':
      return { kind: 'numbers', values: inUnits(outputs, targets) };
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

function inUnits(outputs: Float32Array, targets: readonly TargetScaling[] | undefined): Float64Array {
  return Float64Array.from(outputs, (output, index) =>
    targets === undefined ? output : unscaleTarget(targets[index]!, output),
  );
}

/** Seven digits tell any two float32 of the same size apart that differ by more than rounding. */
const FLOAT32_DIGITS = 7;

/**
 * A predicted number with the digits that mean something: those of a float32, and as many more as its target lies farther
 * from 0 than its values do from each other.
 */
export function roundPrediction(value: number, scaling?: TargetScaling): number {
  const away = scaling === undefined ? 1 : Math.max(1, Math.abs(scaling.shift) * scaling.factor);
  return Number(value.toPrecision(Math.min(16, FLOAT32_DIGITS + Math.ceil(Math.log10(away)))));
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
