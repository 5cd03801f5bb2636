/**
 * The innermost loop of the matrix product: a tile of the result stays in vector registers while k runs. One file a
 * shape, because how many registers there are beside the accumulators decides everything, and V8 hands them out:
 *
 * - Multiply, then add: 4x8. V8 on Node 20 loads everything a turn of the loop needs before it multiplies: beside 8
 *   accumulators that fits 16 vector registers, beside the 10 of a 5x8 tile it spills. Measured, GFLOP/s in cache on one
 *   core of a Zen 4: 4x8 39 and 45 on Node 20 and 24; 5x8 24 and 46; 3x12 22 and 45. Unrolling the loop over k spills.
 * - Fused: 6x8. A product needs no register of its own, so twelve accumulators fit, and two loads serve six rows.
 *
 * The shape never changes a bit: each element's terms are added in the order of k.
 */
import { FUSED_TILE_ROWS, PLAIN_TILE_ROWS } from '../src/tile-sizes';
import { multiplyFusedTile } from './fused-tile';
import { multiplyPlainTile } from './plain-tile';

export const TILE_ROWS: i32 = ASC_FEATURE_RELAXED_SIMD ? FUSED_TILE_ROWS : PLAIN_TILE_ROWS;

/**
 * [TILE_ROWS, depth] · [depth, TILE_COLUMNS] from packed panels.
 * @param into corner of the tile in the result, whose rows are `stride` bytes apart
 */
@inline
export function multiplyTile(depth: i32, left: usize, right: usize, into: usize, stride: usize): void {
  if (ASC_FEATURE_RELAXED_SIMD) multiplyFusedTile(depth, left, right, into, stride);
  else multiplyPlainTile(depth, left, right, into, stride);
}
