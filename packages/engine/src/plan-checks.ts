/** What a plan of memory refuses before it counts anything; each throws a RangeError. */
import { isPowerOfTwo } from './reduction-tree.js';

export function checkThreads(threads: number): void {
  if (Number.isSafeInteger(threads) && threads >= 1 && threads <= 1024) return;
  throw new RangeError(`threads must be an integer from 1 to 1024, received ${threads}`);
}

export function checkMicroBatches(microBatches: number): void {
  if (isPowerOfTwo(microBatches) && microBatches <= 2 ** 20) return;
  throw new RangeError(`microBatches must be a power of two up to 2^20, received ${microBatches}`);
}

export function checkNatural(name: string, value: number): void {
  if (Number.isSafeInteger(value) && value >= 0) return;
  throw new RangeError(`${name} must be a non-negative integer, received ${value}`);
}
