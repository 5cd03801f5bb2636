import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * Gives the memory of engines that were closed, and are referred to by nobody, back to the system.
 *
 * A shared WebAssembly memory can't be freed; it goes when the garbage collector finds that nobody has it. V8 doesn't
 * count its bytes, so to it there is nothing to collect: a worker kept the memory of three runs, one after the other.
 * Takes some milliseconds, for a process that is between two runs.
 *
 * V8 hands its `gc` to contexts made while the flag is set. (The inspector's `HeapProfiler.collectGarbage`, which needs no
 * flag, never answers a session of its own thread: measured on Node 20.20.)
 */
export function collectClosedMemory(): void {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  setFlagsFromString('--no-expose-gc');
  if (typeof collect === 'function') collect(); // else the memory waits for V8's own next collection
}
