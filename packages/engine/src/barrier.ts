import { BARRIER_ARRIVED, BARRIER_GENERATION, BARRIER_SLEEPERS, FAILED, PARTICIPANTS } from './control-block.js';

type Words = Int32Array<SharedArrayBuffer>;

/**
 * Long enough for fellows that are nearly there (about 10 µs), short beside the 4 ms lost by holding a core others need.
 * Ten times as many doubled the time of small shared gradients while other programs kept both threads on one core.
 */
const SPINS = 2_000;

/**
 * Waits until all participants of the command have come here. What they wrote before is visible afterwards.
 * @returns false when a thread has failed: it will not come, and nobody is to wait for anybody in this command again
 */
export function meet(words: Words): boolean {
  const participants = words[PARTICIPANTS]!;
  // The generation is read first: whoever reads it before a failure changes it is woken, whoever reads it after sees
  // the failure.
  const generation = Atomics.load(words, BARRIER_GENERATION);
  if (hasFailed(words)) return false;
  if (participants === 1) return true;
  if (Atomics.add(words, BARRIER_ARRIVED, 1) + 1 === participants) {
    Atomics.store(words, BARRIER_ARRIVED, 0);
    nextGeneration(words);
    return true;
  }
  for (let spin = 0; spin < SPINS; spin++) {
    if (Atomics.load(words, BARRIER_GENERATION) !== generation) return !hasFailed(words);
  }
  Atomics.add(words, BARRIER_SLEEPERS, 1);
  while (Atomics.load(words, BARRIER_GENERATION) === generation) {
    Atomics.wait(words, BARRIER_GENERATION, generation);
  }
  Atomics.sub(words, BARRIER_SLEEPERS, 1);
  return !hasFailed(words);
}

/** Wakes all who wait, after `FAILED` was set. How many had come is counted anew by the next command. */
export function abandonMeetings(words: Words): void {
  nextGeneration(words);
}

export const hasFailed = (words: Words): boolean => Atomics.load(words, FAILED) !== 0;

function nextGeneration(words: Words): void {
  Atomics.add(words, BARRIER_GENERATION, 1);
  // Who is not counted yet finds the new generation before it sleeps: waking costs microseconds even where nobody sleeps.
  if (Atomics.load(words, BARRIER_SLEEPERS) > 0) Atomics.notify(words, BARRIER_GENERATION);
}
