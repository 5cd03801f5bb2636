/** The built module on a memory of its own. Not part of the package, which loads nothing itself. */
import { readFileSync } from 'node:fs';
import type { LinearMemory } from './linear-memory.js';
import { WASM_MEMORY_IMPORT } from './wasm-kernel.js';

/** Of the WebAssembly interface of JavaScript, which the ES library of TypeScript does not describe, what is used here. */
interface WebAssemblyInterface {
  readonly Memory: new (limits: { initial: number; maximum: number; shared: true }) => SharedMemory;
  readonly Module: ModuleConstructor;
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

/** What the module says of itself. */
export const wasmImports = () => WebAssembly.Module.imports(new WebAssembly.Module(wasmBytes));
export const wasmExports = () => WebAssembly.Module.exports(new WebAssembly.Module(wasmBytes));

/** An instance of the module and the memory it was given. */
export function wasmInstance(memoryPages: number): { readonly memory: SharedMemory; readonly exports: object } {
  const { module, name, maximumPages } = WASM_MEMORY_IMPORT;
  const memory = new WebAssembly.Memory({ initial: memoryPages, maximum: maximumPages, shared: true });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(wasmBytes), { [module]: { [name]: memory } });
  return { memory, exports };
}
