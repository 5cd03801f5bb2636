/** What the averager does to gradients, one pass over memory each. */

/** See `Routines.fold`. */
export function fold(into: usize, right: usize, count: i32): void {
  const end = into + ((<usize>count & ~7) << 2);
  while (into < end) {
    v128.store(into, f32x4.add(v128.load(into), v128.load(right)));
    v128.store(into, f32x4.add(v128.load(into, 16), v128.load(right, 16)), 16);
    into += 32;
    right += 32;
  }
  for (let rest = count & 7; rest > 0; rest--) {
    store<f32>(into, load<f32>(into) + load<f32>(right));
    into += 4;
    right += 4;
  }
}

/** See `Routines.scale`. */
export function scale(values: usize, count: i32, factor: f64): void {
  const by = <f32>factor;
  const vector = f32x4.splat(by);
  const end = values + ((<usize>count & ~7) << 2);
  while (values < end) {
    v128.store(values, f32x4.mul(v128.load(values), vector));
    v128.store(values, f32x4.mul(v128.load(values, 16), vector), 16);
    values += 32;
  }
  for (let rest = count & 7; rest > 0; rest--) {
    store<f32>(values, load<f32>(values) * by);
    values += 4;
  }
}

/** See `Routines.squareSum`. */
export function squareSum(values: usize, count: i32): f64 {
  return squares(values, count, 1, false);
}

/** See `Routines.scaleSquareSum`: one pass, and the sum's additions wait for each other while the products are stored. */
export function scaleSquareSum(values: usize, count: i32, factor: f64): f64 {
  return squares(values, count, <f32>factor, true);
}

@inline
function squares(values: usize, count: i32, by: f32, scales: bool): f64 {
  const vector = f32x4.splat(by);
  let low = f64x2.splat(0);
  let high = low;
  const end = values + ((<usize>count & ~3) << 2);
  while (values < end) {
    let four = v128.load(values);
    if (scales) {
      four = f32x4.mul(four, vector);
      v128.store(values, four);
    }
    const first = f64x2.promote_low_f32x4(four);
    const second = f64x2.promote_low_f32x4(i64x2.shuffle(four, four, 1, 1));
    low = f64x2.add(low, f64x2.mul(first, first));
    high = f64x2.add(high, f64x2.mul(second, second));
    values += 16;
  }
  let lane0 = f64x2.extract_lane(low, 0);
  let lane1 = f64x2.extract_lane(low, 1);
  let lane2 = f64x2.extract_lane(high, 0);
  const rest = count & 3;
  if (rest > 0) lane0 += squareAt(values, by, scales);
  if (rest > 1) lane1 += squareAt(values + 4, by, scales);
  if (rest > 2) lane2 += squareAt(values + 8, by, scales);
  return lane0 + lane1 + (lane2 + f64x2.extract_lane(high, 1));
}

@inline
function squareAt(address: usize, by: f32, scales: bool): f64 {
  let value = load<f32>(address);
  if (scales) {
    value *= by;
    store<f32>(address, value);
  }
  return <f64>value * <f64>value;
}
