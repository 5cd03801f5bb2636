/**
 * Id of each implementation. The number rises with any change that alters a bit; a run never mixes ids.
 *
 * `wasm-fma/1` is a multiply-add rounded once, on whatever processor: one that rounds twice does not get this id.
 * A kernel whose products come from a native library has the id its loader gives it: its bits are the library's.
 */
export const KERNEL_IDS = { js: 'js/1', wasm: 'wasm-simd128/1', 'wasm-fma': 'wasm-fma/1' } as const;
