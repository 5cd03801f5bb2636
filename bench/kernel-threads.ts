/**
 * How much faster do kernel threads compute one gradient? The whole global batch in one worker, without a network.
 *
 *     node dist/bench/kernel-threads.js [--threads 2] [--rounds 7] [--micro-batches 1] [--only W4] [--json]
 *
 * For each model: one thread, then all threads by micro-batch and by tile. They take turns, so that a noisy machine
 * disturbs all alike; ratios are medians of the rounds' ratios, and of the best times in brackets.
 */
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { openWorkerEngine, type Sharing, type WorkerEngine } from '#engine';
import { autoMicroBatches, compileModel, type ModelSpec } from '#kernel';

interface Shape {
  readonly name: string;
  readonly widths: readonly number[];
  readonly batch: number;
}

const SHAPES: readonly Shape[] = [
  { name: 'W4', widths: [784, 512, 256, 10], batch: 1024 },
  { name: 'W5', widths: [1024, 2048, 2048, 1000], batch: 512 },
  { name: 'W6', widths: [2048, 4096, 4096, 4096, 1000], batch: 256 },
];

const WAYS: readonly Sharing[] = ['micro-batches', 'tiles'];

function modelOf({ widths }: Shape): ModelSpec {
  const [inputs, ...units] = widths as [number, ...number[]]; // no shape is empty
  const layers = units.flatMap((width) => [{ kind: 'dense', units: width } as const, { kind: 'relu' } as const]);
  return {
    inputs,
    outputs: units.at(-1) ?? inputs,
    layers: layers.slice(0, -1),
    loss: { kind: 'softmaxCrossEntropy' },
    init: 'auto',
  };
}

/** Numbers in [-1, 1) that look random enough to be multiplied. */
const fill = (values: Float32Array, scale: number): Float32Array => {
  let state = 1;
  for (let i = 0; i < values.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    values[i] = (state / 2 ** 31) * scale;
  }
  return values;
};

async function open(shape: Shape, microBatches: number, threads: number, sharing: Sharing): Promise<WorkerEngine> {
  const { batch } = shape;
  const model = modelOf(shape);
  const base = { kernel: 'wasm', threads, cores: threads, model, seed: 1, trainSamples: batch, microBatches } as const;
  const engine = await openWorkerEngine({ ...base, batch, sharing });
  fill(engine.stagedWeights, 1 / 32);
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

async function measure(shape: Shape, microBatches: number, threads: number, rounds: number): Promise<Measured[]> {
  const ways: { readonly way: string; readonly engine: WorkerEngine; readonly milliseconds: number[] }[] = [];
  const hashes = new Set<string>();
  try {
    ways.push({ way: 'one thread', engine: await open(shape, microBatches, 1, 'micro-batches'), milliseconds: [] });
    for (const way of WAYS) {
      const engine = await open(shape, microBatches, threads, way);
      ways.push({ way, engine, milliseconds: [] });
    }
    for (let round = -1; round < rounds; round++) {
      for (const { engine, milliseconds } of ways) {
        const request = { epoch: 0, firstPosition: 0, endPosition: shape.batch, begin: 0, end: microBatches };
        const { computeMs, gradientHash } = await engine.computeGradient(request);
        if (round >= 0) milliseconds.push(computeMs); // the first round warms up
        hashes.add(gradientHash);
      }
    }
  } finally {
    for (const { engine } of ways) await engine[Symbol.asyncDispose]();
  }
  if (hashes.size !== 1) throw new Error(`${shape.name}: threads gave ${hashes.size} different gradients`);
  return ways;
}

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      threads: { type: 'string', default: '2' },
      rounds: { type: 'string', default: '7' },
      'micro-batches': { type: 'string' },
      only: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const threads = Number(values.threads);
  const rows = [];
  for (const shape of SHAPES.filter(({ name }) => values.only === undefined || name === values.only)) {
    const { parameterCount } = compileModel(modelOf(shape));
    const microBatches = Number(values['micro-batches'] ?? autoMicroBatches(shape.batch, parameterCount));
    const [alone, ...together] = await measure(shape, microBatches, threads, Number(values.rounds));
    if (alone === undefined) continue;
    for (const { way, milliseconds } of together) {
      const ratios = milliseconds.map((time, round) => (alone.milliseconds[round] ?? Number.NaN) / time);
      rows.push({
        model: shape.name,
        microBatches,
        way,
        ratio: median(ratios),
        bestRatio: Math.min(...alone.milliseconds) / Math.min(...milliseconds),
        milliseconds: median(milliseconds),
        oneThreadMilliseconds: median(alone.milliseconds),
      });
    }
  }
  if (values.json) {
    process.stdout.write(`${JSON.stringify(rows)}\n`);
    return;
  }
  const table = new Table({ head: ['model', 'M', 'shared by', `${threads} : 1`, '(best)', 'ms', 'ms, 1 thread'] });
  for (const row of rows) {
    const ratios = [row.ratio.toFixed(2), `(${row.bestRatio.toFixed(2)})`];
    const times = [row.milliseconds.toFixed(1), row.oneThreadMilliseconds.toFixed(1)];
    table.push([row.model, row.microBatches, row.way, ...ratios, ...times]);
  }
  process.stdout.write(`${table.toString()}\n`);
}

await main();
