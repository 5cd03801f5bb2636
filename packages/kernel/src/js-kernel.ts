import { createKernel } from './create-kernel.js';
import type { Kernel } from './kernel.js';
import { KERNEL_IDS } from './kernel-ids.js';
import { type LinearMemory, memoryViews } from './linear-memory.js';
import { activate, activateBackward, addBias } from './plain/activations.js';
import { foldBfloat16, fromBfloat16, roundToBfloat16, toBfloat16 } from './plain/bfloat16.js';
import { dropout } from './plain/dropout.js';
import { fold, scale, scaleSquareSum, squareSum } from './plain/elementwise.js';
import { gelu, geluBackward } from './plain/gelu.js';
import { hinge, multiClassHinge } from './plain/hinge.js';
import { foldInt8, fromInt8, toInt8 } from './plain/int8.js';
import { layerNorm, layerNormBackward } from './plain/layer-norm.js';
import { binaryCrossEntropy, huber, meanSquaredError, softmaxCrossEntropy } from './plain/losses.js';
import { multiply, sumRows } from './plain/multiply.js';
import { adagrad, adam, lambDirection, momentum, rmsprop, sgd } from './plain/optimizers.js';
import { gatherRows, sampleIndexes } from './plain/sample-rows.js';
import { softmax, softmaxBackward } from './plain/softmax.js';
import { xxh64 } from './plain/xxh64.js';
import { type Routines, withOnce } from './routines.js';

/**
 * The plain twin: readable float32 loops that give the very bits of the WebAssembly kernel, anywhere JavaScript runs.
 * `memory` may be shared and may grow.
 * @param wrap what stands between the kernel and these routines, such as `teamRoutines`
 */
export function createJsKernel(
  memory: LinearMemory,
  wrap: (routines: Routines) => Routines = (routines) => routines,
): Kernel {
  const views = memoryViews(memory);
  const routines = withOnce({
    multiply: (...operands) => multiply(views(), ...operands),
    addBias: (...operands) => addBias(views(), ...operands),
    activate: (...operands) => activate(views(), ...operands),
    activateBackward: (...operands) => activateBackward(views(), ...operands),
    gelu: (...operands) => gelu(views(), ...operands),
    geluBackward: (...operands) => geluBackward(views(), ...operands),
    softmax: (...operands) => softmax(views(), ...operands),
    softmaxBackward: (...operands) => softmaxBackward(views(), ...operands),
    dropout: (...operands) => dropout(views(), ...operands),
    layerNorm: (...operands) => layerNorm(views(), ...operands),
    layerNormBackward: (...operands) => layerNormBackward(views(), ...operands),
    sumRows: (...operands) => sumRows(views(), ...operands),
    meanSquaredError: (...operands) => meanSquaredError(views(), ...operands),
    huber: (...operands) => huber(views(), ...operands),
    binaryCrossEntropy: (...operands) => binaryCrossEntropy(views(), ...operands),
    softmaxCrossEntropy: (...operands) => softmaxCrossEntropy(views(), ...operands),
    hinge: (...operands) => hinge(views(), ...operands),
    multiClassHinge: (...operands) => multiClassHinge(views(), ...operands),
    fold: (...operands) => fold(views(), ...operands),
    scale: (...operands) => scale(views(), ...operands),
    squareSum: (...operands) => squareSum(views(), ...operands),
    scaleSquareSum: (...operands) => scaleSquareSum(views(), ...operands),
    sgd: (...operands) => sgd(views(), ...operands),
    momentum: (...operands) => momentum(views(), ...operands),
    adagrad: (...operands) => adagrad(views(), ...operands),
    rmsprop: (...operands) => rmsprop(views(), ...operands),
    adam: (...operands) => adam(views(), ...operands),
    lambDirection: (...operands) => lambDirection(views(), ...operands),
    sampleIndexes: (...operands) => sampleIndexes(views(), ...operands),
    gatherRows: (...operands) => gatherRows(views(), ...operands),
    toBfloat16: (...operands) => toBfloat16(views(), ...operands),
    fromBfloat16: (...operands) => fromBfloat16(views(), ...operands),
    roundToBfloat16: (...operands) => roundToBfloat16(views(), ...operands),
    foldBfloat16: (...operands) => foldBfloat16(views(), ...operands),
    toInt8: (...operands) => toInt8(views(), ...operands),
    fromInt8: (...operands) => fromInt8(views(), ...operands),
    foldInt8: (...operands) => foldInt8(views(), ...operands),
    hash: (address, bytes) => xxh64(views().bytes.subarray(address, address + bytes)),
  });
  return createKernel(KERNEL_IDS.js, memory, wrap(routines));
}
