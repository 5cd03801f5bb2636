import { readFile } from 'node:fs/promises';
import { createJsKernel, createWasmKernel, KERNEL_IDS, type Kernel, type Routines } from '#kernel';
import type { KernelName } from './engine.js';
import { compileWasm, instantiateWasm, type SharedMemory } from './linear-memory.js';

/** The id a kernel will have: part of the handshake and the ledger, because a run never mixes ids. */
export function kernelIdOf(kernel: KernelName): string {
  return KERNEL_IDS[kernel];
}

/** Where the build puts the kernel's WebAssembly module, seen from this file in `dist/`. */
const WASM_FILE = new URL('../../kernel/kernel.wasm', import.meta.url);

/** Compiles the module once a process; threads instantiate it. @returns a `WebAssembly.Module`; nothing for `js` */
export async function loadWasmModule(kernel: KernelName): Promise<object | undefined> {
  if (kernel === 'js') return undefined;
  try {
    return await compileWasm(await readFile(WASM_FILE));
  } catch (cause) {
    throw new Error(
      `the WebAssembly kernel ${WASM_FILE.pathname} could not be loaded; build the project ("npm run build"), ` +
        'use a Node.js of 20.19 or later on a CPU with SIMD, or the kernel "js"',
      { cause },
    );
  }
}

/**
 * The kernel of the calling thread, over the memory all threads share: WebAssembly where there is a module, else plain.
 * @param wrap what stands between the kernel and its routines, such as `teamRoutines`
 */
export function instantiateKernel(
  memory: SharedMemory,
  wasmModule: object | undefined,
  wrap?: (routines: Routines) => Routines,
): Kernel {
  if (wasmModule === undefined) return createJsKernel(memory, wrap);
  return createWasmKernel(instantiateWasm(wasmModule, memory), memory, wrap);
}
