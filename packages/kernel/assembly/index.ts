/**
 * The WebAssembly twin of `src/plain`: the routines of `src/routines.ts`, bit for bit, on 128-bit vectors.
 *
 * Many instances of this module share one memory, so it keeps nothing in it: no static data, no stack, no allocation.
 * There is no fused multiply-add and no relaxed SIMD, whose roundings depend on the processor.
 */

export { activate, activateBackward, addBias, sumRows } from './activations';
export { foldBfloat16, toBfloat16 } from './bfloat16';
export { fold, scale, scaleSquareSum, squareSum } from './elementwise';
export { hash } from './hash';
export { foldInt8, toInt8 } from './int8';
export { binaryCrossEntropy, meanSquaredError, softmaxCrossEntropy } from './losses';
export { multiply } from './multiply';
export { adagrad, adam, lambDirection, momentum, rmsprop, sgd } from './optimizers';
