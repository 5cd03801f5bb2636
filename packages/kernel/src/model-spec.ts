/**
 * What a model is made of, as plain data. A job file is turned into this; the kernel compiles it.
 *
 * Legend: B samples in a micro-batch, F features of a sample, K outputs of the model, P parameters of the model.
 */

/**
 * One layer. `layers` of a model is the complete list: the output layer is an ordinary `dense` at its end.
 *
 * - `leakyRelu`: x above 0, else slope · x; slope in [0, 1]
 * - `gelu`: x · Φ(x), Φ the normal distribution's cumulative function: PyTorch's `gelu` without `approximate`
 * - `softmax`: over the numbers of each sample
 * - `dropout`: in training each number is 0 with probability `rate` and divided by 1 - rate otherwise; rate in [0, 1)
 * - `layerNorm`: over the numbers of each sample, then weight · x + bias, both learned, as PyTorch's `LayerNorm`
 */
export type LayerSpec =
  | { readonly kind: 'dense'; readonly units: number }
  | { readonly kind: 'relu' }
  | { readonly kind: 'leakyRelu'; readonly slope: number }
  | { readonly kind: 'gelu' }
  | { readonly kind: 'sigmoid' }
  | { readonly kind: 'tanh' }
  | { readonly kind: 'softmax' }
  | { readonly kind: 'dropout'; readonly rate: number }
  | { readonly kind: 'layerNorm'; readonly epsilon: number };

/**
 * The loss of one sample; a micro-batch's loss is the sum over its samples.
 *
 * - `meanSquaredError`: mean over the K outputs of (prediction - target)²; targets [B, K]
 * - `huber`: mean over the K outputs of ½·error² up to |error| = delta, delta·(|error| - ½·delta) beyond; targets [B, K]
 * - `binaryCrossEntropy`: on K = 1 logits; targets [B, 1], each 0 or 1
 * - `softmaxCrossEntropy`: on K logits; targets [B, 1], each a class index 0..K-1 stored as float32
 * - `hinge`: K = 1: max(0, 1 - y·z), y = ±1 for the labels 1 and 0 (a linear support vector machine); K > 1: mean over
 *   the K outputs of max(0, 1 - z_t + z_j), j other than t (Weston and Watkins, 1999); targets as of a cross-entropy
 *
 * `labelSmoothing` in [0, 1), 0 when absent, as PyTorch's `label_smoothing`: that share of each target is spread evenly
 * over all classes.
 *
 * `classWeights`: a sample's loss and gradient times the weight of its class, as a float32; nothing is divided by them.
 */
export type LossSpec =
  | { readonly kind: 'meanSquaredError' }
  | { readonly kind: 'huber'; readonly delta: number }
  | ({ readonly kind: 'binaryCrossEntropy'; readonly labelSmoothing?: number } & ClassWeights)
  | ({ readonly kind: 'softmaxCrossEntropy'; readonly labelSmoothing?: number } & ClassWeights)
  | ({ readonly kind: 'hinge' } & ClassWeights);

interface ClassWeights {
  /** By class: what the loss of a sample is multiplied by. Absent: 1. */
  readonly classWeights?: readonly number[];
}

/**
 * How weights start; see `initialWeights` for the formulas.
 *
 * - `auto`: He before a relu, leaky relu or gelu, Glorot otherwise
 * - `he`, `glorot`: uniform; `heNormal`, `glorotNormal`: normal, with the same variances
 * - `torch`: uniform within 1 / sqrt(inputs), biases too, as PyTorch's `Linear` starts
 */
export type InitSpec = 'auto' | 'he' | 'heNormal' | 'glorot' | 'glorotNormal' | 'torch' | 'zeros';

export interface ModelSpec {
  /** F: numbers in one encoded sample. */
  readonly inputs: number;
  /** K: equals the units of the last dense layer. */
  readonly outputs: number;
  readonly layers: readonly LayerSpec[];
  readonly loss: LossSpec;
  readonly init: InitSpec;
}

/**
 * As PyTorch has them, LAMB as its paper does. Every number is per step; `learningRate` is what a schedule scales.
 *
 * Weight decay, here and as `l2`, pulls at weight matrices alone: parameters of two dimensions and more. Biases and the
 * gains of a norm decide where a unit works, not how much it fits, and shrinking them only hurts.
 */
export type OptimizerSpec = SingleUpdateSpec | LambSpec;

/** Optimizers whose update of a weight needs nothing but what lies at its own place. */
export type SingleUpdateSpec =
  | { readonly kind: 'sgd'; readonly learningRate: number }
  | { readonly kind: 'momentum'; readonly learningRate: number; readonly momentum: number; readonly nesterov: boolean }
  | { readonly kind: 'adagrad'; readonly learningRate: number; readonly epsilon: number }
  | {
      readonly kind: 'rmsprop';
      readonly learningRate: number;
      /** Share of the mean of squared gradients that is kept; PyTorch's `alpha`. */
      readonly decay: number;
      readonly epsilon: number;
      /** 0: no velocity is kept. */
      readonly momentum: number;
    }
  | ({ readonly kind: 'adam' } & AdamSettings)
  | ({ readonly kind: 'adamw' } & AdamSettings & DecoupledDecay);

/** Layer-wise trust ratios on Adam's direction: You et al., 2020, algorithm 2, with φ(z) = z. */
export type LambSpec = { readonly kind: 'lamb' } & AdamSettings & DecoupledDecay;

interface AdamSettings {
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
}

interface DecoupledDecay {
  /** Share of a weight that is taken off in a step, times the learning rate. */
  readonly weightDecay: number;
}

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
