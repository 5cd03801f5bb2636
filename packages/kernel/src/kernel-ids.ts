/** Id of each implementation. The number rises with any change that alters a bit; a run never mixes ids. */
export const KERNEL_IDS = { js: 'js/1', wasm: 'wasm-simd128/1' } as const;
