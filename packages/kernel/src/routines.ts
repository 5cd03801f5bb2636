/**
 * The numerical routines a kernel is built from, each defined down to the last bit. The plain twin and the WebAssembly
 * module both implement exactly these; what calls them in which order (`create-kernel.ts`) is shared.
 *
 * Arguments named after tensors are byte addresses in the linear memory, multiples of 4 (of 8 for `sums`); strides and
 * counts are in floats. All floats are float32 and every operation is rounded to float32 at once, unless a double is
 * mentioned. Tensors of one call do not overlap except where said.
 */
export interface Routines {
  /**
   * into[r, c] = Σ_k left[r, k] · right[k, c]; row r of into starts r · intoRowStride floats after the first.
   *
   * Terms are added in the order of k, from 0, within blocks of DEPTH_BLOCK; the blocks' sums are added in order. With
   * no terms the result is 0. The strides say where an operand's next row and next column start; one of the two is 1.
   * So any rectangle of a product, computed on its own, has the bits it has in the whole.
   * @param packing `packingBytes(rows, columns, depth)` bytes of scratch
   */
  multiply(
    rows: number,
    columns: number,
    depth: number,
    left: number,
    leftRowStride: number,
    leftColumnStride: number,
    right: number,
    rightRowStride: number,
    rightColumnStride: number,
    into: number,
    intoRowStride: number,
    packing: number,
  ): void;

  /** matrix[r, c] = f(matrix[r, c] + bias[c]) in place; f by its code in `ACTIVATION_CODES`. */
  addBias(matrix: number, rows: number, width: number, bias: number, activation: number): void;

  /** into[i] = f(from[i]). */
  activate(from: number, into: number, count: number, activation: number): void;

  /** gradient[i] = gradient[i] · f'(i), f' from the output y: relu y > 0 ? 1 : 0; sigmoid y·(1 - y); tanh 1 - y·y. */
  activateBackward(gradient: number, output: number, count: number, activation: number): void;

  /** into[c] = Σ_r matrix[r, c], in the order of r, from 0. */
  sumRows(matrix: number, rows: number, width: number, into: number): void;

  /**
   * Loss of a sample: mean over its `width` outputs of (prediction - target)², in double, in order.
   * @param gradient [rows, width], becomes (2 / width) · (prediction - target); 0: not wanted
   * @param sums five doubles, overwritten: loss, correct count (0), Σ error², Σ target, Σ target²
   */
  meanSquaredError(
    predictions: number,
    targets: number,
    rows: number,
    width: number,
    gradient: number,
    sums: number,
  ): void;

  /**
   * Loss of a sample: max(z, 0) - z·t + log(1 + e^-|z|), in double, of logit z and label t (0 or 1).
   * Correct when z > 0 says the same as the label. A label other than 0 or 1 gives a loss and a gradient of NaN.
   * @param gradient [rows], becomes sigmoid(z) - t; 0: not wanted
   * @param sums as for `meanSquaredError`, the last three 0
   */
  binaryCrossEntropy(logits: number, targets: number, rows: number, gradient: number, sums: number): void;

  /**
   * Loss of a sample: log Σ_j e^(z_j - m) - (z_t - m), m = max z, the logarithm and the differences in double, the sum
   * in four float32 lanes by j mod 4 joined as (0+1)+(2+3). Correct when z_t = m and no class before t reaches m.
   * A class outside 0..width-1 gives a loss and gradients of NaN.
   * @param gradient [rows, width], becomes softmax(z)_j - (j = t ? 1 : 0); 0: not wanted
   * @param sums as for `meanSquaredError`, the last three 0
   */
  softmaxCrossEntropy(
    logits: number,
    targets: number,
    rows: number,
    width: number,
    gradient: number,
    sums: number,
  ): void;

  /** into[i] = into[i] + right[i]. */
  fold(into: number, right: number, count: number): void;

  /** values[i] = values[i] · factor, factor rounded to float32. */
  scale(values: number, count: number, factor: number): void;

  /** Σ values[i]² in double, four lanes by i mod 4, joined as (0+1)+(2+3). */
  squareSum(values: number, count: number): number;

  /** w = w - rate · g, rate rounded to float32. */
  sgd(weights: number, gradient: number, count: number, rate: number): void;

  /** v = momentum · v + g; w = w - rate · v, or with Nesterov (1, else 0) w = w - rate · (g + momentum · v). */
  momentum(
    weights: number,
    gradient: number,
    velocity: number,
    count: number,
    rate: number,
    momentum: number,
    nesterov: number,
  ): void;

  /**
   * m = beta1 · m + (1 - beta1) · g; v = beta2 · v + ((1 - beta2) · g) · g;
   * w = w - (stepSize · m) / (sqrt(v) · secondScale + epsilon).
   * Every coefficient is rounded to float32 once, 1 - beta after its difference in double.
   */
  adam(
    weights: number,
    gradient: number,
    first: number,
    second: number,
    count: number,
    stepSize: number,
    beta1: number,
    beta2: number,
    secondScale: number,
    epsilon: number,
  ): void;

  /** XXH64 with seed 0, as a signed or unsigned 64-bit number. */
  hash(address: number, bytes: number): bigint;
}

/** What `activation` arguments mean; the assembly's `activations.ts` uses the same numbers. */
export const ACTIVATION_CODES = { none: 0, relu: 1, sigmoid: 2, tanh: 3 } as const;
