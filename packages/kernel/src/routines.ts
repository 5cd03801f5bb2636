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
  addBias(matrix: number, rows: number, width: number, bias: number, activation: number, slope: number): void;

  /** into[i] = f(from[i]). A leaky relu is x > 0 ? x : slope · x; the others take no notice of `slope`. */
  activate(from: number, into: number, count: number, activation: number, slope: number): void;

  /**
   * gradient[i] = gradient[i] · f'(i), f' from the output y: relu y > 0 ? 1 : 0; leaky relu y > 0 ? 1 : slope;
   * sigmoid y·(1 - y); tanh 1 - y·y.
   */
  activateBackward(gradient: number, output: number, count: number, activation: number, slope: number): void;

  /** into[i] = from[i] · Φ(from[i]), Φ as in `coefficients.ts`. */
  gelu(from: number, into: number, count: number): void;

  /** gradient[i] = gradient[i] · (Φ(x) + x · φ(x)), x = input[i], φ the normal density. */
  geluBackward(gradient: number, input: number, count: number): void;

  /** into[r, j] = e^(x_j - m) / Σ_i e^(x_i - m), m the row's largest; the sum as in `softmaxCrossEntropy`. */
  softmax(from: number, into: number, rows: number, width: number): void;

  /** g_j = y_j · (g_j - Σ_i g_i · y_i) by rows, y the output; the sum in four lanes by i mod 4 joined as (0+1)+(2+3). */
  softmaxBackward(gradient: number, output: number, rows: number, width: number): void;

  /**
   * into[r, u] = w >= threshold ? from[r, u] · factor : 0; `into` may be `from`. On gradients it is its own way back.
   *
   * w is word ⌊u / 4⌋ mod 4 of Philox4x32-10 (`philox.ts`) with counter (4·⌊u / 16⌋ + u mod 4, low, high, 0) and the
   * key given, low and high the 32-bit halves of position + r: sixteen units take four counters, side by side.
   * @param position whole number in [0, 2⁵³)
   * @param threshold whole number in [0, 2³²)
   */
  dropout(
    from: number,
    into: number,
    rows: number,
    width: number,
    position: number,
    key0: number,
    key1: number,
    threshold: number,
    factor: number,
  ): void;

  /**
   * into[r, j] = ((x_j - mean) · scale) · weight_j + bias_j by rows, mean = (Σ x_i) / width and
   * scale = 1 / sqrt((Σ (x_i - mean)²) / width + epsilon); both sums in four lanes by i mod 4 joined as (0+1)+(2+3).
   * @param statistics [rows, 2], becomes mean and scale of each row
   */
  layerNorm(
    from: number,
    into: number,
    rows: number,
    width: number,
    weight: number,
    bias: number,
    epsilon: number,
    statistics: number,
  ): void;

  /**
   * By rows, with n_j = (x_j - mean) · scale and h_j = g_j · weight_j: g_j becomes
   * ((h_j - (Σ h_i) / width) - n_j · ((Σ h_i · n_i) / width)) · scale, the sums in four lanes as above.
   * @param gradient [rows, width], overwritten
   * @param weightGradient [width], becomes Σ_r g_j · n_j in the order of r, from 0
   * @param biasGradient [width], becomes Σ_r g_j in the order of r, from 0
   */
  layerNormBackward(
    gradient: number,
    input: number,
    rows: number,
    width: number,
    weight: number,
    statistics: number,
    weightGradient: number,
    biasGradient: number,
  ): void;

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
   * Loss of a sample: mean over its `width` outputs of ½·e² if |e| <= delta, else delta·(|e| - ½·delta), in double, in
   * order, e = prediction - target.
   * @param gradient [rows, width], becomes min(max(e, -delta), delta) · (1 / width), all float32; 0: not wanted
   * @param sums as for `meanSquaredError`
   */
  huber(
    predictions: number,
    targets: number,
    rows: number,
    width: number,
    delta: number,
    gradient: number,
    sums: number,
  ): void;

  /**
   * Loss of a sample: max(z, 0) - z·t + log(1 + e^-|z|), in double, of logit z and t = label·(1 - smoothing) + smoothing/2.
   * Correct when z > 0 says the same as the label. A label other than 0 or 1 gives a loss and a gradient of NaN.
   * @param gradient [rows], becomes sigmoid(z) - t; 0: not wanted
   * @param sums as for `meanSquaredError`, the last three 0
   */
  binaryCrossEntropy(
    logits: number,
    targets: number,
    rows: number,
    smoothing: number,
    gradient: number,
    sums: number,
  ): void;

  /**
   * Loss of a sample: log Σ_j e^(z_j - m) - (z_t - m), m = max z, the logarithm and the differences in double, the sum
   * in four float32 lanes by j mod 4 joined as (0+1)+(2+3). Correct when z_t = m and no class before t reaches m.
   * A class outside 0..width-1 gives a loss and gradients of NaN.
   *
   * With smoothing s > 0: log Σ_j e^(z_j - m) - ((1 - s)·(z_t - m) + s·(Σ_j (z_j - m)) / width), in double, the new sum
   * in four float32 lanes again; the gradient is (softmax(z)_j - s / width) - (j = t ? 1 - s : 0).
   * @param gradient [rows, width], becomes softmax(z)_j - (j = t ? 1 : 0); 0: not wanted
   * @param sums as for `meanSquaredError`, the last three 0
   */
  softmaxCrossEntropy(
    logits: number,
    targets: number,
    rows: number,
    width: number,
    smoothing: number,
    gradient: number,
    sums: number,
  ): void;

  /**
   * Loss of a sample: max(0, 1 - y·z), in double, y = 1 for label 1 and -1 for label 0. Counts and refuses labels as
   * `binaryCrossEntropy`.
   * @param gradient [rows], becomes 1 - y·z > 0 ? -y : 0, NaN for a NaN; 0: not wanted
   * @param sums as for `meanSquaredError`, the last three 0
   */
  hinge(logits: number, targets: number, rows: number, gradient: number, sums: number): void;

  /**
   * Loss of a sample: (Σ_{j≠t} max(0, v_j)) / width, v_j = (1 - z_t) + z_j, the sum in four float32 lanes by j mod 4
   * joined as (0+1)+(2+3), the quotient in double. Counts and refuses classes as `softmaxCrossEntropy`.
   * @param gradient [rows, width], becomes v_j > 0 ? 1 / width : 0 for j ≠ t and -(how many v_j > 0) · (1 / width) for
   * t, NaN where v_j is and for t if any is; 0: not wanted
   * @param sums as for `meanSquaredError`, the last three 0
   */
  multiClassHinge(logits: number, targets: number, rows: number, width: number, gradient: number, sums: number): void;

  /** Has `work` done with these routines, by one thread where several run the same program. */
  once(work: (routines: Routines) => void): void;

  /** into[i] = into[i] + right[i]. */
  fold(into: number, right: number, count: number): void;

  /** values[i] = values[i] · factor, factor rounded to float32. */
  scale(values: number, count: number, factor: number): void;

  /** Σ values[i]² in double, four lanes by i mod 4, joined as (0+1)+(2+3). */
  squareSum(values: number, count: number): number;

  /** values[i] = values[i] · factor, and then `squareSum` of them: one pass for both. */
  scaleSquareSum(values: number, count: number, factor: number): number;

  /*
   * The optimizers. Coefficients are rounded to float32 once, 1 - beta after its difference in double; products and sums
   * as the formulas group them. g is the gradient as the optimizer sees it: factor · gradient, and + l2 · w unless l2
   * is 0. A factor of 1 leaves the gradient's bits as they are.
   */

  /** w = w - rate · g. */
  sgd(weights: number, gradient: number, count: number, factor: number, l2: number, rate: number): void;

  /** v = momentum · v + g; w = w - rate · v, or with Nesterov (1, else 0) w = w - rate · (g + momentum · v). */
  momentum(
    weights: number,
    gradient: number,
    velocity: number,
    count: number,
    factor: number,
    l2: number,
    rate: number,
    momentum: number,
    nesterov: number,
  ): void;

  /** s = s + g · g; w = w - (rate · g) / (sqrt(s) + epsilon). */
  adagrad(
    weights: number,
    gradient: number,
    squares: number,
    count: number,
    factor: number,
    l2: number,
    rate: number,
    epsilon: number,
  ): void;

  /**
   * v = decay · v + ((1 - decay) · g) · g; d = g / (sqrt(v) + epsilon); with a velocity u: u = momentum · u + d and
   * d = u; w = w - rate · d.
   * @param velocity 0: none
   */
  rmsprop(
    weights: number,
    gradient: number,
    second: number,
    velocity: number,
    count: number,
    factor: number,
    l2: number,
    rate: number,
    decay: number,
    epsilon: number,
    momentum: number,
  ): void;

  /**
   * m = beta1 · m + (1 - beta1) · g; v = beta2 · v + ((1 - beta2) · g) · g;
   * w = kept · w - (stepSize · m) / (sqrt(v) · secondScale + epsilon).
   * @param kept share of the weights that decoupled decay leaves; 1 leaves their bits
   */
  adam(
    weights: number,
    gradient: number,
    first: number,
    second: number,
    count: number,
    factor: number,
    l2: number,
    kept: number,
    stepSize: number,
    beta1: number,
    beta2: number,
    secondScale: number,
    epsilon: number,
  ): void;

  /**
   * m and v as in `adam` with l2 = 0; gradient = (firstScale · m) / (sqrt(v) · secondScale + epsilon) + weightDecay · w.
   * The weights are read only.
   */
  lambDirection(
    weights: number,
    gradient: number,
    first: number,
    second: number,
    count: number,
    factor: number,
    weightDecay: number,
    firstScale: number,
    beta1: number,
    beta2: number,
    secondScale: number,
    epsilon: number,
  ): void;

  /**
   * into[i] = the sample at position first + i of an epoch's order (`sample-permutation.ts`), 32-bit words.
   * @param keys ORDER_KEYS words of `sampleOrder`
   * @param bits of the same, at most 32
   * @param samples in [1, 2³²]
   */
  sampleIndexes(keys: number, bits: number, samples: number, first: number, count: number, into: number): void;

  /** into[r, :] = from[indexes[r], :], rows of `width` floats, indexes 32-bit words. Bits are copied, NaN's too. */
  gatherRows(from: number, width: number, indexes: number, count: number, into: number): void;

  /** See `Kernel`: the same seven. */
  toBfloat16(from: number, into: number, count: number): void;
  fromBfloat16(from: number, into: number, count: number): void;
  roundToBfloat16(from: number, into: number, count: number): void;
  foldBfloat16(into: number, right: number, count: number): void;
  toInt8(from: number, into: number, scales: number, count: number, first: number, key0: number, key1: number): void;
  fromInt8(codes: number, scales: number, into: number, count: number): void;
  foldInt8(
    into: number,
    scales: number,
    right: number,
    rightScales: number,
    count: number,
    first: number,
    key0: number,
    key1: number,
  ): void;

  /** XXH64 with seed 0, as a signed or unsigned 64-bit number. */
  hash(address: number, bytes: number): bigint;
}

/** What `activation` arguments mean; the assembly's `activations.ts` uses the same numbers. */
export const ACTIVATION_CODES = { none: 0, relu: 1, sigmoid: 2, tanh: 3, leakyRelu: 4 } as const;

/** The routines of one thread, to which `once` means nothing. */
export function withOnce(own: Omit<Routines, 'once'>): Routines {
  const routines: Routines = { ...own, once: (work) => work(routines) };
  return routines;
}
