import { WASM_MEMORY_IMPORT } from '#kernel';

const PAGE_BYTES = 65_536;

/** A `WebAssembly.Memory` that threads share, which is how both kernels see their numbers. */
export interface SharedMemory {
  readonly buffer: SharedArrayBuffer;
  /** @returns pages before */
  grow(pages: number): number;
}

/** Of the WebAssembly interface of JavaScript, which the ES library of TypeScript does not describe, what is used here. */
interface WebAssemblyInterface {
  readonly Memory: new (descriptor: { initial: number; maximum: number; shared: true }) => SharedMemory;
  validate(bytes: Uint8Array): boolean;
  compile(bytes: Uint8Array): Promise<object>;
  readonly Instance: new (module: object, imports: object) => { readonly exports: object };
}

/** Every Node has it; only the type is missing. */
const { WebAssembly } = globalThis as unknown as { readonly WebAssembly: WebAssemblyInterface };

/** Does this Node.js, with the flags it has now, know everything the module uses? */
export const isValidWasm = (bytes: Uint8Array): boolean => WebAssembly.validate(bytes);

export const compileWasm = (bytes: Uint8Array): Promise<object> => WebAssembly.compile(bytes);

/** An instance of a compiled module over `memory`; each thread has one. @returns its exports */
export function instantiateWasm(module: object, memory: SharedMemory): object {
  const imports = { [WASM_MEMORY_IMPORT.module]: { [WASM_MEMORY_IMPORT.name]: memory } };
  return new WebAssembly.Instance(module, imports).exports;
}

/**
 * A shared memory of at least `bytes` that may grow to all a 32-bit address reaches. Address space is reserved for all
 * of it, so it never moves and views stay valid when it grows; pages nobody wrote to cost no RAM.
 * @throws Error when the system has no such memory
 */
export function createSharedMemory(bytes: number): SharedMemory {
  try {
    return new WebAssembly.Memory({
      initial: Math.ceil(bytes / PAGE_BYTES),
      maximum: WASM_MEMORY_IMPORT.maximumPages,
      shared: true,
    });
  } catch (cause) {
    throw notGranted(bytes, cause);
  }
}

/** Grows `memory`, if need be, until it holds `bytes`. */
export function growTo(memory: SharedMemory, bytes: number): void {
  const missing = Math.ceil((bytes - memory.buffer.byteLength) / PAGE_BYTES);
  if (missing <= 0) return;
  try {
    memory.grow(missing);
  } catch (cause) {
    throw notGranted(bytes, cause);
  }
}

const notGranted = (bytes: number, cause: unknown): Error =>
  new Error(
    `the system did not grant ${bytes} bytes of kernel memory; free memory, or raise the limit on address space ` +
      '("ulimit -v": some 10 GiB are reserved, though not used, for each engine)',
    { cause },
  );

export function bytesAt(memory: SharedMemory, address: number, count: number): Uint8Array<SharedArrayBuffer> {
  return new Uint8Array(memory.buffer, address, count);
}

export function floatsAt(memory: SharedMemory, address: number, count: number): Float32Array<SharedArrayBuffer> {
  return new Float32Array(memory.buffer, address, count);
}
