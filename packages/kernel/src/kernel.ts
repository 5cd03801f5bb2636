import type { LambSpec, ModelSpec, SingleUpdateSpec } from './model-spec.js';

/** One named trainable tensor: floats `[offset, offset + size)` of the weights. Order is the order of the layers. */
export interface Parameter {
  /** As PyTorch's `nn.Sequential` under the name `layers` would call it: `layers.<index>.weight`, `layers.<index>.bias`. */
  readonly name: string;
  /** Dense weight: [units, inputs], bias: [units]; layerNorm weight and bias: [width]. */
  readonly shape: readonly number[];
  /** In floats from the start of the weights. */
  readonly offset: number;
  readonly size: number;
}

/** A model compiled once: flat calls with offsets. Opaque but for what is listed here. */
export interface Program {
  readonly spec: ModelSpec;
  readonly parameters: readonly Parameter[];
  /** P. */
  readonly parameterCount: number;
  /** T: floats in one stored target (1 for classification, K for regression). */
  readonly targetCount: number;
  /** Bytes of scratch memory one thread needs for a micro-batch of `samples`: activations, their gradients, packing. */
  scratchBytes(samples: number): number;
}

/** Sums a loss leaves behind, in double precision, added in a fixed order. */
export interface LossSums {
  readonly sampleCount: number;
  readonly lossSum: number;
  readonly correctCount: number;
  readonly squaredErrorSum: number;
  readonly targetSum: number;
  readonly targetSquareSum: number;
}

/** Byte addresses in the linear memory, each a multiple of 16. */
export interface MicroBatchAddresses {
  /** [P] */
  readonly weights: number;
  /** [samples, F] */
  readonly features: number;
  /** [samples, T] */
  readonly targets: number;
  /** [P], overwritten; not used by `evaluate`. */
  readonly gradient: number;
  /** `program.scratchBytes(samples)` bytes. */
  readonly scratch: number;
  readonly samples: number;
  /** What random layers draw from; needed by `gradient` of a program that has such layers. */
  readonly draws?: SampleDraws;
}

/** What says which numbers a random layer draws for a sample: nothing of how samples are cut into micro-batches. */
export interface SampleDraws {
  /** The run's seed, a whole number in [0, 2⁵³). */
  readonly seed: number;
  readonly epoch: number;
  /** Position in the epoch of the micro-batch's first sample; the others follow. */
  readonly firstPosition: number;
}

/**
 * Where one range of parameters and their optimizer state lie, all `count` floats long. Byte addresses, multiples of 4:
 * an update may be cut between any two parameters.
 */
export interface UpdateAddresses {
  readonly weights: number;
  readonly gradient: number;
  /** One address per state slot of the optimizer, in the order of `optimizerSlots`. */
  readonly state: readonly number[];
  readonly count: number;
}

/** What an update does to a range besides its optimizer's formula. */
export interface UpdateTerms {
  /** The gradient is multiplied by this first: clipping. 1 when left out, which changes no bit. */
  readonly gradientFactor?: number;
  /**
   * Pull of the range's weights towards zero; none when left out. Decoupled for adamw and lamb, as their papers have it;
   * for the others it is L2: this times w is added to the gradient, as PyTorch's `weight_decay`.
   */
  readonly weightDecay?: number;
}

/**
 * The numerical routines over one linear memory. Two implementations give the same bits for the same bytes; a range
 * may be cut anywhere at a multiple of 4 floats and the pieces done by different threads without changing a bit.
 */
export interface Kernel {
  /** `js/1` or `wasm-simd128/1`; the number rises with any change that alters a bit. */
  readonly id: string;
  /** Forward, loss and backward of one micro-batch. The gradient is the sum over its samples (0 samples: all zero). */
  gradient(program: Program, at: MicroBatchAddresses): LossSums;
  /** Forward and loss only. */
  evaluate(program: Program, at: MicroBatchAddresses): LossSums;
  /** Forward only: what `evaluate` computes before the loss. `targets` and `gradient` are not used. */
  predict(program: Program, at: MicroBatchAddresses): void;
  /** Byte address, in the scratch memory, of the outputs [samples, K] that `evaluate` and `predict` leave behind. */
  outputsAt(program: Program, at: Pick<MicroBatchAddresses, 'scratch' | 'samples'>): number;
  /** into[i] = into[i] + right[i]: one node of the reduction tree, left always the lower micro-batches. */
  fold(into: number, right: number, count: number): void;
  /** gradient[i] = gradient[i] * factor. */
  scale(gradient: number, count: number, factor: number): void;
  /** Σ gradient[i]², in double precision in four lanes by i mod 4, joined as (0+1)+(2+3). Not finite if any element is not. */
  squareSum(gradient: number, count: number): number;
  /** `scale` and then `squareSum`, in one pass over memory and with the bits of the two. */
  scaleSquareSum(gradient: number, count: number, factor: number): number;
  /** One optimizer update over a range; `step` from 0. One pass over memory. */
  update(
    optimizer: SingleUpdateSpec,
    at: UpdateAddresses,
    step: number,
    learningRate: number,
    terms?: UpdateTerms,
  ): void;
  /**
   * The first half of LAMB over a range: advances its moments and overwrites the gradient with the update's direction.
   * Sizes of weights and direction, parameter by parameter, then give the rate of the second half, `descend`.
   */
  lambDirection(optimizer: LambSpec, at: UpdateAddresses, step: number, terms?: UpdateTerms): void;
  /** weights[i] = weights[i] - rate · direction[i], rate rounded to float32. */
  descend(weights: number, direction: number, count: number, rate: number): void;
  /**
   * into[i] = bfloat16 of from[i], to nearest, ties to even; a NaN stays one.
   * @param from [count] float32
   * @param into [count] of two bytes each, at a multiple of 2
   */
  toBfloat16(from: number, into: number, count: number): void;
  /** into[i] = into[i] + right[i]. @param right [count] bfloat16 */
  foldBfloat16(into: number, right: number, count: number): void;
  /**
   * Each `INT8_GROUP` values, and what is left at the end, become whole numbers -127..127 of steps of their largest size
   * / 127, to the nearest, ties to even: from[i] ≈ scale · into[i], off by half a step. A group whose sizes are all below
   * 1.5e-36 gets scale 0; one with a NaN or an infinity gets scale NaN, so that whoever adds it finds out.
   * @param from [count] float32
   * @param into [count] int8, at any address
   * @param scales [⌈count / INT8_GROUP⌉] float32
   */
  toInt8(from: number, into: number, scales: number, count: number): void;
  /** into[i] = into[i] + scale of its group · codes[i]. */
  foldInt8(into: number, codes: number, scales: number, count: number): void;
  /** XXH64 with seed 0 of `bytes` bytes. */
  hash(address: number, bytes: number): bigint;
}
