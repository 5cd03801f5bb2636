/** For tests: a thread that serves commands no kernel is needed for. */
import { workerData } from 'node:worker_threads';
import { ARGUMENTS, type ControlBlock, TABLE } from './control-block.js';
import { serveCommands } from './thread-service.js';

export const COUNT_PIECES = 1;
export const THROW = 2;
export const EXIT = 3;
export const COUNT_MAIL = 4;
export const WAIT_FOREVER = 5;

export interface FixtureSetup {
  readonly index: number;
  readonly control: ControlBlock;
}

/** Importing the commands from a test must not start serving. */
if (workerData !== null && typeof workerData === 'object' && 'control' in workerData) serve(workerData as FixtureSetup);

function serve({ index, control }: FixtureSetup): void {
  const { numbers } = control;
  const mail: unknown[] = [];
  serveCommands(index, control, {
    kernelId: `fixture/${index}`,
    perform(command, phase, takePiece) {
      if (command === THROW && index === numbers[ARGUMENTS]) throw new RangeError(`thread ${index} in phase ${phase}`);
      if (command === EXIT && index === numbers[ARGUMENTS]) process.exit(7);
      if (command === COUNT_MAIL) numbers[TABLE + index] = mail.length;
      if (command === WAIT_FOREVER) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
      if (command !== COUNT_PIECES) return;
      const pieces = numbers[ARGUMENTS]!;
      for (let piece = takePiece(pieces); piece !== undefined; piece = takePiece(pieces)) {
        if (phase === 0 && piece === 0) keepOthersWaiting();
        // In phase 1 a piece's neighbour is read: it was written in phase 0, maybe by another thread.
        if (phase === 0) numbers[TABLE + piece] = piece + 1;
        else numbers[TABLE + pieces + piece] = numbers[TABLE + ((piece + 1) % pieces)]!;
      }
    },
    finish(command) {
      if (command === COUNT_PIECES) numbers[ARGUMENTS + 1] = numbers[ARGUMENTS + 1]! + 1;
    },
    receive: (message) => mail.push(message),
  });
}

/** Longer than the other threads need to wake and do all other pieces, so that they are at the barrier by then. */
function keepOthersWaiting(): void {
  const until = process.hrtime.bigint() + 300_000n;
  while (process.hrtime.bigint() < until);
}
