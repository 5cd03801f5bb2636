/** The losses and their gradients, one pass over the outputs. The sums are doubles, added sample by sample. */
import { expOfNonPositive, log64, sigmoid } from './elementary';
import { divide, largestOf, sumOfExponentials } from './softmax';
import { joinLanes, firstLanes, loadSome, storeSome } from './vectors';

/** See `Routines.meanSquaredError`. */
export function meanSquaredError(
  predictions: usize,
  targets: usize,
  rows: i32,
  width: i32,
  gradient: usize,
  sums: usize,
): void {
  const slope = <f32>(2.0 / <f64>width);
  let lossSum: f64 = 0;
  let squaredErrorSum: f64 = 0;
  let targetSum: f64 = 0;
  let targetSquareSum: f64 = 0;
  for (let row = 0; row < rows; row++) {
    let rowSum: f64 = 0;
    for (let column = 0; column < width; column++) {
      const target = <f64>load<f32>(targets);
      const error = <f64>load<f32>(predictions) - target;
      rowSum += error * error;
      targetSum += target;
      targetSquareSum += target * target;
      if (gradient != 0) {
        store<f32>(gradient, <f32>error * slope);
        gradient += 4;
      }
      predictions += 4;
      targets += 4;
    }
    squaredErrorSum += rowSum;
    lossSum += rowSum / <f64>width;
  }
  storeSums(sums, lossSum, 0, squaredErrorSum, targetSum, targetSquareSum);
}

/** See `Routines.huber`. */
export function huber(
  predictions: usize,
  targets: usize,
  rows: i32,
  width: i32,
  delta: f64,
  gradient: usize,
  sums: usize,
): void {
  const share = <f32>(1.0 / <f64>width);
  const limit = <f32>delta;
  let lossSum: f64 = 0;
  let squaredErrorSum: f64 = 0;
  let targetSum: f64 = 0;
  let targetSquareSum: f64 = 0;
  for (let row = 0; row < rows; row++) {
    let rowSum: f64 = 0;
    for (let column = 0; column < width; column++) {
      const target = <f64>load<f32>(targets);
      const error = <f64>load<f32>(predictions) - target;
      const size = abs(error);
      rowSum += size <= delta ? 0.5 * error * error : delta * (size - 0.5 * delta);
      squaredErrorSum += error * error;
      targetSum += target;
      targetSquareSum += target * target;
      if (gradient != 0) {
        store<f32>(gradient, min<f32>(max<f32>(<f32>error, -limit), limit) * share);
        gradient += 4;
      }
      predictions += 4;
      targets += 4;
    }
    lossSum += rowSum / <f64>width;
  }
  storeSums(sums, lossSum, 0, squaredErrorSum, targetSum, targetSquareSum);
}

/** See `Routines.binaryCrossEntropy`. */
export function binaryCrossEntropy(
  logits: usize,
  targets: usize,
  rows: i32,
  smoothing: f64,
  gradient: usize,
  sums: usize,
): void {
  let lossSum: f64 = 0;
  let correctCount: f64 = 0;
  for (let row = 0; row < rows; row++) {
    const offset = (<usize>row) << 2;
    const logit = load<f32>(logits + offset);
    const label = load<f32>(targets + offset);
    const valid = label == 0 || label == 1;
    const e = f32x4.extract_lane(expOfNonPositive(f32x4.splat(-abs(logit))), 0);
    const target = <f64>label * (1 - smoothing) + smoothing / 2;
    const margin = max<f64>(logit, 0) - <f64>logit * target;
    lossSum += valid ? margin + log64(1 + <f64>e) : <f64>NaN;
    if ((logit > 0 ? <f32>1 : <f32>0) == label) correctCount += 1;
    if (gradient != 0) {
      const p = f32x4.extract_lane(sigmoid(f32x4.splat(logit)), 0);
      store<f32>(gradient + offset, valid ? p - <f32>target : <f32>NaN);
    }
  }
  storeSums(sums, lossSum, correctCount, 0, 0, 0);
}

/** See `Routines.softmaxCrossEntropy`. The gradient's row holds the exponentials until their sum is known. */
export function softmaxCrossEntropy(
  logits: usize,
  targets: usize,
  rows: i32,
  width: i32,
  smoothing: f64,
  gradient: usize,
  sums: usize,
): void {
  const stride = (<usize>width) << 2;
  const spread = <f32>(smoothing / <f64>width);
  const ofTarget = <f32>(1 - smoothing);
  let lossSum: f64 = 0;
  let correctCount: f64 = 0;
  for (let row = 0; row < rows; row++) {
    const label = load<f32>(targets);
    const valid = label >= 0 && label < <f32>width;
    const target = valid ? (<usize>label) << 2 : 0;
    const largest = largestOf(logits, width);
    const total = sumOfExponentials(logits, width, largest, gradient);
    const logit = load<f32>(logits + target);
    let expected = <f64>logit - <f64>largest;
    // Not for 0: 0 times a logit of -Infinity would be NaN.
    if (smoothing != 0) {
      const mean = <f64>sumOfDifferences(logits, width, largest) / <f64>width;
      expected = (1 - smoothing) * expected + smoothing * mean;
    }
    lossSum += valid ? log64(<f64>total) - expected : <f64>NaN;
    if (valid && logit == largest && isFirst(logits, target, largest)) correctCount += 1;
    if (gradient != 0) {
      divide(gradient, width, valid ? total : <f32>NaN);
      if (smoothing != 0) subtract(gradient, width, spread);
      if (valid) store<f32>(gradient + target, load<f32>(gradient + target) - ofTarget);
      gradient += stride;
    }
    logits += stride;
    targets += 4;
  }
  storeSums(sums, lossSum, correctCount, 0, 0, 0);
}

/** Σ_j (z_j - from) in lanes. */
function sumOfDifferences(values: usize, count: i32, from: f32): f32 {
  const shift = f32x4.splat(from);
  let lanes = f32x4.splat(0);
  const end = values + ((<usize>count & ~3) << 2);
  while (values < end) {
    lanes = f32x4.add(lanes, f32x4.sub(v128.load(values), shift));
    values += 16;
  }
  const rest = count & 3;
  if (rest != 0) {
    lanes = f32x4.add(lanes, v128.and(f32x4.sub(loadSome(values, rest), shift), firstLanes(rest)));
  }
  return joinLanes(lanes);
}

function subtract(values: usize, count: i32, number: f32): void {
  const by = f32x4.splat(number);
  const end = values + ((<usize>count & ~3) << 2);
  while (values < end) {
    v128.store(values, f32x4.sub(v128.load(values), by));
    values += 16;
  }
  const rest = count & 3;
  if (rest != 0) storeSome(values, f32x4.sub(loadSome(values, rest), by), rest);
}

/** Whether no value before byte `offset` reaches the largest. */
export function isFirst(values: usize, offset: usize, largest: f32): bool {
  for (let before: usize = 0; before < offset; before += 4) {
    if (load<f32>(values + before) == largest) return false;
  }
  return true;
}

/** The five sums every loss leaves behind. */
export function storeSums(sums: usize, loss: f64, correct: f64, squaredError: f64, target: f64, targetSquare: f64): void {
  store<f64>(sums, loss);
  store<f64>(sums, correct, 8);
  store<f64>(sums, squaredError, 16);
  store<f64>(sums, target, 24);
  store<f64>(sums, targetSquare, 32);
}
