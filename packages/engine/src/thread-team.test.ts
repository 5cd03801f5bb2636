import assert from 'node:assert/strict';
import { test } from 'vitest';
import { ARGUMENTS, type ControlBlock, createControlBlock, TABLE } from './control-block.js';
import { KernelThreadError, MissingRowError } from './engine-errors.js';
import { openThreadCrew, type ThreadCrew } from './thread-crew.js';
import { EXIT_IN_SHARE, FAIL_IN_OFFER, FAIL_IN_SHARE, SHARE } from './thread-team.fixture.js';

const FIXTURE = new URL('./thread-team.fixture.js', import.meta.url);
const THREADS = 4;

async function openFixture(): Promise<{ readonly crew: ThreadCrew; readonly control: ControlBlock }> {
  const control = createControlBlock(THREADS, 256);
  const setups = Array.from({ length: THREADS }, (_, index) => ({ index, control }));
  return { crew: await openThreadCrew(FIXTURE, setups, control), control };
}

/** Runs a command and says what it left: the last round's pieces, the offers done, and each thread's scratch. */
async function shareOut(
  { crew, control }: { readonly crew: ThreadCrew; readonly control: ControlBlock },
  participants: number,
  rounds: number,
  pieces: number,
) {
  const { numbers } = control;
  numbers.fill(0, TABLE);
  numbers.set([rounds, pieces, -1, -1], ARGUMENTS);
  await crew.run({ command: SHARE, participants, phases: 1 });
  const last = TABLE + 8 + ((rounds - 1) % 2) * 64;
  return {
    last: [...numbers.subarray(last, last + pieces)],
    offers: [...numbers.subarray(TABLE, TABLE + 2)],
    scratch: [...numbers.subarray(TABLE + 2, TABLE + 2 + participants)],
  };
}

test('every piece is done once, every offer by one thread, and each call sees all of the one before', async () => {
  const fixture = await openFixture();
  await using _closed = fixture.crew;
  for (const participants of [1, 2, 3, 4]) {
    for (const [rounds, pieces] of [
      [1, 1],
      [40, 7],
      [40, 1],
      [9, 50],
    ] as const) {
      for (let repeat = 0; repeat < 5; repeat++) {
        const { last, offers, scratch } = await shareOut(fixture, participants, rounds, pieces);
        const expected = Array.from({ length: pieces }, (_, piece) => ((piece + rounds - 1) % pieces) + rounds);
        assert.deepEqual(last, expected);
        assert.deepEqual(offers, [rounds, Math.ceil(rounds / 3)]);
        assert.deepEqual(
          scratch,
          scratch.map((_, index) => 1000 + 64 * index),
        );
      }
    }
  }
});

test('a thread that fails ends the command for all, wherever the others wait, and the crew goes on', async () => {
  const fixture = await openFixture();
  await using _closed = fixture.crew;
  const { crew, control } = fixture;
  for (const participants of [1, 2, 4]) {
    for (let round = 0; round < 12; round++) {
      control.numbers.set([12, 6, round, round % 6], ARGUMENTS);
      await assert.rejects(crew.run({ command: FAIL_IN_SHARE, participants, phases: 2 }), (error) => {
        assert.ok(error instanceof MissingRowError);
        assert.equal(error.index, round % 6);
        return true;
      });
      await assert.rejects(crew.run({ command: FAIL_IN_OFFER, participants, phases: 1 }), (error) => {
        assert.ok(error instanceof KernelThreadError && !error.fatal);
        return /failed in an offer/.test(error.message);
      });
      const { last } = await shareOut(fixture, participants, 2, 3);
      assert.deepEqual(last, [3, 4, 2]); // the neighbours' places 1, 2, 0, and one for each round
    }
  }
});

test('a thread that exits in its piece rejects the call though the others wait for it', async () => {
  const { crew, control } = await openFixture();
  await using _closed = crew;
  control.numbers.set([12, 6, 5, 3], ARGUMENTS);
  await assert.rejects(
    crew.run({ command: EXIT_IN_SHARE, participants: THREADS, phases: 1 }),
    (error) => error instanceof KernelThreadError && error.fatal && /exited with code 7/.test(error.message),
  );
});
