/** F5, F7, F23: workers whose work comes to nothing wait, longer each time. */
import { expect, test } from 'vitest';
import { workerId } from './identities.js';
import { behaved, type Conducts, isShutOut, type Misconduct, misbehaved } from './worker-conduct.js';

const BAD = workerId('bad');
const GOOD = workerId('good');

/** Each at its time; the lengths of the times it was shut out for. */
function after(times: readonly (readonly [Misconduct | 'result', number])[]): [Conducts, number[]] {
  let conducts: Conducts = new Map();
  const shut: number[] = [];
  for (const [what, atMs] of times) {
    if (what === 'result') conducts = behaved(conducts, BAD);
    else {
      const [next, forMs] = misbehaved(conducts, BAD, what, atMs);
      conducts = next;
      if (forMs !== undefined) shut.push(forMs);
    }
  }
  return [conducts, shut];
}

test('F7 the third life without a result shuts a worker out, and each after it for twice as long, to a minute', () => {
  const lives = Array.from({ length: 12 }, (_, life) => ['lost', life * 100] as const);
  expect(after(lives)[1]).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60, 60].map((seconds) => seconds * 1000));
});

test('a result in between clears it: kills at random shut nobody out', () => {
  const lives = Array.from({ length: 30 }, (_, life) => [life % 2 === 0 ? 'lost' : 'result', life] as const);
  expect(after(lives)[1]).toEqual([]);
});

test('it comes back when its time is over, and others are not concerned', () => {
  const [conducts] = after([0, 1, 2].map((at) => ['failed', at] as const));
  expect([isShutOut(conducts, BAD, 500), isShutOut(conducts, BAD, 1_002), isShutOut(conducts, GOOD, 500)]).toEqual([
    true,
    false,
    false,
  ]);
});

test('F21 one that computed other bits waits at once, longer each time; several wrong blocks of one life are one time', () => {
  expect(
    after([
      ['failed', 0],
      ['failed', 1],
      ['failed', 2],
      ['lied', 10],
      ['lied', 11],
      ['lied', 200_000],
    ])[1],
  ).toEqual([1_000, 120_000, 240_000]);
});
