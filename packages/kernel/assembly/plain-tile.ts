/** The register tile of 4 rows by 8 columns, product and sum rounded each. */
import { PLAIN_TILE_ROWS, TILE_COLUMNS } from '../src/tile-sizes';
import { storeRow } from './tile-row';

/** See `multiplyTile`. */
export function multiplyPlainTile(depth: i32, left: usize, right: usize, into: usize, stride: usize): void {
  let c00 = f32x4.splat(0);
  let c01 = c00;
  let c10 = c00;
  let c11 = c00;
  let c20 = c00;
  let c21 = c00;
  let c30 = c00;
  let c31 = c00;
  const end = right + (<usize>depth << 5);
  while (right < end) {
    const b0 = v128.load(right);
    const b1 = v128.load(right, 16);
    let a = v128.load32_splat(left);
    c00 = f32x4.add(c00, f32x4.mul(a, b0));
    c01 = f32x4.add(c01, f32x4.mul(a, b1));
    a = v128.load32_splat(left, 4);
    c10 = f32x4.add(c10, f32x4.mul(a, b0));
    c11 = f32x4.add(c11, f32x4.mul(a, b1));
    a = v128.load32_splat(left, 8);
    c20 = f32x4.add(c20, f32x4.mul(a, b0));
    c21 = f32x4.add(c21, f32x4.mul(a, b1));
    a = v128.load32_splat(left, 12);
    c30 = f32x4.add(c30, f32x4.mul(a, b0));
    c31 = f32x4.add(c31, f32x4.mul(a, b1));
    left += PLAIN_TILE_ROWS << 2;
    right += TILE_COLUMNS << 2;
  }
  storeRow(into, c00, c01);
  into += stride;
  storeRow(into, c10, c11);
  into += stride;
  storeRow(into, c20, c21);
  into += stride;
  storeRow(into, c30, c31);
}
