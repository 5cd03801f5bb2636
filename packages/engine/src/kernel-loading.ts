/**
 * Getting a kernel ready: once a process what can be handed to threads (`loadKernel`), once a thread the kernel itself
 * (`instantiateKernel`). A kernel that this machine lacks is a `KernelUnavailableError` of `loadKernel`.
 */
import { readFile } from 'node:fs/promises';
import { setFlagsFromString } from 'node:v8';
import {
  ALONE,
  createJsKernel,
  createWasmKernel,
  isMultiplyAddFused,
  KERNEL_IDS,
  type Kernel,
  LIBRARY_CUT,
  multiplyInPieces,
  type Routines,
  type Team,
  teamRoutines,
} from '#kernel';
import { openBlas } from './blas-library.js';
import { blasMultiply } from './blas-multiply.js';
import type { KernelName } from './engine.js';
import { KernelUnavailableError } from './engine-errors.js';
import { compileWasm, createSharedMemory, instantiateWasm, isValidWasm, type SharedMemory } from './linear-memory.js';

export interface KernelSource {
  readonly kernel: KernelName;
  /** The one file to take OpenBLAS from; absent: the usual names and places. */
  readonly blasLibrary?: string;
}

/** A kernel that was found. Plain data and a compiled module: it can be handed to a thread. */
export interface LoadedKernel {
  readonly name: KernelName;
  /** Part of the handshake and the ledger, because a run never mixes ids. */
  readonly id: string;
  /** A `WebAssembly.Module`; absent: the plain kernel. */
  readonly module: object | undefined;
  /** Where OpenBLAS was found, for `blas`. */
  readonly blasPath: string | undefined;
  /** Threads that may use it at once. */
  readonly mostThreads: number;
  /** What of this machine decides over its bits, for people; absent: nothing does. */
  readonly description: string | undefined;
}

/** Where the build puts the WebAssembly modules, seen from this file in `dist/`. */
const WASM_FILE = new URL('../../kernel/kernel.wasm', import.meta.url);
const FMA_FILE = new URL('../../kernel/kernel-fma.wasm', import.meta.url);

/** @throws KernelUnavailableError when this machine lacks what the kernel needs */
export async function loadKernel({ kernel, blasLibrary }: KernelSource): Promise<LoadedKernel> {
  const found = { name: kernel, blasPath: undefined, mostThreads: Number.POSITIVE_INFINITY, description: undefined };
  switch (kernel) {
    case 'js':
      return { ...found, id: KERNEL_IDS.js, module: undefined };
    case 'wasm':
      return { ...found, id: KERNEL_IDS.wasm, module: await loadModule(kernel, WASM_FILE) };
    case 'wasm-fma':
      return { ...found, id: KERNEL_IDS['wasm-fma'], module: await loadFusedModule() };
    case 'blas': {
      const { path, kernelId, mostThreads, description } = await openBlas(blasLibrary);
      const module = await loadModule(kernel, WASM_FILE);
      return { name: kernel, id: kernelId, module, blasPath: path, mostThreads, description };
    }
    default:
      return kernel satisfies never;
  }
}

/** @throws KernelUnavailableError for more threads than the kernel bears */
export function checkThreadLimit({ name, mostThreads }: LoadedKernel, threads: number): void {
  if (threads <= mostThreads) return;
  const what = `the library was built for at most ${mostThreads} threads, not ${threads}`;
  throw new KernelUnavailableError(name, what, `use --threads ${mostThreads}, or --kernel wasm`);
}

/**
 * The kernel of the calling thread, over the memory all threads share.
 * @param team whom it computes together with; absent: by itself
 * @param wrap what stands between the kernel and its routines: for benchmarks, which take it apart
 */
export async function instantiateKernel(
  memory: SharedMemory,
  loaded: LoadedKernel,
  team?: Team,
  wrap: (routines: Routines) => Routines = (routines) => routines,
): Promise<Kernel> {
  const { id, module, blasPath } = loaded;
  const shared = (routines: Routines): Routines => wrap(team === undefined ? routines : teamRoutines(routines, team));
  if (module === undefined) return createJsKernel(memory, shared);
  if (blasPath === undefined) return createWasmKernel(instantiateWasm(module, memory), memory, id, shared);
  const { sgemm, addressOf, adviseHugePages } = await openBlas(blasPath);
  adviseHugePages(memory); // before anything is written to it
  const exports = instantiateWasm(module, memory);
  const base = addressOf(memory);
  return createWasmKernel(exports, memory, id, (routines) => {
    const byBlas = { ...routines, multiply: blasMultiply(sgemm, base, routines.multiply) };
    // Cut in the same pieces alone as together: a library's sums may depend on the shape of a call.
    if (team === undefined) return wrap({ ...byBlas, multiply: multiplyInPieces(byBlas.multiply, ALONE, LIBRARY_CUT) });
    return wrap(teamRoutines(byBlas, team, LIBRARY_CUT));
  });
}

async function loadModule(kernel: KernelName, file: URL): Promise<object> {
  try {
    return await compileWasm(await readFile(file));
  } catch (cause) {
    const fix =
      'build the project ("npm run build"), use a Node.js of 20.19 or later on a CPU with SIMD, or the kernel "js"';
    throw new KernelUnavailableError(kernel, `${file.pathname} could not be loaded`, fix, cause);
  }
}

/** Node 20 has relaxed SIMD behind a flag that it takes at run time (NODE_OPTIONS refuses it); later ones just have it. */
async function loadFusedModule(): Promise<object> {
  const bytes = await readFile(FMA_FILE).catch((cause: unknown) => {
    const fix = 'build the project ("npm run build")';
    throw new KernelUnavailableError('wasm-fma', `${FMA_FILE.pathname} is not there`, fix, cause);
  });
  if (!isValidWasm(bytes) && process.versions.node.startsWith('20.')) {
    setFlagsFromString('--experimental-wasm-relaxed-simd');
  }
  const instead = 'use --kernel wasm';
  if (!isValidWasm(bytes)) {
    const what = `Node.js ${process.versions.node} has no relaxed SIMD on this processor`;
    throw new KernelUnavailableError('wasm-fma', what, `use Node.js 22 or later, or ${instead}`);
  }
  const module = await compileWasm(bytes);
  if (isMultiplyAddFused(instantiateWasm(module, createSharedMemory(1)))) return module;
  throw new KernelUnavailableError('wasm-fma', 'this processor has no fused multiply-add', instead);
}
