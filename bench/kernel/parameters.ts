/** Loops over all parameters, which memory bounds: an update, and one node of the reduction tree. */
import { createArena, openContestant } from './contestants.js';
import { type Figure, judge, type Section } from './figures.js';
import type { Plan } from './plan.js';
import { type Timing, takeTurns, timed, type Way } from './take-turns.js';
import { fill } from './workloads.js';

/** Of the 8.4 M parameters that the goal is about. */
const ADAM_GOAL_MS = 10;
const GOAL_PARAMETERS = 8_400_000;
const FOLD_GOAL_PERCENT = 60;
/** A copy reads one float and writes one; a fold reads two and writes one. */
const COPY_BYTES = 8;
const FOLD_BYTES = 12;

export async function measureParameters({ found, turns, parameters: count }: Plan): Promise<Section> {
  const arena = createArena(4 * (4 * count + 64));
  const take = (scale: number): number => {
    const address = arena.take(4 * count);
    fill(arena.floats(address, count), scale);
    return address;
  };
  const [weights, gradient, first] = [take(1 / 32), take(1 / 1024), take(1 / 1024)];
  const second = take(0);
  const [source, copy] = [new Float32Array(count).fill(1), new Float32Array(count).fill(2)];
  const optimizer = { kind: 'adam', learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } as const;
  const ways = new Map<string, Way>([['copy', timed(() => copy.set(source))]]);
  const measured = found.loaded.filter(({ name }) => name !== 'blas'); // has the loops of `wasm`
  for (const loaded of measured) {
    const { kernel } = await openContestant(arena.memory, loaded);
    const at = { weights, gradient, state: [first, second], count };
    ways.set(
      `fold ${loaded.name}`,
      timed(() => kernel.fold(gradient, first, count)),
    );
    ways.set(
      `adam ${loaded.name}`,
      timed(() => kernel.update(optimizer, at, 10, 1e-3)),
    );
  }
  const timings = await takeTurns(ways, turns);
  const millions = `${(count / 1e6).toFixed(1)} M parameters`;
  const copied = timings.get('copy');
  if (copied === undefined) throw new Error('the copy was not timed');
  const figures: Figure[] = [gigabytes('a copy', 'JavaScript', copied, COPY_BYTES * count)];
  for (const { name } of measured) {
    const [fold, adam] = [timings.get(`fold ${name}`), timings.get(`adam ${name}`)];
    if (fold === undefined || adam === undefined) continue;
    const share = (bytes: number, time: number, copyTime: number): number =>
      (100 * bytes * copyTime) / (COPY_BYTES * time);
    const ofCopy = share(FOLD_BYTES, fold.median, copied.median);
    const judged = name !== 'js';
    figures.push(gigabytes('a fold of two gradients', name, fold, FOLD_BYTES * count), {
      ...{ subject: 'a fold, as memory goes', way: name, unit: '% of a copy' },
      ...{ median: ofCopy, best: share(FOLD_BYTES, fold.best, copied.best) },
      goals: judged
        ? [
            judge(
              { text: `${FOLD_GOAL_PERCENT} % of a copy's speed`, kind: 'at least', value: FOLD_GOAL_PERCENT },
              ofCopy,
            ),
          ]
        : [],
    });
    const atGoal = judged && count >= GOAL_PARAMETERS;
    figures.push({
      ...{ subject: `Adam, ${millions}`, way: name, unit: 'ms', median: adam.median, best: adam.best },
      goals: atGoal
        ? [judge({ text: `${ADAM_GOAL_MS} ms for 8.4 M`, kind: 'at most', value: ADAM_GOAL_MS }, adam.median)]
        : [],
    });
  }
  const about = `${millions}, all in main memory; the copy is JavaScript's own, which is memmove`;
  return { name: 'parameters', about, figures };
}

function gigabytes(subject: string, way: string, { median, best }: Timing, bytes: number): Figure {
  return { subject, way, median: bytes / (median * 1e6), best: bytes / (best * 1e6), unit: 'GB/s', goals: [] };
}
