import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { microBatchRange, type OptimizerSpec, WIRE_FORMATS, type WireFormat } from '#kernel';
import { openAveragerEngine } from './averager-engine.js';
import {
  asFloats,
  assertSameBits,
  bfloat16Of,
  bitsOf,
  giveWeights,
  initialWeights,
  MODEL,
  optionsOf,
  prepare,
  receiveWeights,
  roundedToBfloat16,
  TRAIN_SAMPLES,
  WIDE_MODEL,
} from './engine.fixture.js';
import type { GradientRequest, LocalOptions, WorkerEngine, WorkerEngineOptions } from './engine.js';
import { openWorkerEngine } from './worker-engine.js';

const ADAM = { kind: 'adam', learningRate: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } as const;
const OPTIMIZERS: readonly OptimizerSpec[] = [
  { kind: 'sgd', learningRate: 0.1 },
  { kind: 'momentum', learningRate: 0.01, momentum: 0.9, nesterov: true },
  ADAM,
  { ...ADAM, kind: 'lamb', weightDecay: 0.01 },
];
const REPLICAS = 4;
/** Seven samples, so that a replica's share of 30 is four local steps and two samples more. */
const LOCAL = { steps: 6, batch: 7, microBatches: 2, clipNorm: 0.5 } as const;
/** 121 samples among four replicas: 30, 30, 30 and 31. */
const ROUND = { step: 3, epoch: 1, firstPosition: 20, endPosition: 141 } as const;
const RATES = [0.02, 0.01, 0.03, 0.01, 0.02];

const localOf = (optimizer: OptimizerSpec, more: Partial<LocalOptions> = {}): WorkerEngineOptions['local'] => ({
  ...LOCAL,
  optimizer,
  ...('weightDecay' in optimizer ? {} : { l2: 0.02 }),
  ...more,
});

function optionsOfRound(optimizer: OptimizerSpec, threads = 1, wire: WireFormat = 'float32'): WorkerEngineOptions {
  const local = localOf(optimizer);
  return {
    ...optionsOf('wasm', threads),
    ...{ batch: LOCAL.steps * LOCAL.batch * REPLICAS, microBatches: REPLICAS, wire },
    ...(local === undefined ? {} : { local }),
  };
}

const block = (begin: number, end: number): GradientRequest => ({ ...ROUND, begin, end, learningRates: RATES });

/** The definition: a worker that knows nothing of replicas makes the steps of one, as a lease from fresh optimizer state. */
async function differenceOf(replica: number, optimizer: OptimizerSpec, weights: Float32Array): Promise<Float32Array> {
  const { clipNorm, batch, microBatches } = LOCAL;
  const update = { optimizer, clipNorm, ...('weightDecay' in optimizer ? {} : { l2: 0.02 }) };
  await using worker = prepare(await openWorkerEngine({ ...optionsOf('js', 1), batch, microBatches, update }));
  giveWeights(worker, weights);
  const { begin, end } = microBatchRange(ROUND.firstPosition, ROUND.endPosition, REPLICAS, replica);
  const steps = RATES.map((learningRate, index) => ({
    firstPosition: begin + index * batch,
    endPosition: Math.min(begin + (index + 1) * batch, end),
    learningRate,
  }));
  assert.ok(worker.lease !== undefined);
  await worker.lease.run({ epoch: ROUND.epoch, firstStep: 0, steps });
  const after = await worker.lease.snapshot();
  return weights.map((weight, p) => weight - after[p]!);
}

async function openRound(options: WorkerEngineOptions): Promise<WorkerEngine> {
  return prepare(await openWorkerEngine(options));
}

test('a replica leaves the difference that its steps make one by one, whatever the optimizer', async () => {
  for (const optimizer of OPTIMIZERS) {
    await using worker = await openRound(optionsOfRound(optimizer));
    for (let replica = 0; replica < REPLICAS; replica++) {
      const result = await worker.computeGradient(block(replica, replica + 1));
      assertSameBits(result.gradient, await differenceOf(replica, optimizer, initialWeights()));
      assert.equal(result.sampleCount, replica === 3 ? 31 : 30, optimizer.kind);
    }
  }
});

test('in bfloat16 a replica begins with the weights as they travelled, and its difference is rounded once', async () => {
  await using worker = await openRound(optionsOfRound(ADAM, 1, 'bfloat16'));
  const result = await worker.computeGradient(block(1, 2));
  const difference = await differenceOf(1, ADAM, roundedToBfloat16(initialWeights()));
  const padded = new Uint8Array(result.gradient.byteLength);
  padded.set(new Uint8Array(bfloat16Of(difference).buffer));
  assertSameBits(result.gradient, padded);
});

test('blocks are the sums of their replicas, left to right', async () => {
  await using worker = await openRound(optionsOfRound(ADAM));
  const one = async (begin: number, end: number): Promise<Float32Array> =>
    asFloats(new Uint8Array((await worker.computeGradient(block(begin, end))).gradient));
  const [first, second, third, fourth] = [await one(0, 1), await one(1, 2), await one(2, 3), await one(3, 4)];
  const add = (left: Float32Array, right: Float32Array): Float32Array => left.map((value, p) => value + right[p]!);
  assertSameBits(await one(0, 4), add(add(first, second), add(third, fourth)));
});

/** The weights' hash after two rounds, whose replicas are shared out as said. */
async function trainRounds(
  options: WorkerEngineOptions,
  cut: readonly (readonly [number, number])[],
): Promise<{ readonly hashes: readonly string[]; readonly losses: readonly number[] }> {
  const { model, wire = 'float32' } = options;
  await using worker = prepare(await openWorkerEngine(options), model);
  await using averager = await openAveragerEngine({
    ...{ kernel: 'wasm', threads: 1, model, microBatches: REPLICAS, wire, seed: 11 },
    optimizer: { kind: 'momentum', learningRate: 0.7, momentum: 0.9, nesterov: true },
  });
  averager.weights.set(initialWeights(model));
  const hashes: string[] = [];
  const losses: number[] = [];
  for (let step = 0; step < 2; step++) {
    const blocks = [];
    for (const [slot, [begin, end]] of cut.entries()) {
      const result = await worker.computeGradient({ ...block(begin, end), step });
      averager.inbox(slot).set(result.gradient);
      blocks.push({ slot, begin, end });
      losses.push(result.lossSum);
    }
    const made = await averager.average({ step, blocks, sampleCount: REPLICAS, learningRate: 0.7 });
    assert.ok(made.finite);
    hashes.push(made.weightsHash);
    receiveWeights(worker, averager);
  }
  return { hashes, losses };
}

describe.each(WIRE_FORMATS)('in %s', (wire) => {
  test('two rounds give the same weights however threads and workers share the replicas', async () => {
    const options = { ...optionsOfRound(ADAM, 1, wire), model: WIDE_MODEL };
    const expected = await trainRounds(options, [[0, 4]]);
    assert.notEqual(expected.hashes[0], expected.hashes[1]);
    for (const threads of [1, 2, 3]) {
      for (const sharing of ['tiles', 'micro-batches'] as const) {
        const given = { ...options, threads, cores: threads, sharing };
        const whole = await trainRounds(given, [[0, 4]]);
        assert.deepEqual(whole, expected, `${threads} ${sharing}`);
      }
    }
    for (const cut of [
      [
        [0, 2],
        [2, 4],
      ],
      [
        [2, 4],
        [1, 2],
        [0, 1],
      ],
    ] as const) {
      assert.deepEqual((await trainRounds(options, cut)).hashes, expected.hashes, JSON.stringify(cut));
    }
  });

  test('a replica that diverges leaves no number, so that the round is not taken over', async () => {
    const { local, ...options } = optionsOfRound({ kind: 'sgd', learningRate: 1 }, 2, wire);
    assert.ok(local !== undefined);
    const { clipNorm: _, ...unclipped } = local;
    await using worker = await openRound({ ...options, local: unclipped });
    await using averager = await openAveragerEngine({
      ...{ kernel: 'wasm', threads: 1, model: MODEL, microBatches: REPLICAS, wire, seed: 11 },
      optimizer: { kind: 'momentum', learningRate: 0.7, momentum: 0.9, nesterov: true },
    });
    averager.weights.set(initialWeights());
    const before = bitsOf(averager.weights);
    const wild = RATES.map((rate, index) => (index === 1 ? 1e300 : rate));
    const result = await worker.computeGradient({ ...block(0, 4), learningRates: wild });
    averager.inbox(0).set(result.gradient);
    const blocks = [{ slot: 0, begin: 0, end: 4 }];
    const { finite } = await averager.average({ step: 0, blocks, sampleCount: REPLICAS, learningRate: 0.7 });
    assert.equal(finite, false);
    assertSameBits(averager.weights, before);
  });
});

test('one local step of plain descent, averaged without momentum, is the step of the whole batch but for rounding', async () => {
  const sgd = { kind: 'sgd', learningRate: 0.1 } as const;
  const cut = { step: 0, epoch: 0, firstPosition: 0, endPosition: 60, begin: 0, end: REPLICAS };
  const local = { steps: 1, batch: 15, microBatches: 1, optimizer: sgd };
  await using replicas = await openRound({ ...optionsOf('wasm', 1), batch: 60, microBatches: REPLICAS, local });
  await using plain = await openRound({ ...optionsOf('wasm', 1), batch: 60, microBatches: REPLICAS });
  const common = { kernel: 'wasm', threads: 1, model: MODEL, microBatches: REPLICAS } as const;
  await using outer = await openAveragerEngine({
    ...common,
    optimizer: { kind: 'momentum', learningRate: 1, momentum: 0, nesterov: true },
  });
  await using inner = await openAveragerEngine({ ...common, optimizer: sgd });
  for (const averager of [outer, inner]) averager.weights.set(initialWeights());
  outer.inbox(0).set((await replicas.computeGradient({ ...cut, learningRates: [0.1] })).gradient);
  inner.inbox(0).set((await plain.computeGradient(cut)).gradient);
  const blocks = [{ slot: 0, begin: 0, end: REPLICAS }];
  await outer.average({ step: 0, blocks, sampleCount: REPLICAS, learningRate: 1 });
  await inner.average({ step: 0, blocks, sampleCount: 60, learningRate: 0.1 });
  const moved = Math.max(...inner.weights.map((weight, p) => Math.abs(weight - initialWeights()[p]!)));
  const apart = Math.max(...inner.weights.map((weight, p) => Math.abs(weight - outer.weights[p]!)));
  assert.ok(moved > 1e-3, `the step moved a weight by ${moved}`);
  assert.ok(apart < 1e-7, `they differ by ${apart}`);
});

test('a round without as many learning rates as it has local steps is refused, and so are leases beside it', async () => {
  await using worker = await openRound(optionsOfRound(ADAM));
  assert.equal(worker.lease, undefined);
  for (const learningRates of [[], RATES.slice(1), [...RATES, 0.1], [...RATES.slice(1), Number.NaN]]) {
    await assert.rejects(worker.computeGradient({ ...block(0, 4), learningRates }), RangeError);
  }
  await assert.rejects(openWorkerEngine({ ...optionsOfRound(ADAM), update: { optimizer: ADAM } }), RangeError);
  await assert.rejects(
    worker.computeGradient({ ...block(0, 4), endPosition: TRAIN_SAMPLES + 1 }),
    RangeError,
    'a round beyond the split',
  );
});
