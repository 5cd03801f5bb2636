/** The losses and their gradients, one pass over the outputs. The sums are doubles, added sample by sample. */
import { expOfNonPositive, log64, sigmoid } from './elementary';
import { loadSome, storeSome } from './vectors';

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

/** See `Routines.binaryCrossEntropy`. */
export function binaryCrossEntropy(logits: usize, targets: usize, rows: i32, gradient: usize, sums: usize): void {
  let lossSum: f64 = 0;
  let correctCount: f64 = 0;
  for (let row = 0; row < rows; row++) {
    const offset = (<usize>row) << 2;
    const logit = load<f32>(logits + offset);
    const label = load<f32>(targets + offset);
    const valid = label == 0 || label == 1;
    const e = f32x4.extract_lane(expOfNonPositive(f32x4.splat(-abs(logit))), 0);
    const margin = max<f64>(logit, 0) - <f64>logit * <f64>label;
    lossSum += valid ? margin + log64(1 + <f64>e) : <f64>NaN;
    if ((logit > 0 ? <f32>1 : <f32>0) == label) correctCount += 1;
    if (gradient != 0) {
      const p = f32x4.extract_lane(sigmoid(f32x4.splat(logit)), 0);
      store<f32>(gradient + offset, valid ? p - label : <f32>NaN);
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
  gradient: usize,
  sums: usize,
): void {
  const stride = (<usize>width) << 2;
  let lossSum: f64 = 0;
  let correctCount: f64 = 0;
  for (let row = 0; row < rows; row++) {
    const label = load<f32>(targets);
    const valid = label >= 0 && label < <f32>width;
    const target = valid ? (<usize>label) << 2 : 0;
    const largest = largestOf(logits, width);
    const total = sumOfExponentials(logits, width, largest, gradient);
    const logit = load<f32>(logits + target);
    lossSum += valid ? log64(<f64>total) - (<f64>logit - <f64>largest) : <f64>NaN;
    if (valid && logit == largest && isFirst(logits, target, largest)) correctCount += 1;
    if (gradient != 0) {
      divide(gradient, width, valid ? total : <f32>NaN);
      if (valid) store<f32>(gradient + target, load<f32>(gradient + target) - 1);
      gradient += stride;
    }
    logits += stride;
    targets += 4;
  }
  storeSums(sums, lossSum, correctCount, 0, 0, 0);
}

function largestOf(values: usize, count: i32): f32 {
  let most = f32x4.splat(-Infinity);
  const end = values + ((<usize>count & ~3) << 2);
  while (values < end) {
    most = f32x4.max(most, v128.load(values));
    values += 16;
  }
  let largest = max(
    max(f32x4.extract_lane(most, 0), f32x4.extract_lane(most, 1)),
    max(f32x4.extract_lane(most, 2), f32x4.extract_lane(most, 3)),
  );
  for (let rest = count & 3; rest > 0; rest--) {
    largest = max(largest, load<f32>(values));
    values += 4;
  }
  return largest;
}

/** Writes the exponentials to `into` unless it is 0. */
function sumOfExponentials(values: usize, count: i32, largest: f32, into: usize): f32 {
  const shift = f32x4.splat(largest);
  let lanes = f32x4.splat(0);
  const end = values + ((<usize>count & ~3) << 2);
  while (values < end) {
    const powers = expOfNonPositive(f32x4.sub(v128.load(values), shift));
    lanes = f32x4.add(lanes, powers);
    if (into != 0) {
      v128.store(into, powers);
      into += 16;
    }
    values += 16;
  }
  const rest = count & 3;
  if (rest != 0) {
    const powers = expOfNonPositive(f32x4.sub(loadSome(values, rest), shift));
    if (into != 0) storeSome(into, powers, rest);
    // A lane that is not there adds 0, which changes no sum of exponentials.
    const present = i32x4.lt_s(i32x4(0, 1, 2, 3), i32x4.splat(rest));
    lanes = f32x4.add(lanes, v128.and(powers, present));
  }
  return (
    f32x4.extract_lane(lanes, 0) +
    f32x4.extract_lane(lanes, 1) +
    (f32x4.extract_lane(lanes, 2) + f32x4.extract_lane(lanes, 3))
  );
}

function divide(values: usize, count: i32, divisor: f32): void {
  const by = f32x4.splat(divisor);
  const end = values + ((<usize>count & ~3) << 2);
  while (values < end) {
    v128.store(values, f32x4.div(v128.load(values), by));
    values += 16;
  }
  const rest = count & 3;
  if (rest != 0) storeSome(values, f32x4.div(loadSome(values, rest), by), rest);
}

/** Whether no value before byte `offset` reaches the largest. */
function isFirst(values: usize, offset: usize, largest: f32): bool {
  for (let before: usize = 0; before < offset; before += 4) {
    if (load<f32>(values + before) == largest) return false;
  }
  return true;
}

function storeSums(sums: usize, loss: f64, correct: f64, squaredError: f64, target: f64, targetSquare: f64): void {
  store<f64>(sums, loss);
  store<f64>(sums, correct, 8);
  store<f64>(sums, squaredError, 16);
  store<f64>(sums, target, 24);
  store<f64>(sums, targetSquare, 32);
}
