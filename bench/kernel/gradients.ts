/** Forward, loss and backward of one micro-batch on one thread, against the matrix products in them. */
import { compileModel } from '#kernel';
import { createArena, openContestant } from './contestants.js';
import { type Figure, type Goal, judge, type Section } from './figures.js';
import type { Plan } from './plan.js';
import { median, takeTurns, type Way } from './take-turns.js';
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
    'one whole gradient on one thread; its rate as a part of the rate its own matrix products have, timed one by one within it';
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
  const ways = contestants.map(({ name, kernel, productMs }): readonly [string, Way] => [
    name,
    (times) => {
      const [before, startedAt] = [productMs(), performance.now()];
      for (let time = 0; time < times; time++) kernel.gradient(program, at);
      const spent = performance.now() - startedAt;
      shares.get(name)?.push((100 * (productMs() - before)) / spent);
      return spent;
    },
  ]);
  const timings = await takeTurns(new Map(ways), plan.turns);
  return [...timings].flatMap(([name, { median: time, best }]): readonly Figure[] => {
    const turns = shares.get(name)?.slice(-plan.turns.rounds) ?? []; // the ones before warmed up
    const share = median(turns);
    const goal = GOALS[name];
    const subject = `${workload.name}, ${samples} samples`;
    const goals = goal === undefined ? [] : [judge(goal, share)];
    return [
      { subject, way: name, unit: '% of products', median: share, best: Math.max(...turns), goals },
      { subject: `${subject}: time`, way: name, median: time, best, unit: 'ms', goals: [] },
    ];
  });
}
