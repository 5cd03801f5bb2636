/** Vectors at the end of a range, where fewer than four floats are left. Missing lanes read as zero, are never written. */

@inline
export function loadSome(address: usize, count: i32): v128 {
  let vector = v128.load32_zero(address);
  if (count > 1) vector = v128.load_lane<f32>(address, vector, 1, 4);
  if (count > 2) vector = v128.load_lane<f32>(address, vector, 2, 8);
  return vector;
}

@inline
export function storeSome(address: usize, vector: v128, count: i32): void {
  v128.store_lane<f32>(address, vector, 0);
  if (count > 1) v128.store_lane<f32>(address, vector, 1, 4);
  if (count > 2) v128.store_lane<f32>(address, vector, 2, 8);
}

/** All bits set in the first `count` lanes, none in the others. */
@inline
export function firstLanes(count: i32): v128 {
  return i32x4.lt_s(i32x4(0, 1, 2, 3), i32x4.splat(count));
}

/** (lane 0 + lane 1) + (lane 2 + lane 3): what all sums in four lanes end with. */
@inline
export function joinLanes(sums: v128): f32 {
  return (
    f32x4.extract_lane(sums, 0) +
    f32x4.extract_lane(sums, 1) +
    (f32x4.extract_lane(sums, 2) + f32x4.extract_lane(sums, 3))
  );
}
