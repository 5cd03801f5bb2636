import { createKernel } from './create-kernel.js';
import type { Kernel } from './kernel.js';
import { KERNEL_IDS } from './kernel-ids.js';
import type { LinearMemory } from './linear-memory.js';
import type { Routines } from './routines.js';

/**
 * The one import of `kernel.wasm`: a shared WebAssembly.Memory of at most `maximumPages` pages under this module and
 * name. Many instances, one a thread, may import the same memory: the module keeps no state in it.
 *
 *     new WebAssembly.Instance(module, { [WASM_MEMORY_IMPORT.module]: { [WASM_MEMORY_IMPORT.name]: memory } })
 */
export const WASM_MEMORY_IMPORT = { module: 'env', name: 'memory', minimumPages: 1, maximumPages: 65536 } as const;

/**
 * Bytes at the start of the memory that no tensor may use. The module has no static data; but address 0 says "no
 * gradient wanted" to the losses. Nor may a tensor end at 4 GiB exactly: an end address has to fit 32 bits.
 */
export const KERNEL_RESERVED_BYTES = 64;

/**
 * The kernel on an instance of `dist/packages/kernel/kernel.wasm`, which the caller has loaded and given `memory`.
 * @param exports the instance's exports
 * @param wrap what stands between the kernel and the module's routines, such as `teamRoutines`
 * @throws TypeError when `exports` are not those of this version's module
 */
export function createWasmKernel(
  exports: object,
  memory: LinearMemory,
  wrap: (routines: Routines) => Routines = (routines) => routines,
): Kernel {
  assertRoutines(exports);
  return createKernel(KERNEL_IDS.wasm, memory, wrap(exports));
}

const ROUTINE_NAMES: Readonly<Record<keyof Routines, true>> = {
  multiply: true,
  addBias: true,
  activate: true,
  activateBackward: true,
  sumRows: true,
  meanSquaredError: true,
  binaryCrossEntropy: true,
  softmaxCrossEntropy: true,
  fold: true,
  scale: true,
  squareSum: true,
  sgd: true,
  momentum: true,
  adam: true,
  hash: true,
};

function assertRoutines(exports: object): asserts exports is Routines {
  const found = new Map<string, unknown>(Object.entries(exports));
  const missing = Object.keys(ROUTINE_NAMES).filter((name) => typeof found.get(name) !== 'function');
  if (missing.length > 0) {
    throw new TypeError(`kernel.wasm lacks ${missing.join(', ')}: it was built from other sources; build again`);
  }
}
