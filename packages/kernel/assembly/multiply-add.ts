/**
 * The one operation in which the two modules differ: sum + a · b, rounded twice (`kernel.wasm`) or once, fused
 * (`kernel-fma.wasm`, compiled with relaxed SIMD). Everything outside the matrix product is the same in both.
 */

@inline
export function multiplyAdd(sum: v128, a: v128, b: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? f32x4.relaxed_madd(a, b, sum) : f32x4.add(sum, f32x4.mul(a, b));
}

/** Of single floats. WebAssembly fuses only vectors, so it is the first lane of one. */
@inline
export function multiplyAddOne(sum: f32, a: f32, b: f32): f32 {
  return ASC_FEATURE_RELAXED_SIMD
    ? f32x4.extract_lane(f32x4.relaxed_madd(f32x4.splat(a), f32x4.splat(b), f32x4.splat(sum)), 0)
    : sum + a * b;
}

/** For whoever loads the module to see how often this machine rounds; arguments, so that no compiler knows the answer. */
export function probeMultiplyAdd(sum: f32, a: f32, b: f32): f32 {
  return multiplyAddOne(sum, a, b);
}
