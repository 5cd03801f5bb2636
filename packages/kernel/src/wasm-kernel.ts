import { createKernel } from './create-kernel.js';
import type { Kernel } from './kernel.js';
import { KERNEL_IDS } from './kernel-ids.js';
import type { LinearMemory } from './linear-memory.js';
import { type Routines, withOnce } from './routines.js';

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
 * The kernel on an instance of `dist/packages/kernel/kernel.wasm` or `kernel-fma.wasm`, which the caller has loaded and
 * given `memory`.
 * @param exports the instance's exports
 * @param id of another kernel that is made of the module's routines
 * @param wrap what stands between the kernel and the module's routines, such as `teamRoutines`
 * @throws TypeError when `exports` are not those of this version's module
 */
export function createWasmKernel(
  exports: object,
  memory: LinearMemory,
  id: string = KERNEL_IDS.wasm,
  wrap: (routines: Routines) => Routines = (routines) => routines,
): Kernel {
  assertRoutines(exports);
  return createKernel(id, memory, wrap(withOnce(exports)));
}

/**
 * Does the multiply-add of this instance's products round once? Asks for (1 + 2⁻¹²)² - (1 + 2⁻¹¹), which is 2⁻²⁴: a
 * product rounded on its own has lost that bit already.
 * @param exports of either module
 */
export function isMultiplyAddFused(exports: object): boolean {
  const probe: unknown = new Map<string, unknown>(Object.entries(exports)).get('probeMultiplyAdd');
  if (typeof probe !== 'function') throw new TypeError('the module lacks probeMultiplyAdd: build again');
  const factor = 1 + 2 ** -12;
  return probe(-(1 + 2 ** -11), factor, factor) === 2 ** -24;
}

/** What the module has of them. */
type Exported = Omit<Routines, 'once'>;

const ROUTINE_NAMES: Readonly<Record<keyof Exported, true>> = {
  multiply: true,
  addBias: true,
  activate: true,
  activateBackward: true,
  gelu: true,
  geluBackward: true,
  softmax: true,
  softmaxBackward: true,
  dropout: true,
  layerNorm: true,
  layerNormBackward: true,
  sumRows: true,
  meanSquaredError: true,
  huber: true,
  binaryCrossEntropy: true,
  softmaxCrossEntropy: true,
  hinge: true,
  multiClassHinge: true,
  fold: true,
  scale: true,
  squareSum: true,
  scaleSquareSum: true,
  sgd: true,
  momentum: true,
  adagrad: true,
  rmsprop: true,
  adam: true,
  lambDirection: true,
  sampleIndexes: true,
  gatherRows: true,
  toBfloat16: true,
  fromBfloat16: true,
  roundToBfloat16: true,
  foldBfloat16: true,
  toInt8: true,
  fromInt8: true,
  foldInt8: true,
  hash: true,
};

function assertRoutines(exports: object): asserts exports is Exported {
  const found = new Map<string, unknown>(Object.entries(exports));
  const missing = Object.keys(ROUTINE_NAMES).filter((name) => typeof found.get(name) !== 'function');
  if (missing.length > 0) {
    throw new TypeError(
      `the kernel's module lacks ${missing.join(', ')}: it was built from other sources; build again`,
    );
  }
}
