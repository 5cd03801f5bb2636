import type { Team } from '#kernel';
import { hasFailed, meet } from './barrier.js';
import { type ControlBlock, OFFERS, PARTICIPANTS, SHARED_PIECES } from './control-block.js';

/** The threads that take part in a command, as a team that shares out every piece of it. Each thread has its own. */
export interface ThreadTeam extends Team {
  /**
   * Every participant calls this first in a command whose work is shared.
   * @param scratchOffset bytes from the scratch memory that all are given to this thread's own
   */
  gather(scratchOffset: number): void;
}

/**
 * Pieces are taken from a counter that only rises while a command lasts, so nobody has to reset it between two calls:
 * of a call with n pieces, each participant takes one number too many, after which the next call's numbers begin. Sums
 * wrap at 32 bits as the counter does.
 */
export function createThreadTeam({ words }: ControlBlock): ThreadTeam {
  let participants = 1;
  let ownScratchOffset = 0;
  let firstPiece = 0;
  let firstOffer = 0;
  let offered = false;

  function meetAll(): void {
    if (!meet(words)) throw new Abandoned();
    offered = false;
  }

  return {
    gather(scratchOffset) {
      participants = words[PARTICIPANTS]!;
      ownScratchOffset = scratchOffset;
      firstPiece = 0;
      firstOffer = 0;
      offered = false;
    },
    share(pieces, work) {
      for (;;) {
        const piece = (Atomics.add(words, SHARED_PIECES, 1) - firstPiece) | 0;
        if (piece >= pieces) break;
        if (hasFailed(words)) throw new Abandoned();
        work(piece);
      }
      firstPiece = (firstPiece + pieces + participants) | 0;
      meetAll();
    },
    offer(work) {
      if (offered) meetAll(); // one counter serves one offer at a time
      offered = true;
      const mine = Atomics.add(words, OFFERS, 1) === firstOffer;
      firstOffer = (firstOffer + participants) | 0;
      if (mine) work();
    },
    ownScratch: (address) => address + ownScratchOffset,
  };
}

/** Ends a thread's part in a command that another thread has failed; never reported, because the other's failure is. */
class Abandoned extends Error {
  constructor() {
    super('another thread of the command has failed');
  }
}
