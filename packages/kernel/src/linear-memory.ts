/** The part of `WebAssembly.Memory` the kernel needs. The memory may grow between two calls, which changes `buffer`. */
export interface LinearMemory {
  readonly buffer: ArrayBufferLike;
}

/** Whole-memory views of the current buffer, made anew when the memory has grown. */
export interface MemoryViews {
  readonly buffer: ArrayBufferLike;
  /** Index = byte address / 4. */
  readonly floats: Float32Array;
  /** The bits of `floats`. */
  readonly words: Uint32Array;
  /** Index = byte address / 2. */
  readonly halves: Uint16Array;
  /** Index = byte address / 8. */
  readonly doubles: Float64Array;
  readonly bytes: Uint8Array;
}

/** A function that gives the views of what `memory` is now. */
export function memoryViews(memory: LinearMemory): () => MemoryViews {
  let views = viewsOf(memory.buffer);
  return () => {
    const { buffer } = memory;
    if (buffer !== views.buffer) views = viewsOf(buffer);
    return views;
  };
}

function viewsOf(buffer: ArrayBufferLike): MemoryViews {
  return {
    buffer,
    floats: new Float32Array(buffer),
    words: new Uint32Array(buffer),
    halves: new Uint16Array(buffer),
    doubles: new Float64Array(buffer),
    bytes: new Uint8Array(buffer),
  };
}
