/** The register tile of 6 rows by 8 columns, product and sum rounded once. */
import { FUSED_TILE_ROWS, TILE_COLUMNS } from '../src/tile-sizes';
import { storeRow } from './tile-row';

/** See `multiplyTile`. */
export function multiplyFusedTile(depth: i32, left: usize, right: usize, into: usize, stride: usize): void {
  let c00 = f32x4.splat(0);
  let c01 = c00;
  let c10 = c00;
  let c11 = c00;
  let c20 = c00;
  let c21 = c00;
  let c30 = c00;
  let c31 = c00;
  let c40 = c00;
  let c41 = c00;
  let c50 = c00;
  let c51 = c00;
  const end = right + (<usize>depth << 5);
  while (right < end) {
    const b0 = v128.load(right);
    const b1 = v128.load(right, 16);
    const a0 = v128.load32_splat(left);
    c00 = f32x4.relaxed_madd(a0, b0, c00);
    c01 = f32x4.relaxed_madd(a0, b1, c01);
    const a1 = v128.load32_splat(left, 4);
    c10 = f32x4.relaxed_madd(a1, b0, c10);
    c11 = f32x4.relaxed_madd(a1, b1, c11);
    const a2 = v128.load32_splat(left, 8);
    c20 = f32x4.relaxed_madd(a2, b0, c20);
    c21 = f32x4.relaxed_madd(a2, b1, c21);
    const a3 = v128.load32_splat(left, 12);
    c30 = f32x4.relaxed_madd(a3, b0, c30);
    c31 = f32x4.relaxed_madd(a3, b1, c31);
    const a4 = v128.load32_splat(left, 16);
    c40 = f32x4.relaxed_madd(a4, b0, c40);
    c41 = f32x4.relaxed_madd(a4, b1, c41);
    const a5 = v128.load32_splat(left, 20);
    c50 = f32x4.relaxed_madd(a5, b0, c50);
    c51 = f32x4.relaxed_madd(a5, b1, c51);
    left += FUSED_TILE_ROWS << 2;
    right += TILE_COLUMNS << 2;
  }
  storeRow(into, c00, c01);
  into += stride;
  storeRow(into, c10, c11);
  into += stride;
  storeRow(into, c20, c21);
  into += stride;
  storeRow(into, c30, c31);
  into += stride;
  storeRow(into, c40, c41);
  into += stride;
  storeRow(into, c50, c51);
}
