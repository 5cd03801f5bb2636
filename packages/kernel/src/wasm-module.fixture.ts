/** The built modules on a memory of their own. Not part of the package, which loads nothing itself. */
import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import type { LinearMemory } from './linear-memory.js';
import { WASM_MEMORY_IMPORT } from './wasm-kernel.js';

/** Of the WebAssembly interface of JavaScript, which the ES library of TypeScript does not describe, what is used here. */
interface WebAssemblyInterface {
  readonly Memory: new (limits: { initial: number; maximum: number; shared: true }) => SharedMemory;
  readonly Module: ModuleConstructor;
  validate(bytes: Uint8Array): boolean;
  readonly Instance: new (module: object, imports: object) => { readonly exports: object };
}

interface SharedMemory extends LinearMemory {
  readonly buffer: SharedArrayBuffer;
}

interface ModuleConstructor {
  new (bytes: Uint8Array): object;
  imports(module: object): readonly { readonly module: string; readonly name: string; readonly kind: string }[];
  exports(module: object): readonly { readonly name: string; readonly kind: string }[];
}

// Every supported Node version has WebAssembly with SIMD and threads.
const { WebAssembly } = globalThis as unknown as { readonly WebAssembly: WebAssemblyInterface };

export const wasmBytes: Uint8Array = readFileSync(new URL('../kernel.wasm', import.meta.url));
export const fusedWasmBytes: Uint8Array = readFileSync(new URL('../kernel-fma.wasm', import.meta.url));

// Node 20 has relaxed SIMD behind this flag; later ones have it without, and do not know the flag.
if (!WebAssembly.validate(fusedWasmBytes)) setFlagsFromString('--experimental-wasm-relaxed-simd');

/** What a module says of itself. */
export const wasmImports = (bytes: Uint8Array) => WebAssembly.Module.imports(new WebAssembly.Module(bytes));
export const wasmExports = (bytes: Uint8Array) => WebAssembly.Module.exports(new WebAssembly.Module(bytes));

/** A memory that any number of instances may share. */
export function wasmMemory(pages: number): SharedMemory {
  return new WebAssembly.Memory({ initial: pages, maximum: WASM_MEMORY_IMPORT.maximumPages, shared: true });
}

/** The exports of an instance of a module over `memory`. */
export function wasmInstance(bytes: Uint8Array, memory: SharedMemory): object {
  const { module, name } = WASM_MEMORY_IMPORT;
  return new WebAssembly.Instance(new WebAssembly.Module(bytes), { [module]: { [name]: memory } }).exports;
}
