/** Softmax by rows, its way back, and the parts of it that cross-entropy shares. */
import { expOfNonPositive } from './elementary';
import { firstLanes, joinLanes, loadSome, storeSome } from './vectors';

/** See `Routines.softmax`. */
export function softmax(from: usize, into: usize, rows: i32, width: i32): void {
  const stride = (<usize>width) << 2;
  for (let row = 0; row < rows; row++) {
    divide(into, width, sumOfExponentials(from, width, largestOf(from, width), into));
    from += stride;
    into += stride;
  }
}

/** See `Routines.softmaxBackward`. */
export function softmaxBackward(gradient: usize, output: usize, rows: i32, width: i32): void {
  const vectors = (<usize>width & ~3) << 2;
  const rest = width & 3;
  for (let row = 0; row < rows; row++) {
    const end = gradient + vectors;
    let lanes = f32x4.splat(0);
    let y = output;
    for (let g = gradient; g < end; g += 16) {
      lanes = f32x4.add(lanes, f32x4.mul(v128.load(g), v128.load(y)));
      y += 16;
    }
    // Both operands of a lane that is not there are 0.
    if (rest != 0) lanes = f32x4.add(lanes, f32x4.mul(loadSome(end, rest), loadSome(y, rest)));
    const product = f32x4.splat(joinLanes(lanes));
    while (gradient < end) {
      v128.store(gradient, f32x4.mul(v128.load(output), f32x4.sub(v128.load(gradient), product)));
      gradient += 16;
      output += 16;
    }
    if (rest != 0) {
      const towards = f32x4.mul(loadSome(output, rest), f32x4.sub(loadSome(gradient, rest), product));
      storeSome(gradient, towards, rest);
      gradient += <usize>rest << 2;
      output += <usize>rest << 2;
    }
  }
}

/** NaN if any value is. */
export function largestOf(values: usize, count: i32): f32 {
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

/** Σ_j e^(z_j - largest) in lanes; the exponentials are written to `into` unless it is 0. */
export function sumOfExponentials(values: usize, count: i32, largest: f32, into: usize): f32 {
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
    lanes = f32x4.add(lanes, v128.and(powers, firstLanes(rest)));
  }
  return joinLanes(lanes);
}

export function divide(values: usize, count: i32, divisor: f32): void {
  const by = f32x4.splat(divisor);
  const end = values + ((<usize>count & ~3) << 2);
  while (values < end) {
    v128.store(values, f32x4.div(v128.load(values), by));
    values += 16;
  }
  const rest = count & 3;
  if (rest != 0) storeSome(values, f32x4.div(loadSome(values, rest), by), rest);
}
