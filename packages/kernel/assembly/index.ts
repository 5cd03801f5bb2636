/**
 * The WebAssembly twin of `src/plain`: the routines of `src/routines.ts`, bit for bit, on 128-bit vectors.
 *
 * Many instances of this module share one memory, so it keeps nothing in it: no static data, no stack, no allocation.
 *
 * Compiled twice. `kernel.wasm` has no relaxed SIMD, whose roundings depend on the processor. `kernel-fma.wasm` has it,
 * for one operation: the multiply-add of the matrix product (`multiply-add.ts`).
 */

export { activate, activateBackward, addBias, sumRows } from './activations';
export { fold, scale, squareSum } from './elementwise';
export { hash } from './hash';
export { binaryCrossEntropy, meanSquaredError, softmaxCrossEntropy } from './losses';
export { multiply } from './multiply';
export { probeMultiplyAdd } from './multiply-add';
export { adam, momentum, sgd } from './optimizers';
