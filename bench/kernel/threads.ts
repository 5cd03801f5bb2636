/**
 * How much faster do kernel threads compute one gradient? The whole global batch in one worker, without a network: one
 * thread, then two by micro-batch and by tile.
 */
import { cpus } from 'node:os';
import { openWorkerEngine, type Sharing, type WorkerEngine } from '#engine';
import { type Figure, judge, type Section } from './figures.js';
import type { Plan } from './plan.js';
import { ratioOf, timingOf } from './take-turns.js';
import { fill, microBatchesOf, modelOf, type Workload } from './workloads.js';

const THREADS = 2;
const SHARINGS: readonly Sharing[] = ['micro-batches', 'tiles'];
const GOAL = { text: '1.8 × one thread', kind: 'at least', value: 1.8 } as const;

export async function measureThreads({ workloads, turns, quick }: Plan): Promise<Section> {
  const figures: Figure[] = [];
  for (const workload of quick ? workloads : workloads.filter(({ name }) => name !== 'W3')) {
    const microBatches = microBatchesOf(workload);
    const [alone, ...together] = await measure(workload, microBatches, THREADS, turns.rounds);
    if (alone === undefined) continue;
    const subject = `${workload.name}, ${microBatches} micro-batches`;
    const timings = together.map(({ way, milliseconds }) => ({ way, timing: timingOf(milliseconds) }));
    const one = timingOf(alone.milliseconds);
    for (const { way, timing } of [{ way: alone.way, timing: one }, ...timings]) {
      const { median, best } = timing;
      figures.push({ subject: `${subject}: time`, way, median, best, unit: 'ms', goals: [] });
    }
    // An engine takes one way or the other: the better of the two is what a worker gets.
    const ratios = timings.map(({ way, timing }) => ({
      way,
      median: ratioOf(one, timing),
      best: one.best / timing.best,
    }));
    const chosen = ratios.reduce((most, ratio) => (ratio.median > most.median ? ratio : most));
    for (const ratio of ratios) {
      const goals = ratio === chosen && !quick ? [judge(GOAL, ratio.median)] : [];
      figures.push({ subject, ...ratio, unit: '×', goals });
    }
  }
  const about = `a whole gradient of \`wasm\` on ${THREADS} threads and one, ${cpus().length} cores; the goal is the better way's`;
  return { name: 'threads', about, figures };
}

async function open(
  workload: Workload,
  microBatches: number,
  threads: number,
  sharing: Sharing,
): Promise<WorkerEngine> {
  const { batch } = workload;
  const model = modelOf(workload);
  const base = { kernel: 'wasm', threads, cores: threads, model, seed: 1, trainSamples: batch, microBatches } as const;
  const engine = await openWorkerEngine({ ...base, batch, sharing });
  fill(engine.stagedWeights as Float32Array<SharedArrayBuffer>, 1 / 32);
  engine.adoptStagedWeights();
  const features = new Float32Array(new SharedArrayBuffer(4 * batch * model.inputs));
  const targets = new Float32Array(new SharedArrayBuffer(4 * batch));
  fill(features, 1);
  for (let row = 0; row < batch; row++) targets[row] = row % model.outputs;
  engine.addShard({ split: 'train', begin: 0, end: batch, features, targets });
  return engine;
}

interface Measured {
  readonly way: string;
  readonly milliseconds: readonly number[];
}

async function measure(workload: Workload, microBatches: number, threads: number, rounds: number): Promise<Measured[]> {
  const ways: { readonly way: string; readonly engine: WorkerEngine; readonly milliseconds: number[] }[] = [];
  const hashes = new Set<string>();
  try {
    ways.push({ way: '1 thread', engine: await open(workload, microBatches, 1, 'micro-batches'), milliseconds: [] });
    for (const way of SHARINGS) {
      const engine = await open(workload, microBatches, threads, way);
      ways.push({ way, engine, milliseconds: [] });
    }
    for (let round = -1; round < rounds; round++) {
      for (const { engine, milliseconds } of ways) {
        const request = {
          step: 0,
          epoch: 0,
          firstPosition: 0,
          endPosition: workload.batch,
          begin: 0,
          end: microBatches,
        };
        const { computeMs, gradientHash } = await engine.computeGradient(request);
        if (round >= 0) milliseconds.push(computeMs); // the first round warms up
        hashes.add(gradientHash);
      }
    }
  } finally {
    for (const { engine } of ways) await engine[Symbol.asyncDispose]();
  }
  if (hashes.size !== 1) throw new Error(`${workload.name}: threads gave ${hashes.size} different gradients`);
  return ways;
}
