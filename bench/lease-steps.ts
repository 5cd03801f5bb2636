/**
 * What a step of a lease costs: one worker's engine, its threads, rows in memory; no network, no queue, no coordinator. Shapes
 * are those of the networks under `kernel/workloads.ts`, and two linear models that have hardly anything to compute.
 */
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { findKernel, KERNEL_NAMES, type KernelName, openWorkerEngine, type WorkerEngine } from '#engine';
import { autoMicroBatches, compileModel, initialWeights, type ModelSpec, type OptimizerSpec } from '#kernel';
import { median } from './kernel/take-turns.js';
import { fill, modelOf, WORKLOADS } from './kernel/workloads.js';

interface Training {
  readonly name: string;
  readonly model: ModelSpec;
  readonly optimizer: OptimizerSpec;
  readonly rows: number;
  readonly batch: number;
}

const SGD: OptimizerSpec = { kind: 'sgd', learningRate: 0.05 };
const MOMENTUM: OptimizerSpec = { kind: 'momentum', learningRate: 0.05, momentum: 0.9, nesterov: false };
const ADAM: OptimizerSpec = { kind: 'adam', learningRate: 1e-4, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };

const linear = (inputs: number): ModelSpec => ({
  inputs,
  outputs: 1,
  layers: [{ kind: 'dense', units: 1 }],
  loss: { kind: 'meanSquaredError' },
  init: 'torch',
});

const TRAININGS: readonly Training[] = [
  { name: 'W1', model: linear(1), optimizer: SGD, rows: 100_000, batch: 1024 },
  { name: 'W2', model: linear(100), optimizer: SGD, rows: 1_000_000, batch: 8192 },
  { name: 'W3', model: modelOf(WORKLOADS.W3), optimizer: MOMENTUM, rows: 60_000, batch: WORKLOADS.W3.batch },
  { name: 'W4', model: modelOf(WORKLOADS.W4), optimizer: ADAM, rows: 60_000, batch: WORKLOADS.W4.batch },
  { name: 'W5', model: modelOf(WORKLOADS.W5), optimizer: ADAM, rows: 20_480, batch: WORKLOADS.W5.batch },
  { name: 'W6', model: modelOf(WORKLOADS.W6), optimizer: ADAM, rows: 2_560, batch: WORKLOADS.W6.batch },
];

/** A lease of this length a turn, at least one step. */
const TURN_MS = 250;

interface Contestant {
  readonly kernel: KernelName;
  readonly engine: WorkerEngine;
  readonly stepMs: number[];
  /** Position in the run: leases go on where the one before ended, epoch after epoch. */
  step: number;
}

interface Row {
  readonly workload: string;
  readonly kernel: KernelName;
  readonly medianMs: number;
  readonly bestMs: number;
  /** After the last turn: equal for kernels with equal bits. How many steps that were differs from one execution to the next. */
  readonly weights: string;
}

async function open(kernel: KernelName, { model, optimizer, rows, batch }: Training, threads: number) {
  const program = compileModel(model);
  const blasLibrary = process.env.ROPETEAM_BLAS_LIBRARY;
  const engine = await openWorkerEngine({
    ...{ kernel, threads, cores: threads, model, seed: 1, trainSamples: rows, batch },
    ...(blasLibrary === undefined ? {} : { blasLibrary }),
    microBatches: autoMicroBatches(batch, program.parameterCount),
    update: { optimizer },
  });
  engine.stagedWeights.set(initialWeights(program, 1));
  engine.adoptStagedWeights();
  return engine;
}

/** Shards of about a megabyte, as training stores them. */
function addRows(engines: readonly WorkerEngine[], { model, rows }: Training): void {
  const rowsEach = Math.max(1, Math.floor(2 ** 18 / model.inputs));
  for (let begin = 0; begin < rows; begin += rowsEach) {
    const end = Math.min(rows, begin + rowsEach);
    const features = new Float32Array(new SharedArrayBuffer(4 * (end - begin) * model.inputs));
    const targets = new Float32Array(new SharedArrayBuffer(4 * (end - begin)));
    fill(features, 1);
    for (let row = begin; row < end; row++)
      targets[row - begin] = model.outputs === 1 ? (row % 7) / 7 : row % model.outputs;
    for (const engine of engines) engine.addShard({ split: 'train', begin, end, features, targets });
  }
}

/** The next lease: at most so many steps, and none beyond its epoch. @returns milliseconds a step, and the last weights */
async function lease(contestant: Contestant, { rows, batch, optimizer }: Training, most: number) {
  const stepsPerEpoch = Math.floor(rows / batch);
  const { step, engine } = contestant;
  if (engine.lease === undefined) throw new Error('the engine was opened without room for leases');
  const first = step % stepsPerEpoch;
  const steps = Math.min(most, stepsPerEpoch - first);
  const result = await engine.lease.run({
    epoch: Math.floor(step / stepsPerEpoch),
    firstStep: step,
    steps: Array.from({ length: steps }, (_, index) => ({
      firstPosition: (first + index) * batch,
      endPosition: (first + index + 1) * batch,
      learningRate: optimizer.learningRate,
    })),
  });
  contestant.step += steps;
  return { stepMs: result.computeMs / steps, weights: result.steps.at(-1)?.weightsHash ?? '' };
}

async function measure(training: Training, kernels: readonly KernelName[], threads: number, rounds: number) {
  const contestants: Contestant[] = [];
  const rows: Row[] = [];
  try {
    for (const kernel of kernels)
      contestants.push({ kernel, engine: await open(kernel, training, threads), stepMs: [], step: 0 });
    addRows(
      contestants.map(({ engine }) => engine),
      training,
    );
    // The same number of steps for all, so that weights can be compared: as many as the slowest does in a turn.
    let slowest = 0;
    for (const contestant of contestants) {
      await lease(contestant, training, 2);
      slowest = Math.max(slowest, (await lease(contestant, training, 2)).stepMs);
    }
    const steps = Math.max(1, Math.min(1000, Math.round(TURN_MS / slowest)));
    const last = new Map<KernelName, string>();
    for (let round = -1; round < rounds; round++) {
      for (const contestant of contestants) {
        const { stepMs, weights } = await lease(contestant, training, steps);
        if (round >= 0) contestant.stepMs.push(stepMs); // the first round warms up
        last.set(contestant.kernel, weights);
      }
    }
    for (const { kernel, stepMs } of contestants) {
      const weights = last.get(kernel) ?? '';
      rows.push({ workload: training.name, kernel, medianMs: median(stepMs), bestMs: Math.min(...stepMs), weights });
    }
  } finally {
    for (const { engine } of contestants) await engine[Symbol.asyncDispose]();
  }
  return rows;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      json: { type: 'boolean', default: false },
      kernel: { type: 'string', multiple: true },
      only: { type: 'string', multiple: true },
      threads: { type: 'string', default: '2' },
      repeats: { type: 'string', default: '7' },
    },
  });
  const wanted = KERNEL_NAMES.filter((name) => (values.kernel ?? ['wasm', 'wasm-fma', 'blas']).includes(name));
  const findings = await Promise.all(wanted.map((name) => findKernel(name, process.env.ROPETEAM_BLAS_LIBRARY)));
  const kernels = findings.filter(({ kind }) => kind === 'found').map(({ name }) => name);
  const rows: Row[] = [];
  for (const training of TRAININGS.filter(({ name }) => values.only?.includes(name) ?? true)) {
    rows.push(...(await measure(training, kernels, Number(values.threads), Number(values.repeats))));
  }
  if (values.json) {
    process.stdout.write(`${JSON.stringify({ node: process.version, threads: Number(values.threads), rows })}\n`);
    return;
  }
  const table = new Table({ head: ['', ...kernels], style: { head: [], border: [] } });
  for (const workload of new Set(rows.map((row) => row.workload))) {
    const cells = rows.filter((row) => row.workload === workload);
    table.push([workload, ...cells.map(({ medianMs, bestMs }) => `${medianMs.toFixed(3)} (${bestMs.toFixed(3)})`)]);
  }
  const machine = `${cpus()[0]?.model ?? 'unknown'}, ${cpus().length} cores, Node ${process.version}`;
  process.stdout.write(
    `${table.toString()}\nms a step of a lease: median (best) of ${values.repeats} turns, ${values.threads} threads; ${machine}\n`,
  );
}

await main();
