/** Timing on a machine that others use too: all ways of doing a thing take turns, so that a disturbance meets all alike. */

/** Does it `times` times. @returns milliseconds all of them took */
export type Way = (times: number) => number | Promise<number>;

/** Milliseconds of one execution. */
export interface Timing {
  readonly rounds: readonly number[];
  readonly median: number;
  readonly best: number;
}

export interface Turns {
  readonly rounds: number;
  /** A way is repeated in its turn until it has taken about this long. */
  readonly leastMs: number;
}

/** A thing done on this thread. */
export function timed(work: () => void): Way {
  return (times) => {
    const startedAt = performance.now();
    for (let time = 0; time < times; time++) work();
    return performance.now() - startedAt;
  };
}

/** Every way once a round. The first turns, which compile and fill caches, are not counted. */
export async function takeTurns<Name extends string>(
  ways: ReadonlyMap<Name, Way>,
  { rounds, leastMs }: Turns,
): Promise<ReadonlyMap<Name, Timing>> {
  const repeats = new Map<Name, number>();
  for (const [name, way] of ways) {
    await way(1);
    // V8 compiles WebAssembly a second time while it runs; what a turn takes is known once that is done.
    let [spent, last] = [0, 0];
    do {
      last = await way(1);
      spent += last;
    } while (spent < WARMUP_MS && spent < 20 * leastMs);
    repeats.set(name, Math.max(1, Math.ceil(leastMs / Math.max(last, 1e-4))));
  }
  const times = new Map<Name, number[]>([...ways.keys()].map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [name, way] of ways) {
      const count = repeats.get(name) ?? 1;
      times.get(name)?.push((await way(count)) / count);
    }
  }
  return new Map([...times].map(([name, taken]) => [name, timingOf(taken)]));
}

export const timingOf = (rounds: readonly number[]): Timing => ({
  rounds,
  median: median(rounds),
  best: Math.min(...rounds),
});

/** How many times as long `slow` took as `fast`: the median over the rounds, in each of which both had their turn. */
export function ratioOf(slow: Timing, fast: Timing): number {
  return median(slow.rounds.map((time, round) => time / (fast.rounds[round] ?? Number.NaN)));
}

export const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

const WARMUP_MS = 60;
