import { createKernel } from './create-kernel.js';
import type { Kernel } from './kernel.js';
import { KERNEL_IDS } from './kernel-ids.js';
import { type LinearMemory, memoryViews } from './linear-memory.js';
import { activate, activateBackward, addBias } from './plain/activations.js';
import { adam, fold, momentum, scale, sgd, squareSum } from './plain/elementwise.js';
import { binaryCrossEntropy, meanSquaredError, softmaxCrossEntropy } from './plain/losses.js';
import { multiply, sumRows } from './plain/multiply.js';
import { xxh64 } from './plain/xxh64.js';
import type { Routines } from './routines.js';

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
  const routines: Routines = {
    multiply: (...operands) => multiply(views(), ...operands),
    addBias: (...operands) => addBias(views(), ...operands),
    activate: (...operands) => activate(views(), ...operands),
    activateBackward: (...operands) => activateBackward(views(), ...operands),
    sumRows: (...operands) => sumRows(views(), ...operands),
    meanSquaredError: (...operands) => meanSquaredError(views(), ...operands),
    binaryCrossEntropy: (...operands) => binaryCrossEntropy(views(), ...operands),
    softmaxCrossEntropy: (...operands) => softmaxCrossEntropy(views(), ...operands),
    fold: (...operands) => fold(views(), ...operands),
    scale: (...operands) => scale(views(), ...operands),
    squareSum: (...operands) => squareSum(views(), ...operands),
    sgd: (...operands) => sgd(views(), ...operands),
    momentum: (...operands) => momentum(views(), ...operands),
    adam: (...operands) => adam(views(), ...operands),
    hash: (address, bytes) => xxh64(views().bytes.subarray(address, address + bytes)),
  };
  return createKernel(KERNEL_IDS.js, memory, wrap(routines));
}
