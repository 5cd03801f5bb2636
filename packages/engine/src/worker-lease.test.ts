import assert from 'node:assert/strict';
import { test } from 'vitest';
import { type ModelSpec, type OptimizerSpec, WIRE_FORMATS, type WireFormat } from '#kernel';
import { MOST_LEASE_STEPS as MOST_OF_THE_PROTOCOL } from '#training';
import { openAveragerEngine } from './averager-engine.js';
import { BLAS_LIBRARY, hasBlas } from './blas.fixture.js';
import {
  assertSameBits,
  BATCH,
  giveWeights,
  initialWeights,
  MICRO_BATCHES,
  MODEL,
  optionsOf,
  prepare,
  receiveWeights,
  TRAIN_SAMPLES,
  WIDE_MODEL,
} from './engine.fixture.js';
import type { KernelName, LeaseRequest, LeaseResult, WorkerEngine, WorkerEngineOptions } from './engine.js';
import { MOST_LEASE_STEPS } from './lease-commands.js';
import { openWorkerEngine } from './worker-engine.js';

const ADAM = { kind: 'adam', learningRate: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } as const;
const LAMB: OptimizerSpec = { ...ADAM, kind: 'lamb', epsilon: 1e-6, weightDecay: 0.01 };
const OPTIMIZERS: readonly OptimizerSpec[] = [
  { kind: 'sgd', learningRate: 0.1 },
  { kind: 'momentum', learningRate: 0.01, momentum: 0.9, nesterov: true },
  { kind: 'adagrad', learningRate: 0.01, epsilon: 1e-10 },
  { kind: 'rmsprop', learningRate: 0.01, decay: 0.99, epsilon: 1e-8, momentum: 0.9 },
  ADAM,
  { ...ADAM, kind: 'adamw', weightDecay: 0.01 },
  LAMB,
];
const CLIP_NORM = 0.5;
const BLAS = BLAS_LIBRARY === undefined ? {} : { blasLibrary: BLAS_LIBRARY };
const EPOCHS = 2;
const STEPS_PER_EPOCH = Math.ceil(TRAIN_SAMPLES / BATCH);

type Update = NonNullable<WorkerEngineOptions['update']>;

/** One lease an epoch; the last step of each is a short one. The learning rate changes with every step. */
function leaseOf(epoch: number): LeaseRequest {
  const firstStep = epoch * STEPS_PER_EPOCH;
  const steps = Array.from({ length: STEPS_PER_EPOCH }, (_, index) => ({
    firstPosition: index * BATCH,
    endPosition: Math.min((index + 1) * BATCH, TRAIN_SAMPLES),
    learningRate: 0.01 / (1 + firstStep + index),
  }));
  return { epoch, firstStep, steps };
}

function updateOf(optimizer: OptimizerSpec): Update {
  return { optimizer, clipNorm: CLIP_NORM, ...('weightDecay' in optimizer ? {} : { l2: 0.02 }) };
}

interface Trained {
  readonly leases: readonly Pick<LeaseResult, 'startHash' | 'steps'>[];
  readonly state: Float32Array;
}

/** The same steps, one by one: a worker's gradient, then the averager. */
async function stepByStep(
  kernel: KernelName,
  update: Update,
  model: ModelSpec,
  wire: WireFormat = 'float32',
): Promise<Trained> {
  await using worker = await openWorkerEngine({ ...optionsOf(kernel, 1, model), ...BLAS, wire });
  await using averager = await openAveragerEngine({
    kernel,
    threads: 1,
    model,
    microBatches: MICRO_BATCHES,
    ...{ ...BLAS, wire, seed: 11 },
    ...update,
  });
  averager.weights.set(initialWeights(model));
  prepare(worker, model);
  const leases: LeaseResult[] = [];
  let weightsHash = '';
  for (let epoch = 0; epoch < EPOCHS; epoch++) {
    const { firstStep, steps } = leaseOf(epoch);
    const startHash = weightsHash;
    const records: LeaseResult['steps'][number][] = [];
    for (const [index, { firstPosition, endPosition, learningRate }] of steps.entries()) {
      const block = { begin: 0, end: MICRO_BATCHES };
      const {
        gradient,
        computeMs: _,
        ...record
      } = await worker.computeGradient({
        ...{ step: firstStep + index, epoch, firstPosition, endPosition },
        ...block,
      });
      averager.inbox(0).set(gradient);
      const { computeMs: __, ...averaged } = await averager.average({
        step: firstStep + index,
        blocks: [{ slot: 0, ...block }],
        sampleCount: endPosition - firstPosition,
        learningRate,
        clipNorm: CLIP_NORM,
      });
      weightsHash = averaged.weightsHash;
      records.push({ ...record, ...averaged });
      receiveWeights(worker, averager);
    }
    leases.push({ startHash, steps: records, computeMs: 0 });
  }
  const state = new Float32Array(averager.weights.length + averager.optimizerState.length);
  state.set(averager.weights);
  state.set(averager.optimizerState, averager.weights.length);
  return { leases, state };
}

async function byLeases(options: WorkerEngineOptions): Promise<Trained> {
  await using worker = prepare(await openWorkerEngine(options), options.model);
  const leases: LeaseResult[] = [];
  for (let epoch = 0; epoch < EPOCHS; epoch++) {
    const result = await leaseOfEngine(worker).run(leaseOf(epoch));
    assert.ok(result.computeMs > 0);
    leases.push(result);
  }
  return { leases, state: new Float32Array(await leaseOfEngine(worker).snapshot()) };
}

function leaseOfEngine({ lease }: WorkerEngine) {
  assert.ok(lease !== undefined);
  return lease;
}

function assertSame(actual: Trained, expected: Trained, what: string): void {
  for (const [index, { startHash, steps }] of expected.leases.entries()) {
    assert.deepEqual(actual.leases[index]?.steps, steps, what);
    if (startHash !== '') assert.equal(actual.leases[index]?.startHash, startHash, what);
  }
  assertSameBits(actual.state, expected.state);
}

test('a lease leaves the bits, hashes and sums of its steps one by one, with every optimizer and either kernel', async () => {
  for (const optimizer of OPTIMIZERS) {
    const update = updateOf(optimizer);
    const expected = await stepByStep('js', update, MODEL);
    assert.equal(new Set(expected.leases.flatMap(({ steps }) => steps.map((step) => step.weightsHash))).size, 6);
    for (const kernel of ['js', 'wasm'] as const) {
      assertSame(await byLeases({ ...optionsOf(kernel, 2), update }), expected, `${optimizer.kind} ${kernel}`);
    }
  }
});

test.each(WIRE_FORMATS)(
  'in %s, a lease leaves the same bits for any number of threads, however they share the work',
  async (wire) => {
    for (const optimizer of [ADAM, LAMB]) {
      const update = updateOf(optimizer);
      const expected = await stepByStep('wasm', update, WIDE_MODEL, wire);
      for (const threads of [1, 2, 3]) {
        for (const sharing of ['tiles', 'micro-batches'] as const) {
          const options = { ...optionsOf('wasm', threads, WIDE_MODEL), update, sharing, cores: threads, wire };
          assertSame(await byLeases(options), expected, `${optimizer.kind} ${threads} ${sharing}`);
        }
      }
    }
  },
);

test.each(WIRE_FORMATS)('in %s, a lease has the bits of its steps with kernels that are not portable', async (wire) => {
  const update = updateOf(ADAM);
  for (const kernel of hasBlas ? (['wasm-fma', 'blas'] as const) : (['wasm-fma'] as const)) {
    const expected = await stepByStep(kernel, update, MODEL, wire);
    assertSame(await byLeases({ ...optionsOf(kernel, 2), ...BLAS, update, wire }), expected, kernel);
  }
});

test('a lease stops before the update of a step that is not finite, and keeps what came before it', async () => {
  const update: Update = { optimizer: { kind: 'sgd', learningRate: 1 } };
  for (const threads of [1, 2]) {
    await using worker = prepare(await openWorkerEngine({ ...optionsOf('wasm', threads), update }));
    const { steps, ...request } = leaseOf(0);
    const wild = steps.map((step, index) => ({ ...step, learningRate: index === 0 ? 1e300 : 0.1 }));
    const result = await leaseOfEngine(worker).run({ ...request, steps: wild });
    assert.deepEqual(
      result.steps.map(({ finite }) => finite),
      [true, false],
    );
    const first = await openWorkerEngine({ ...optionsOf('wasm', 1), update });
    await using calm = prepare(first);
    const only = await leaseOfEngine(calm).run({ ...request, steps: wild.slice(0, 1) });
    assert.deepEqual(only.steps, result.steps.slice(0, 1));
    assertSameBits(await leaseOfEngine(worker).snapshot(), await leaseOfEngine(calm).snapshot());
  }
});

test.each(WIRE_FORMATS)(
  'in %s, the next lease goes on from weights and optimizer state that were received',
  async (wire) => {
    const update = updateOf(ADAM);
    await using first = prepare(await openWorkerEngine({ ...optionsOf('wasm', 1), update, wire }));
    await leaseOfEngine(first).run(leaseOf(0));
    const between = new Float32Array(await leaseOfEngine(first).snapshot());
    const goesOn = await leaseOfEngine(first).run(leaseOf(1));
    await using second = prepare(await openWorkerEngine({ ...optionsOf('wasm', 2), update, wire }));
    giveWeights(second, between.subarray(0, second.parameterCount));
    leaseOfEngine(second).optimizerState.set(between.subarray(second.parameterCount));
    const takenOver = await leaseOfEngine(second).run(leaseOf(1));
    assert.deepEqual(takenOver.steps, goesOn.steps);
    assert.equal(takenOver.startHash, goesOn.startHash);
  },
);

test('what a lease left behind is adopted when its weights have the hash that was promised, and not otherwise', async () => {
  const update = updateOf(ADAM);
  await using worker = prepare(await openWorkerEngine({ ...optionsOf('wasm', 1), update }));
  const { steps } = await leaseOfEngine(worker).run(leaseOf(0));
  const state = await leaseOfEngine(worker).snapshot();
  const options = { kernel: 'wasm', threads: 2, model: MODEL, microBatches: MICRO_BATCHES, leases: true } as const;
  await using averager = await openAveragerEngine({ ...options, ...update });
  const before = initialWeights();
  averager.weights.set(before);
  averager.leasePlace(1).set(state);
  const weightsHash = steps.at(-1)!.weightsHash;
  assert.equal(await averager.adopt({ place: 0, weightsHash }), false);
  assertSameBits(averager.weights, before);
  assert.equal(await averager.adopt({ place: 1, weightsHash }), true);
  assertSameBits(averager.weights, state.slice(0, averager.parameterCount));
  assertSameBits(averager.optimizerState, state.slice(averager.parameterCount));
  assert.throws(() => averager.leasePlace(averager.leasePlaces), RangeError);
});

test('leases out of range are refused, and an engine opened without room for them has none', async () => {
  await using plain = await openWorkerEngine(optionsOf('js', 1));
  assert.equal(plain.lease, undefined);
  await using worker = prepare(await openWorkerEngine({ ...optionsOf('js', 1), update: updateOf(ADAM) }));
  const lease = leaseOfEngine(worker);
  const { steps, ...request } = leaseOf(0);
  const [step] = steps;
  assert.ok(step !== undefined);
  assert.equal(MOST_LEASE_STEPS, MOST_OF_THE_PROTOCOL);
  for (const wrong of [
    { steps: [] },
    { steps: Array.from({ length: MOST_LEASE_STEPS + 1 }, () => step) },
    { steps: [{ ...step, endPosition: step.firstPosition }] },
    { steps: [{ ...step, endPosition: TRAIN_SAMPLES + 1 }] },
    { steps: [{ ...step, learningRate: Number.NaN }] },
    { steps: [step], epoch: -1 },
  ]) {
    await assert.rejects(lease.run({ ...request, ...wrong }), RangeError, JSON.stringify(wrong).slice(0, 80));
  }
});
