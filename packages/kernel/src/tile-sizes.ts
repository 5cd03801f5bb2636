/**
 * Sizes of the blocked matrix product, shared by all engines: the assembly imports this very file.
 * All in rows, columns or terms of the product, never bytes.
 */

/** Rows of the register tile of `kernel.wasm`; with 8 columns it keeps 8 vector accumulators. */
export const PLAIN_TILE_ROWS = 4;
/** Rows of the register tile of `kernel-fma.wasm`: 12 accumulators. */
export const FUSED_TILE_ROWS = 6;
/** Columns of either register tile: two vectors of four floats. */
export const TILE_COLUMNS = 8;
/**
 * Terms summed before a partial sum goes to memory. Part of the definition of the result: another value gives other
 * bits and therefore another kernel id.
 */
export const DEPTH_BLOCK = 256;
/**
 * Rows of the left operand packed at a time (120 x 256 floats stay in the L2 cache), a multiple of each tile's rows.
 * Never changes a bit.
 */
export const ROW_BLOCK = 120;
/**
 * Columns of the right operand packed at a time: 512 x 256 floats stay in the L2 cache too, beside the left block.
 * Measured against 2048 at layers of 2048 and 4096 units, medians of 21 turns: 1.02 to 1.10 times as fast for 128
 * samples, the same (0.96 to 1.03) for 512 and more; and 1.5 MiB less scratch for each thread. Never changes a bit.
 */
export const COLUMN_BLOCK = 512;
