/** Forward, loss and backward of one micro-batch on one thread, against the matrix products in them. */
import { compileModel } from '#kernel';
import { createArena, openContestant } from './contestants.js';
import { type Figure, type Goal, judge, type Section } from './figures.js';
import type { Plan } from './plan.js';
import { median, ratioOf, takeTurns, timed, type Way } from './take-turns.js';
import { fill, modelOf, sampleCounts, type Workload } from './workloads.js';

const percent = (value: number): Goal => ({ text: `${value} % of its products' rate`, kind: 'at least', value });
const GOALS: Readonly<Record<string, Goal>> = { wasm: percent(75), blas: percent(85) };
const NAMES = ['W3', 'W4'];

export async function measureGradients(plan: Plan): Promise<Section> {
  const figures: Figure[] = [];
  for (const workload of plan.workloads.filter(({ name }) => NAMES.includes(name))) {
    for (const samples of sampleCounts(workload)) figures.push(...(await measureOne(plan, workload, samples)));
  }
  const about =
    'one whole gradient on one thread, as a part of the rate of its products run without the rest, in turns; then the share of its time that its own products take';
  return { name: 'gradients', about, figures };
}

async function measureOne(plan: Plan, workload: Workload, samples: number): Promise<readonly Figure[]> {
  const model = modelOf(workload);
  const program = compileModel(model);
  const { parameterCount } = program;
  const scratchBytes = program.scratchBytes(samples);
  const arena = createArena(4 * (2 * parameterCount + samples * (model.inputs + 1)) + scratchBytes + 6 * 64);
  const at = {
    weights: arena.take(4 * parameterCount),
    features: arena.take(4 * samples * model.inputs),
    targets: arena.take(4 * samples),
    gradient: arena.take(4 * parameterCount),
    scratch: arena.take(scratchBytes),
    samples,
  };
  fill(arena.floats(at.weights, parameterCount), 1 / 32);
  fill(arena.floats(at.features, samples * model.inputs), 1);
  const targets = arena.floats(at.targets, samples);
  for (let row = 0; row < samples; row++) targets[row] = row % model.outputs;
  const contestants = [];
  for (const loaded of plan.found.loaded.filter(({ name }) => name !== 'js')) {
    contestants.push(await openContestant(arena.memory, loaded)); // in `js` everything is slow alike
  }
  const shares = new Map<string, number[]>(contestants.map(({ name }) => [name, []]));
  const whole = contestants.map(({ name, kernel, productMs }): readonly [string, Way] => [
    name,
    (times) => {
      const [before, startedAt] = [productMs(), performance.now()];
      for (let time = 0; time < times; time++) kernel.gradient(program, at);
      const spent = performance.now() - startedAt;
      shares.get(name)?.push((100 * (productMs() - before)) / spent);
      return spent;
    },
  ]);
  const alone = contestants.map(
    ({ name, productsOnly }) => [productsIn(name), timed(() => productsOnly.gradient(program, at))] as const,
  );
  // Side by side in every round: whole gradient of one, its products alone, then the next kernel.
  const ways = new Map(whole.flatMap((way, index) => [way, alone[index]!]));
  const timings = await takeTurns(ways, { ...plan.turns, rounds: plan.quick ? plan.turns.rounds : GRADIENT_ROUNDS });
  return contestants.flatMap(({ name }): readonly Figure[] => {
    const [timing, products] = [timings.get(name), timings.get(productsIn(name))];
    if (timing === undefined || products === undefined) return [];
    const turns = shares.get(name)?.slice(-timing.rounds.length) ?? []; // the ones before warmed up
    const rate = 100 * ratioOf(products, timing);
    const goal = GOALS[name];
    const subject = `${workload.name}, ${samples} samples`;
    const goals = goal === undefined ? [] : [judge(goal, rate)];
    const [share, mostly] = [median(turns), Math.max(...turns)];
    const { median: time, best } = timing;
    return [
      { subject, way: name, unit: '% of products', median: rate, best: (100 * products.best) / best, goals },
      {
        subject: `${subject}: time in its own`,
        way: name,
        unit: '% of products',
        median: share,
        best: mostly,
        goals: [],
      },
      { subject: `${subject}: time`, way: name, median: time, best, unit: 'ms', goals: [] },
    ];
  });
}

const productsIn = (name: string): string => `products in ${name}`;
/** A ratio of two noisy times needs more of them. */
const GRADIENT_ROUNDS = 21;
