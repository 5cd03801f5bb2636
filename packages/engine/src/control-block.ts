/**
 * The shared words through which the calling thread and the kernel threads meet: tickets, counters, a barrier, and the
 * numbers of the command in hand. It is memory of its own, apart from the kernel's.
 *
 * A command is published by writing words and numbers plainly and then raising a ticket atomically; a thread reads its
 * ticket atomically first, so everything written before is visible to it. The same holds backwards: threads leave
 * through an atomic countdown, and only then is the caller told.
 */
export interface ControlBlock {
  readonly words: Int32Array<SharedArrayBuffer>;
  /** `ARGUMENTS` doubles for the command, `RESULTS` doubles for its answer, then the table. */
  readonly numbers: Float64Array<SharedArrayBuffer>;
}

/** Words that several threads write stand on cache lines of their own: 64 bytes, 16 words. */
const LINE = 16;

/** Indexes into `words`. */
export const COMMAND = 0;
export const PARTICIPANTS = 1;
/** Index of the first thread that failed in this call, plus 1; 0 while none has. */
export const FAILED = 2;
export const PHASES = 4;
/** Messages posted to every thread before the command: a thread reads its mail until it has seen as many. */
export const MAIL = 3;
/** Threads still at work on the command. */
export const ACTIVE = 1 * LINE;
export const BARRIER_ARRIVED = 2 * LINE;
export const BARRIER_GENERATION = 3 * LINE;
/** A command has at most this many phases; work is handed out by counting, with one counter a phase. */
export const MAX_PHASES = 3;
export const phaseCounter = (phase: number): number => (4 + phase) * LINE;
/** Pieces of shared calls and offers, counted through a whole command. */
export const SHARED_PIECES = phaseCounter(MAX_PHASES);
export const OFFERS = SHARED_PIECES + LINE;
/** Participants asleep at the barrier, or about to be. */
export const BARRIER_SLEEPERS = OFFERS + LINE;
const TICKETS = BARRIER_SLEEPERS + LINE;

/** The word thread `index` sleeps on. */
export const ticketOf = (index: number): number => TICKETS + index * LINE;

/** Indexes into `numbers`. */
export const ARGUMENTS = 0;
export const RESULTS = 16;
/** When the threads of a call were woken, and when the last of them was done. */
export const STARTED_MS = 28;
export const ENDED_MS = 29;
export const TABLE = 32;

export function createControlBlock(threads: number, tableLength: number): ControlBlock {
  return {
    words: new Int32Array(new SharedArrayBuffer(4 * ticketOf(threads))),
    numbers: new Float64Array(new SharedArrayBuffer(8 * (TABLE + tableLength))),
  };
}
