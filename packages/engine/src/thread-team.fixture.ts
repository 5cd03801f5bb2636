/** For tests: threads that share out pieces as a team, with something going wrong on demand. */
import { workerData } from 'node:worker_threads';
import { ARGUMENTS, type ControlBlock, TABLE } from './control-block.js';
import { MissingRowError } from './engine-errors.js';
import { serveCommands } from './thread-service.js';
import { createThreadTeam } from './thread-team.js';

export const SHARE = 1;
export const FAIL_IN_SHARE = 2;
export const FAIL_IN_OFFER = 3;
export const EXIT_IN_SHARE = 4;

/** Numbers at ARGUMENTS: rounds, pieces a round, and the round and piece at which a failing command fails. */
export interface TeamFixtureSetup {
  readonly index: number;
  readonly control: ControlBlock;
}

/** Importing the commands from a test must not start serving. */
if (workerData !== null && typeof workerData === 'object' && 'control' in workerData) serve(workerData);

function serve({ index, control }: TeamFixtureSetup): void {
  const { numbers } = control;
  const team = createThreadTeam(control);
  serveCommands(index, control, {
    kernelId: 'fixture/team',
    perform(command) {
      const [rounds, pieces, failingRound, failingPiece] = numbers.subarray(ARGUMENTS) as unknown as number[]; // numbers
      team.gather(64 * index);
      for (let round = 0; round < rounds!; round++) {
        const fails = round === failingRound;
        team.share(pieces!, (piece) => {
          if (fails && piece === failingPiece) {
            if (command === FAIL_IN_SHARE) throw new MissingRowError('train', piece);
            if (command === EXIT_IN_SHARE) process.exit(7);
          }
          // Each round adds what the round before left at the neighbour's place, maybe by another thread.
          const before = round === 0 ? piece : numbers[place(round - 1, (piece + 1) % pieces!)]!;
          numbers[place(round, piece)] = before + 1;
        });
        team.offer(() => {
          if (fails && command === FAIL_IN_OFFER) throw new RangeError('failed in an offer');
          numbers[TABLE] = numbers[TABLE]! + 1;
        });
        if (round % 3 === 0) team.offer(() => (numbers[TABLE + 1] = numbers[TABLE + 1]! + 1));
      }
      team.share(0, () => undefined);
      numbers[TABLE + 2 + index] = team.ownScratch(1000);
    },
    finish: () => undefined,
    receive: () => undefined,
  });

  /** Two rows of pieces take turns. */
  function place(round: number, piece: number): number {
    return TABLE + 8 + (round % 2) * 64 + piece;
  }
}
