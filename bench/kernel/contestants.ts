/** The kernels of this machine, side by side over one memory. */
import { KERNEL_NAMES, type KernelName, KernelUnavailableError } from '#engine';
import type { Kernel, Routines } from '#kernel';
import { instantiateKernel, type LoadedKernel, loadKernel } from '../../packages/engine/src/kernel-loading.js';
import { createSharedMemory, floatsAt, type SharedMemory } from '../../packages/engine/src/linear-memory.js';

export interface Absent {
  readonly kernel: KernelName;
  readonly reason: string;
  readonly fix: string;
}

export interface FoundKernels {
  readonly loaded: readonly LoadedKernel[];
  readonly absent: readonly Absent[];
}

/** @param blasLibrary the one file to take OpenBLAS from */
export async function findKernels(blasLibrary: string | undefined): Promise<FoundKernels> {
  const loaded: LoadedKernel[] = [];
  const absent: Absent[] = [];
  for (const kernel of KERNEL_NAMES) {
    try {
      loaded.push(await loadKernel({ kernel, ...(blasLibrary === undefined ? {} : { blasLibrary }) }));
    } catch (error) {
      if (!(error instanceof KernelUnavailableError)) throw error;
      absent.push({ kernel, reason: error.what, fix: error.fix });
    }
  }
  return { loaded, absent };
}

/** A kernel of the calling thread. */
export interface Contestant {
  readonly name: KernelName;
  readonly kernel: Kernel;
  /** The same with everything but its products left out; the loss stays, or each run would begin with the last one's gradients. */
  readonly productsOnly: Kernel;
  readonly routines: Routines;
  /** Milliseconds spent in matrix products so far, of those that the kernel called. */
  productMs(): number;
}

/** Makes a kernel over `memory` as a kernel thread does. */
export async function openContestant(memory: SharedMemory, loaded: LoadedKernel): Promise<Contestant> {
  let captured: Routines | undefined;
  let productMs = 0;
  const kernel = await instantiateKernel(memory, loaded, undefined, (routines) => {
    captured = routines;
    const multiply: Routines['multiply'] = (...operands) => {
      const startedAt = performance.now();
      routines.multiply(...operands);
      productMs += performance.now() - startedAt;
    };
    return { ...routines, multiply };
  });
  if (captured === undefined) throw new Error(`kernel ${loaded.name} was made of no routines`);
  const productsOnly = await instantiateKernel(memory, loaded, undefined, onlyProducts);
  return { name: loaded.name, kernel, productsOnly, routines: captured, productMs: () => productMs };
}

function onlyProducts(routines: Routines): Routines {
  const nothing = (): void => undefined;
  return { ...routines, addBias: nothing, activate: nothing, activateBackward: nothing, sumRows: nothing };
}

/** Hands out pieces of a memory made for a benchmark. */
export interface Arena {
  readonly memory: SharedMemory;
  /** A buffer that begins a cache line. */
  take(bytes: number): number;
  floats(address: number, count: number): Float32Array;
}

/** @param bytes all that will be taken, with 64 more for each buffer */
export function createArena(bytes: number): Arena {
  const memory = createSharedMemory(bytes + 128);
  let end = 64; // address 0 means that no gradient is wanted
  return {
    memory,
    take(size) {
      const address = end;
      end += Math.ceil(size / 64) * 64;
      if (end > memory.buffer.byteLength) throw new RangeError('the benchmark takes more memory than it asked for');
      return address;
    },
    floats: (address, count) => floatsAt(memory, address, count),
  };
}
