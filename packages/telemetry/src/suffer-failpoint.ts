import type { Misfortune } from '#training';

/** Longer than the 2 s after which workers leave a coordinator that says nothing. */
const STALL_MS = 5_000;

/** Does to this process what a test wants to see it survive: see `armFailpoints`. */
export function sufferFailpoint(misfortune: Misfortune): void {
  switch (misfortune) {
    case 'kill':
      process.kill(process.pid, 'SIGKILL');
      break;
    case 'stop':
      process.kill(process.pid, 'SIGSTOP');
      break;
    case 'stall':
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, STALL_MS);
      break;
    case 'throw':
      // Out of reach of whoever passed the place, and before anything that waits for its turn.
      process.nextTick(() => {
        throw new TypeError('a failpoint threw');
      });
      break;
    case 'reject':
      void Promise.reject(new TypeError('a failpoint rejected'));
      break;
    default:
      misfortune satisfies never;
  }
}
