import { setFlagsFromString } from 'node:v8';

/**
 * Tells V8 to collect this process's garbage in one go instead of in small steps. Call it first in a process that moves
 * frames all the time; collecting the few MB of objects of such a process takes some milliseconds either way.
 *
 * Every frame is several short-lived buffers outside V8's heap, most of them grpc-js's own. V8 counts them, and after
 * each 64 MB begins to mark the heap step by step beside the program: at 1 GB/s that is always, and the marking costs
 * more than the frames. Measured in `bench/wire-floor.ts`, two workers, 0.4 MB each way, Node 20: 5.1 ms of processor
 * time a round with the steps, 2.3 without.
 */
export function collectFrameGarbageAtOnce(): void {
  setFlagsFromString('--no-incremental-marking');
}
