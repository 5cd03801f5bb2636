/**
 * The WebAssembly twin of `src/plain`: the routines of `src/routines.ts`, bit for bit, on 128-bit vectors.
 *
 * Many instances of this module share one memory, so it keeps nothing in it: no static data, no stack, no allocation.
 *
 * Compiled twice. `kernel.wasm` has no relaxed SIMD, whose roundings depend on the processor. `kernel-fma.wasm` has it,
 * for one operation: the multiply-add of the matrix product (`multiply-add.ts`).
 */

export { activate, activateBackward, addBias, sumRows } from './activations';
export { foldBfloat16, fromBfloat16, roundToBfloat16, toBfloat16 } from './bfloat16';
export { dropout } from './dropout';
export { fold, scale, scaleSquareSum, squareSum } from './elementwise';
export { gelu, geluBackward } from './gelu';
export { hash } from './hash';
export { hinge, multiClassHinge } from './hinge';
export { foldInt8, fromInt8, toInt8 } from './int8';
export { layerNorm, layerNormBackward } from './layer-norm';
export { binaryCrossEntropy, huber, meanSquaredError, softmaxCrossEntropy } from './losses';
export { multiply } from './multiply';
export { probeMultiplyAdd } from './multiply-add';
export { adagrad, adam, lambDirection, momentum, rmsprop, sgd } from './optimizers';
export { gatherRows, sampleIndexes } from './sample-rows';
export { softmax, softmaxBackward } from './softmax';
