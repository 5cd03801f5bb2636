import type { Routines } from '#kernel';
import type { Sgemm } from './blas-library.js';

/** The values of cblas.h. */
const ROW_MAJOR = 101;
const AS_IT_LIES = 111;
const TRANSPOSED = 112;

/**
 * Multiply-adds below which a product stays in WebAssembly: the call (0.15 to 0.35 µs) would cost more than the faster
 * arithmetic saves. Measured on a Zen 4, GFLOP/s in WebAssembly and OpenBLAS: 8x8x8 13 and 4; 16x16x16 26 and 22;
 * 1x64x64 12 and 27; 8x64x10 18 and 35. Part of the definition of the result, since it chooses who rounds.
 */
export const LEAST_BLAS_TERMS = 4096;

/**
 * `Routines.multiply` by OpenBLAS, straight on the linear memory: the operands are named by where they lie.
 *
 * A library may add the terms of an element in another order when the product has another shape. So what is asked for
 * is passed on whole, as one call, and which way it goes follows from its shape alone: the same product has the same
 * bits, whoever computes it. Callers that share a product out must cut it by its shape too, never by threads.
 * @param base address of the linear memory in this process
 * @param small computes the products too small for a call
 */
export function blasMultiply(sgemm: Sgemm, base: number, small: Routines['multiply']): Routines['multiply'] {
  return (
    rows,
    columns,
    depth,
    left,
    leftRowStride,
    leftColumnStride,
    right,
    rightRowStride,
    rightColumnStride,
    into,
    intoRowStride,
    packing,
  ) => {
    if (rows * columns * depth < LEAST_BLAS_TERMS) {
      small(
        rows,
        columns,
        depth,
        left,
        leftRowStride,
        leftColumnStride,
        right,
        rightRowStride,
        rightColumnStride,
        into,
        intoRowStride,
        packing,
      );
      return;
    }
    // A single row's stride means nothing here, but cblas insists that rows do not overlap.
    const leftLies = leftColumnStride === 1;
    const rightLies = rightColumnStride === 1;
    sgemm(
      ROW_MAJOR,
      leftLies ? AS_IT_LIES : TRANSPOSED,
      rightLies ? AS_IT_LIES : TRANSPOSED,
      rows,
      columns,
      depth,
      1,
      base + left,
      leftLies ? Math.max(leftRowStride, depth) : Math.max(leftColumnStride, rows),
      base + right,
      rightLies ? Math.max(rightRowStride, columns) : Math.max(rightColumnStride, depth),
      0,
      base + into,
      intoRowStride,
    );
  };
}
