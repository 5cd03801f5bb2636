/**
 * What a model is made of, as plain data. A job file is turned into this; the kernel compiles it.
 *
 * Legend: B samples in a micro-batch, F features of a sample, K outputs of the model, P parameters of the model.
 */

/** One layer. `layers` of a model is the complete list: the output layer is an ordinary `dense` at its end. */
export type LayerSpec =
  | { readonly kind: 'dense'; readonly units: number }
  | { readonly kind: 'relu' }
  | { readonly kind: 'sigmoid' }
  | { readonly kind: 'tanh' };

/**
 * The loss of one sample; a micro-batch's loss is the sum over its samples.
 *
 * - `meanSquaredError`: mean over the K outputs of (prediction - target)²; targets [B, K]
 * - `binaryCrossEntropy`: on K = 1 logits; targets [B, 1], each 0 or 1
 * - `softmaxCrossEntropy`: on K logits; targets [B, 1], each a class index 0..K-1 stored as float32
 */
export type LossSpec =
  | { readonly kind: 'meanSquaredError' }
  | { readonly kind: 'binaryCrossEntropy' }
  | { readonly kind: 'softmaxCrossEntropy' };

/** `auto`: He (uniform, fan-in) before a relu, Glorot (uniform) otherwise. Biases start at zero. */
export type InitSpec = 'auto' | 'he' | 'glorot' | 'zeros';

export interface ModelSpec {
  /** F: numbers in one encoded sample. */
  readonly inputs: number;
  /** K: equals the units of the last dense layer. */
  readonly outputs: number;
  readonly layers: readonly LayerSpec[];
  readonly loss: LossSpec;
  readonly init: InitSpec;
}

/** Every number is per step; `learningRate` is what a schedule scales. */
export type OptimizerSpec =
  | { readonly kind: 'sgd'; readonly learningRate: number }
  | { readonly kind: 'momentum'; readonly learningRate: number; readonly momentum: number; readonly nesterov: boolean }
  | {
      readonly kind: 'adam';
      readonly learningRate: number;
      readonly beta1: number;
      readonly beta2: number;
      readonly epsilon: number;
    };

/** A pure function of the step. Warm-up is linear from 0 over the first `warmup` steps, then the rest of the schedule. `to` is the share of the learning rate that is left in the end. */
export interface ScheduleSpec {
  /** Steps. */
  readonly warmup: number;
  readonly after:
    | { readonly kind: 'constant' }
    | { readonly kind: 'step'; readonly every: number; readonly factor: number }
    | { readonly kind: 'linear'; readonly to: number }
    | { readonly kind: 'exponential'; readonly factor: number }
    | { readonly kind: 'cosine'; readonly to: number };
}
