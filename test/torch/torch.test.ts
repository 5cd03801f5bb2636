/** Small trainings through the real engines, held against what PyTorch makes of them (`write-reference.py`). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type KernelName, openAveragerEngine, openWorkerEngine, type WorkerEngine } from '#engine';
import { compileModel, learningRateAt, type ModelSpec, type OptimizerSpec, type ScheduleSpec } from '#kernel';

/** The first line of the reference. */
interface Setting {
  readonly steps: number;
  readonly samples: number;
  /** [samples, F] */
  readonly features: readonly number[];
  readonly models: Readonly<Record<string, ReferenceModel>>;
}

interface ReferenceModel {
  readonly spec: ModelSpec;
  readonly targets: readonly number[];
  /** [P] before the first step. */
  readonly weights: readonly number[];
}

/** Each further line: one training. */
interface Training {
  readonly name: string;
  readonly model: string;
  readonly optimizer: OptimizerSpec;
  readonly schedule: ScheduleSpec;
  readonly clipNorm?: number;
  readonly l2?: number;
  /** Of the first steps. */
  readonly losses: readonly number[];
  /** Learning rate of every step, where it changes. */
  readonly rates?: readonly number[];
  /** [P] after the last step. */
  readonly weights: readonly number[];
}

/** dist/test/torch/torch.test.js -> the checkout. */
const root = fileURLToPath(new URL('../../../', import.meta.url));
const [first, ...lines] = readFileSync(join(root, 'test/torch/reference.ndjson'), 'utf8').trim().split('\n');
// Written by the script beside it, in these shapes.
const setting = JSON.parse(first ?? '') as Setting;
const trainings = lines.map((line) => JSON.parse(line) as Training);
const scheduled = trainings.flatMap((training) =>
  training.rates === undefined ? [] : [{ ...training, rates: training.rates }],
);

const { steps, samples } = setting;
const MICRO_BATCHES = 4;
const WHOLE = { begin: 0, end: MICRO_BATCHES };

test('the reference has every optimizer, plain and with decay, and every schedule', () => {
  const kinds = new Set(trainings.map(({ optimizer }) => optimizer.kind));
  expect([...kinds]).toEqual(['sgd', 'momentum', 'adagrad', 'rmsprop', 'adam', 'adamw', 'lamb']);
  const decayed = new Set(trainings.filter(({ l2 }) => l2 !== undefined).map(({ optimizer }) => optimizer.kind));
  expect([...decayed]).toEqual(['sgd', 'momentum', 'adagrad', 'rmsprop', 'adam']);
  const shapes = new Set(scheduled.map(({ schedule }) => schedule.after.kind));
  expect([...shapes]).toEqual(['step', 'exponential', 'linear', 'cosine', 'constant']);
});

test.each(scheduled)('the schedule of "$name" has the rates of PyTorch', ({ schedule, optimizer, rates }) => {
  const ours = rates.map((_, step) => learningRateAt(schedule, optimizer, step, steps));
  for (const [step, rate] of rates.entries()) {
    expect(Math.abs(ours[step]! - rate), `step ${step}`).toBeLessThanOrEqual(1e-12 * optimizer.learningRate);
  }
});

describe.each<KernelName>(['js', 'wasm'])('%s', (kernel) => {
  const workers = new Map<string, WorkerEngine>();

  beforeAll(async () => {
    for (const [name, model] of Object.entries(setting.models)) workers.set(name, await openWorker(kernel, model));
  });

  afterAll(async () => {
    for (const worker of workers.values()) await worker[Symbol.asyncDispose]();
  });

  test.each(trainings)('$name: the losses of PyTorch, and after all steps its weights', async (training) => {
    const { losses, weights } = await train(kernel, workers.get(training.model)!, training);
    for (const [step, loss] of training.losses.entries()) {
      expect(Math.abs(losses[step]! / loss - 1), `loss of step ${step}`).toBeLessThanOrEqual(1e-5);
    }
    for (const { name, offset, size } of compileModel(modelOf(training).spec).parameters) {
      const expected = training.weights.slice(offset, offset + size);
      const largest = Math.max(...expected.map(Math.abs));
      const error = Math.max(...expected.map((weight, i) => Math.abs(weight - weights[offset + i]!)));
      expect(error / largest, name).toBeLessThanOrEqual(1e-4);
    }
  });
});

function modelOf({ model }: Training): ReferenceModel {
  const found = setting.models[model];
  if (found === undefined) throw new Error(`the reference has no model ${model}`);
  return found;
}

/** A worker that knows all samples. */
async function openWorker(kernel: KernelName, { spec, targets }: ReferenceModel): Promise<WorkerEngine> {
  const worker = await openWorkerEngine({
    kernel,
    threads: 1,
    model: spec,
    seed: 1,
    trainSamples: samples,
    batch: samples,
    microBatches: MICRO_BATCHES,
  });
  const shared = (values: readonly number[]): Float32Array<SharedArrayBuffer> => {
    const floats = new Float32Array(new SharedArrayBuffer(4 * values.length));
    floats.set(values);
    return floats;
  };
  const rows = { features: shared(setting.features), targets: shared(targets) };
  worker.addShard({ split: 'train', begin: 0, end: samples, ...rows });
  return worker;
}

/** One step an epoch, of all samples. */
async function train(
  kernel: KernelName,
  worker: WorkerEngine,
  training: Training,
): Promise<{ readonly losses: readonly number[]; readonly weights: Float32Array }> {
  const { optimizer, schedule, clipNorm, l2 } = training;
  const { spec: model, weights } = modelOf(training);
  await using averager = await openAveragerEngine({
    kernel,
    threads: 1,
    model,
    optimizer,
    ...(l2 === undefined ? {} : { l2 }),
    microBatches: MICRO_BATCHES,
  });
  averager.weights.set(weights);
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    worker.stagedWeights.set(averager.weights);
    worker.adoptStagedWeights();
    const block = { step, epoch: step, firstPosition: 0, endPosition: samples, ...WHOLE };
    const { gradient, lossSum } = await worker.computeGradient(block);
    losses.push(lossSum / samples);
    averager.inbox(0).set(gradient);
    await averager.average({
      step,
      blocks: [{ slot: 0, ...WHOLE }],
      sampleCount: samples,
      learningRate: learningRateAt(schedule, optimizer, step, steps),
      ...(clipNorm === undefined ? {} : { clipNorm }),
    });
  }
  return { losses, weights: averager.weights.slice() };
}
