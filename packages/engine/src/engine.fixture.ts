/** For tests: a small problem, and what the engines must make of it, computed without threads, trees or shared memory. */
import assert from 'node:assert/strict';
import {
  addLossSums,
  compileModel,
  createJsKernel,
  KERNEL_RESERVED_BYTES,
  type LossSums,
  type ModelSpec,
  microBatchRange,
  samplePermutation,
} from '#kernel';
import type {
  AveragerEngine,
  GradientRequest,
  KernelName,
  ShardRows,
  SplitName,
  WorkerEngine,
  WorkerEngineOptions,
} from './engine.js';
import { patternedFloats } from './patterned-floats.js';

/** 18 415 parameters: two ranges, and not a multiple of four. */
export const MODEL: ModelSpec = {
  inputs: 40,
  outputs: 5,
  layers: [{ kind: 'dense', units: 400 }, { kind: 'tanh' }, { kind: 'dense', units: 5 }],
  loss: { kind: 'softmaxCrossEntropy' },
  init: 'auto',
};

/** 282 405 parameters: 18 ranges, enough for three threads to share an average. */
export const WIDE_MODEL: ModelSpec = {
  ...MODEL,
  inputs: 700,
};

/** With layers that drop units at random. */
export const DROPOUT_MODEL: ModelSpec = {
  ...MODEL,
  layers: [
    { kind: 'dropout', rate: 0.1 },
    { kind: 'dense', units: 33 },
    { kind: 'layerNorm', epsilon: 1e-5 },
    { kind: 'gelu' },
    { kind: 'dropout', rate: 0.5 },
    { kind: 'dense', units: 5 },
  ],
};

export const TRAIN_SAMPLES = 150;
export const BATCH = 61;
export const MICRO_BATCHES = 8;

export const optionsOf = (kernel: KernelName, threads: number, model: ModelSpec = MODEL): WorkerEngineOptions => ({
  kernel,
  threads,
  cores: threads,
  model,
  seed: 11,
  trainSamples: TRAIN_SAMPLES,
  batch: BATCH,
  microBatches: MICRO_BATCHES,
});

export const WHOLE_STEP: GradientRequest = {
  step: 4,
  epoch: 1,
  firstPosition: 61,
  endPosition: 122,
  begin: 0,
  end: MICRO_BATCHES,
};

/** Rows `[begin, end)`; every split has its own. */
export function rowsOf(split: SplitName, begin: number, end: number, model: ModelSpec = MODEL): ShardRows {
  const { inputs, outputs } = model;
  const all = patternedFloats(end * inputs, split.length, 1);
  const features = new Float32Array(new SharedArrayBuffer(4 * (end - begin) * inputs));
  features.set(all.subarray(begin * inputs));
  const classes = new Float32Array(new SharedArrayBuffer(4 * (end - begin)));
  for (let row = 0; row < end - begin; row++) classes[row] = ((begin + row) * 7) % outputs;
  return { split, begin, end, features, targets: classes };
}

export const initialWeights = (model: ModelSpec = MODEL): Float32Array =>
  patternedFloats(compileModel(model).parameterCount, 9, 1 / 8);

/** Gives an engine all of the training split, in shards of uneven size, and weights. */
export function prepare(engine: WorkerEngine, model: ModelSpec = MODEL): WorkerEngine {
  for (const [begin, end] of [
    [100, TRAIN_SAMPLES],
    [0, 33],
    [33, 100],
  ] as const)
    engine.addShard(rowsOf('train', begin, end, model));
  giveWeights(engine, initialWeights(model));
  return engine;
}

/** Makes these weights the current ones, as they would have travelled; leases go on from their float32. */
export function giveWeights({ lease, stagedWeights, adoptStagedWeights }: WorkerEngine, weights: Float32Array): void {
  if (lease !== undefined) {
    lease.receivedWeights.set(weights);
    lease.adoptReceived();
    return;
  }
  stagedWeights.set(stagedWeights instanceof Float32Array ? weights : bfloat16Of(weights));
  adoptStagedWeights();
}

/** What an averager would broadcast becomes current. */
export function receiveWeights(worker: WorkerEngine, { wireWeights }: AveragerEngine): void {
  const { buffer, byteOffset, byteLength } = worker.stagedWeights;
  new Uint8Array(buffer, byteOffset, byteLength).set(wireWeights);
  worker.adoptStagedWeights();
}

/** The definition of bfloat16: the upper half of a float32's bits, of the nearest one, ties to even. */
export const bfloat16Of = (floats: Float32Array): Uint16Array =>
  Uint16Array.from(bitsOf(floats), (bits) => (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16);

/** Floats rounded to bfloat16. */
export const roundedToBfloat16 = (floats: Float32Array): Float32Array =>
  new Float32Array(Uint32Array.from(bfloat16Of(floats), (bits) => bits << 16).buffer);

export interface Expected {
  readonly gradient: Float32Array;
  readonly sums: LossSums;
}

/** The definition of a block's gradient: micro-batches one by one with the plain kernel, then left + right, recursively. */
export function expectedGradient(
  request: GradientRequest,
  weights: Float32Array = initialWeights(),
  model: ModelSpec = MODEL,
  indexOf: (position: number) => number = samplePermutation(11, request.epoch, TRAIN_SAMPLES),
  roundNode: (node: Float32Array) => Float32Array = (node) => node,
): Expected {
  const program = compileModel(model);
  const { inputs } = model;
  const rows = rowsOf('train', 0, TRAIN_SAMPLES, model);
  const reduce = (begin: number, end: number): Expected => {
    if (end - begin > 1) {
      const middle = (begin + end) / 2;
      const [left, right] = [reduce(begin, middle), reduce(middle, end)];
      const gradient = left.gradient.map((value, p) => value + right.gradient[p]!);
      return { gradient: roundNode(gradient), sums: addLossSums(left.sums, right.sums) };
    }
    const range = microBatchRange(request.firstPosition, request.endPosition, MICRO_BATCHES, begin);
    const samples = range.end - range.begin;
    const run = plainRun(program, samples, weights);
    for (let row = 0; row < samples; row++) {
      const index = indexOf(range.begin + row);
      run.features.set(rows.features.subarray(index * inputs, (index + 1) * inputs), row * inputs);
      run.targets[row] = rows.targets[index]!;
    }
    const draws = { seed: 11, epoch: request.epoch, firstPosition: range.begin };
    const sums = run.kernel.gradient(program, { ...run.at, draws });
    return { gradient: roundNode(run.gradient), sums };
  };
  return reduce(request.begin, request.end);
}

/** The definition of an evaluation of the first `end` rows of a split: chunks of 256, left to right. */
export function expectedEvaluation(split: SplitName, begin: number, end: number, weights = initialWeights()): LossSums {
  const program = compileModel(MODEL);
  let total: LossSums | undefined;
  for (let from = begin; from < end; from += 256) {
    const rows = rowsOf(split, from, Math.min(end, from + 256));
    const run = plainRun(program, rows.end - rows.begin, weights);
    run.features.set(rows.features);
    run.targets.set(rows.targets);
    const sums = run.kernel.evaluate(program, run.at);
    total = total === undefined ? sums : addLossSums(total, sums);
  }
  if (total === undefined) throw new RangeError('nothing to evaluate');
  return total;
}

/** The plain kernel over memory laid out for one micro-batch. */
function plainRun(program: ReturnType<typeof compileModel>, samples: number, weights: Float32Array) {
  const { parameterCount: P, spec } = program;
  let end = KERNEL_RESERVED_BYTES;
  const take = (bytes: number): number => {
    const at = end;
    end += Math.ceil(bytes / 64) * 64;
    return at;
  };
  const at = {
    weights: take(4 * P),
    gradient: take(4 * P),
    features: take(4 * samples * spec.inputs),
    targets: take(4 * samples),
    scratch: take(program.scratchBytes(samples)),
    samples,
  };
  const buffer = new ArrayBuffer(end);
  new Float32Array(buffer, at.weights, P).set(weights);
  return {
    kernel: createJsKernel({ buffer }),
    at,
    gradient: new Float32Array(buffer, at.gradient, P),
    features: new Float32Array(buffer, at.features, samples * spec.inputs),
    targets: new Float32Array(buffer, at.targets, samples),
  };
}

/** A copy of the bits of floats, so that -0 and NaN count too. */
export const bitsOf = (floats: Float32Array | Uint8Array): Uint32Array =>
  new Uint32Array(floats.buffer, floats.byteOffset, floats.byteLength / 4).slice();

/** A float32 gradient or slot as numbers. */
export const asFloats = ({ buffer, byteOffset, byteLength }: Uint8Array): Float32Array =>
  new Float32Array(buffer, byteOffset, byteLength / 4);

type Floats = Float32Array | Uint8Array;

/** Says where two vectors differ first, without a diff of a hundred thousand numbers. */
export function assertSameBits(actual: Floats | Uint32Array, expected: Floats | Uint32Array): void {
  const [a, b] = [actual, expected].map((vector) => (vector instanceof Uint32Array ? vector : bitsOf(vector)));
  assert.equal(a!.length, b!.length);
  const at = a!.findIndex((bits, index) => bits !== b![index]);
  assert.ok(at === -1, `element ${at}: bits ${a![at]} instead of ${b![at]}`);
}
