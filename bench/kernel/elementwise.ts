/** Everything between the products: nanoseconds a float, in the cache, where arithmetic bounds it. */
import { ACTIVATION_CODES, type Routines } from '../../packages/kernel/src/routines.js';
import { createArena, openContestant } from './contestants.js';
import type { Figure, Section } from './figures.js';
import type { Plan } from './plan.js';
import { takeTurns, timed, type Way } from './take-turns.js';
import { fill } from './workloads.js';

const ROWS = 128;
const WIDTH = 512;
const COUNT = ROWS * WIDTH;

interface Addresses {
  /** [ROWS, WIDTH] each; `classes` are targets. */
  readonly input: number;
  readonly output: number;
  readonly classes: number;
  /** [WIDTH] each. */
  readonly weight: number;
  readonly bias: number;
  readonly sums: number;
  readonly scales: number;
}

type Loop = (routines: Routines, at: Addresses) => void;

/** Each goes over COUNT floats. The input keeps its values where a loop would let them grow or die out. */
const LOOPS: Readonly<Record<string, Loop>> = {
  'bias and relu': (r, { output, bias }) => r.addBias(output, ROWS, WIDTH, bias, ACTIVATION_CODES.relu, 0),
  relu: (r, { input, output }) => r.activate(input, output, COUNT, ACTIVATION_CODES.relu, 0),
  'relu, backward': (r, { input, output }) => r.activateBackward(output, input, COUNT, ACTIVATION_CODES.relu, 0),
  'leaky relu': (r, { input, output }) => r.activate(input, output, COUNT, ACTIVATION_CODES.leakyRelu, 0.01),
  sigmoid: (r, { input, output }) => r.activate(input, output, COUNT, ACTIVATION_CODES.sigmoid, 0),
  tanh: (r, { input, output }) => r.activate(input, output, COUNT, ACTIVATION_CODES.tanh, 0),
  gelu: (r, { input, output }) => r.gelu(input, output, COUNT),
  softmax: (r, { input, output }) => r.softmax(input, output, ROWS, WIDTH),
  'softmax and cross-entropy': (r, { input, output, classes, sums }) =>
    r.softmaxCrossEntropy(input, classes, ROWS, WIDTH, 0, output, sums),
  dropout: (r, { input, output }) => r.dropout(input, output, ROWS, WIDTH, 0, 1, 2, 2 ** 30, 4 / 3),
  layerNorm: (r, { input, output, weight, bias, sums }) =>
    r.layerNorm(input, output, ROWS, WIDTH, weight, bias, 1e-5, sums),
  'sum of rows': (r, { input, weight }) => r.sumRows(input, ROWS, WIDTH, weight),
  'to bfloat16': (r, { input, output }) => r.toBfloat16(input, output, COUNT),
  'to int8': (r, { input, output, scales }) => r.toInt8(input, output, scales, COUNT, 0, 1, 2),
};

export async function measureElementwise({ found, turns }: Plan): Promise<Section> {
  const arena = createArena(4 * (4 * COUNT) + 2 ** 16);
  const take = (count: number, scale: number): number => {
    const address = arena.take(4 * count);
    fill(arena.floats(address, count), scale);
    return address;
  };
  const at: Addresses = {
    ...{ input: take(COUNT, 4), output: take(COUNT, 1), classes: take(ROWS, 0) },
    ...{ weight: take(WIDTH, 1), bias: take(WIDTH, 0), sums: take(4 * ROWS, 0), scales: take(COUNT / 64, 0) },
  };
  const figures: Figure[] = [];
  const contestants = [];
  for (const loaded of found.loaded.filter(({ name }) => name !== 'blas')) {
    contestants.push(await openContestant(arena.memory, loaded));
  }
  for (const [subject, loop] of Object.entries(LOOPS)) {
    const ways = new Map<string, Way>(
      contestants.map(({ name, routines }) => [name, timed(() => loop(routines, at))] as const),
    );
    for (const [way, { median, best }] of await takeTurns(ways, turns)) {
      const each = 1e6 / COUNT;
      figures.push({ subject, way, median: median * each, best: best * each, unit: 'ns/element', goals: [] });
    }
  }
  return { name: 'elementwise', about: `loops over ${ROWS} x ${WIDTH} floats, in the cache`, figures };
}
