/** One row of a register tile, on its way to memory: eight columns, in two vectors. */

@inline
export function storeRow(into: usize, low: v128, high: v128): void {
  v128.store(into, low);
  v128.store(into, high, 16);
}
