/**
 * OpenBLAS, found on this machine when it is asked for and called through koffi. Nothing here is loaded before that.
 *
 * OpenBLAS is not part of this project: it comes from the system (`apt-get install libopenblas0-pthread`).
 */
import { KernelUnavailableError } from './engine-errors.js';
import type { SharedMemory } from './linear-memory.js';

/** `cblas_sgemm`, matrices row after row, operands as addresses in this process. */
export type Sgemm = (
  order: number,
  transposeLeft: number,
  transposeRight: number,
  rows: number,
  columns: number,
  depth: number,
  alpha: number,
  left: number,
  leftStride: number,
  right: number,
  rightStride: number,
  beta: number,
  into: number,
  intoStride: number,
) => void;

export interface BlasLibrary {
  /** What the dynamic linker found it by. */
  readonly path: string;
  /** For example `OpenBLAS 0.3.21, Cooperlake`. */
  readonly description: string;
  /** Names everything that decides over bits: library, version, and the processor type its loops were chosen for. */
  readonly kernelId: string;
  /** Threads that may be in the library at once; more would end the process. */
  readonly mostThreads: number;
  readonly sgemm: Sgemm;
  /** Where a shared memory starts in this process. It never moves, however it grows. */
  addressOf(memory: SharedMemory): number;
  /**
   * Asks Linux to back a memory with pages of 2 MiB from now on, as numpy does for its arrays: the rows of a large matrix
   * lie on as many small pages, whose addresses cost 2 to 5 % of a product. An advice: elsewhere, and where the system
   * does not take it, everything is as before.
   */
  adviseHugePages(memory: SharedMemory): void;
}

/** `MADV_HUGEPAGE` of Linux's sys/mman.h. */
const ADVICE_HUGE_PAGES = 14;

/** Where distributions put it: by the linker's search path first, then the places that are not always on it. */
const CANDIDATES = [
  'libopenblas.so.0',
  'libopenblas.so',
  'libopenblasp.so.0', // Fedora's build with threads
  '/usr/lib/x86_64-linux-gnu/openblas-pthread/libopenblas.so.0',
  '/usr/lib/aarch64-linux-gnu/openblas-pthread/libopenblas.so.0',
  '/opt/homebrew/opt/openblas/lib/libopenblas.dylib',
  '/usr/local/opt/openblas/lib/libopenblas.dylib',
] as const;

const FIX =
  'install it ("apt-get install libopenblas0-pthread"), name its file in ROPETEAM_BLAS_LIBRARY, or use --kernel wasm';

/**
 * Loads the library into this process and has it compute on the calling thread alone. Each thread opens it for itself;
 * the first one pays (some 40 ms), the others get what is there.
 * @param path the only file to try; undefined: the usual names and places
 * @throws KernelUnavailableError when there is none that can be used
 */
export async function openBlas(path?: string): Promise<BlasLibrary> {
  const koffi = await importKoffi();
  const refusals = new Map<string, string>();
  for (const candidate of path === undefined ? CANDIDATES : [path]) {
    try {
      return bind(koffi, candidate);
    } catch (error) {
      refusals.set(candidate, error instanceof Error ? error.message : String(error));
    }
  }
  // Of files that are simply not there, one line is enough; one that is there and no good is worth its reason.
  const telling = [...refusals].filter(
    ([, message]) => path !== undefined || !/no such file|no such image/i.test(message),
  );
  const details = telling.map(([candidate, message]) => `; ${candidate}: ${message}`).join('');
  throw new KernelUnavailableError('blas', `no OpenBLAS was found${details}`, FIX);
}

type Koffi = typeof import('koffi');

async function importKoffi(): Promise<Koffi> {
  try {
    return await import('koffi');
  } catch (cause) {
    const message = `the package koffi, which calls native libraries, has no build for ${process.platform} ${process.arch}`;
    throw new KernelUnavailableError('blas', message, 'use --kernel wasm, or reinstall the packages', cause);
  }
}

/** @throws Error from koffi when the file or one of its functions is not there, and when it is a build of no use */
function bind(koffi: Koffi, path: string): BlasLibrary {
  const library = koffi.load(path);
  // koffi types every function alike; these are the signatures of OpenBLAS's cblas.h, with 32-bit blasint.
  const parallel = library.func('int openblas_get_parallel()') as () => number;
  const config = (library.func('const char *openblas_get_config()') as () => string)();
  const core = (library.func('const char *openblas_get_corename()') as () => string)();
  const limitThreads = library.func('void openblas_set_num_threads(int)') as (threads: number) => void;
  const sgemm = library.func(
    'void cblas_sgemm(int, int, int, int, int, int, float, uintptr_t, int, uintptr_t, int, float, uintptr_t, int)',
  ) as Sgemm;
  // The library's own dependency on the C library is enough to find it there.
  const advise =
    process.platform === 'linux'
      ? (library.func('int madvise(uintptr_t, size_t, int)') as (
          begin: number,
          bytes: number,
          advice: number,
        ) => number)
      : undefined;
  // Below 2^53 on every system there is.
  const addressOf = (memory: SharedMemory) => Number(koffi.address(new Uint8Array(memory.buffer)));
  const version = /^OpenBLAS (\S+)/.exec(config)?.[1];
  if (version === undefined) throw new Error(`it calls itself ${JSON.stringify(config)}`);
  if (config.includes('USE64BITINT')) throw new Error('it is a build with 64-bit integers');
  if (parallel() === 0) throw new Error('it is a build for one thread, which several may not call at once');
  limitThreads(1);
  return {
    path,
    description: `OpenBLAS ${version}, ${core}`,
    kernelId: `blas-openblas-${idPart(version)}-${idPart(core)}/2`,
    mostThreads: Number(/MAX_THREADS=(\d+)/.exec(config)?.[1] ?? 1),
    sgemm,
    addressOf,
    adviseHugePages: (memory) => void advise?.(addressOf(memory), memory.buffer.byteLength, ADVICE_HUGE_PAGES),
  };
}

const idPart = (text: string): string => text.toLowerCase().replaceAll(/[^a-z0-9.]+/g, '-');
