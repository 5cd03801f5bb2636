import assert from 'node:assert/strict';
import fc from 'fast-check';
import { test } from 'vitest';
import { compileModel, scalesOffset } from '#kernel';
import {
  asFloats,
  assertSameBits,
  BATCH,
  bfloat16Of,
  DROPOUT_MODEL,
  expectedEvaluation,
  expectedGradient,
  initialWeights,
  MICRO_BATCHES,
  optionsOf,
  prepare,
  roundedToBfloat16,
  rowsOf,
  TRAIN_SAMPLES,
  WHOLE_STEP,
  WIDE_MODEL,
} from './engine.fixture.js';
import type { KernelName, Sharing, WorkerEngine } from './engine.js';
import { MissingRowError } from './engine-errors.js';
import { planWorkerMemory } from './memory-plan.js';
import { openWorkerEngine } from './worker-engine.js';

const KERNELS: readonly KernelName[] = ['js', 'wasm'];
const SHARINGS: readonly Sharing[] = ['micro-batches', 'tiles'];

/** The loss sums of a result, without what else it holds. */
const sumsOf = ({
  sampleCount,
  lossSum,
  correctCount,
  squaredErrorSum,
  targetSum,
  targetSquareSum,
}: {
  readonly sampleCount: number;
  readonly lossSum: number;
  readonly correctCount: number;
  readonly squaredErrorSum: number;
  readonly targetSum: number;
  readonly targetSquareSum: number;
}) => ({ sampleCount, lossSum, correctCount, squaredErrorSum, targetSum, targetSquareSum });

async function withEngine(
  kernel: KernelName,
  threads: number,
  use: (engine: WorkerEngine) => Promise<void>,
  sharing?: Sharing,
): Promise<void> {
  const options = optionsOf(kernel, threads);
  await using engine = await openWorkerEngine(sharing === undefined ? options : { ...options, sharing });
  await use(prepare(engine));
}

for (const kernel of KERNELS) {
  test(`${kernel}: a step's gradient and sums have the bits of their definition for 1 to 4 threads, however they share it`, async () => {
    const expected = expectedGradient(WHOLE_STEP);
    const hashes = new Set<string>();
    for (const threads of [1, 2, 3, 4]) {
      for (const sharing of SHARINGS) {
        const compute = async (engine: WorkerEngine): Promise<void> => {
          for (let repeat = 0; repeat < 3; repeat++) {
            const result = await engine.computeGradient(WHOLE_STEP);
            assertSameBits(result.gradient, expected.gradient);
            assert.deepEqual(sumsOf(result), expected.sums);
            assert.ok(result.computeMs > 0);
            hashes.add(result.gradientHash);
          }
        };
        await withEngine(kernel, threads, compute, sharing);
      }
    }
    assert.equal(hashes.size, 1);
    assert.match([...hashes][0]!, /^[0-9a-f]{16}$/);
  });
}

test.each(KERNELS)(
  '%s: the same units are dropped whoever computes which block, with any number of threads',
  async (kernel) => {
    const weights = initialWeights(DROPOUT_MODEL);
    for (const threads of [1, 3]) {
      await using engine = await openWorkerEngine(optionsOf(kernel, threads, DROPOUT_MODEL));
      prepare(engine, DROPOUT_MODEL);
      for (const [begin, end] of [
        [0, MICRO_BATCHES],
        [2, 4],
        [5, 6],
      ] as const) {
        const request = { ...WHOLE_STEP, begin, end };
        const expected = expectedGradient(request, weights, DROPOUT_MODEL);
        const result = await engine.computeGradient(request);
        assertSameBits(result.gradient, expected.gradient);
        assert.deepEqual(sumsOf(result), expected.sums);
      }
      const other = await engine.computeGradient({ ...WHOLE_STEP, epoch: 2 });
      const again = expectedGradient({ ...WHOLE_STEP, epoch: 2 }, weights, DROPOUT_MODEL);
      assertSameBits(other.gradient, again.gradient);
    }
  },
);

test('without shuffling, every epoch takes the samples as they stand in the split', async () => {
  for (const [threads, sharing] of [
    [1, 'micro-batches'],
    [3, 'micro-batches'],
    [3, 'tiles'],
  ] as const) {
    await using engine = await openWorkerEngine({ ...optionsOf('js', threads), sharing, shuffle: false });
    prepare(engine);
    for (const epoch of [0, 5]) {
      const request = { ...WHOLE_STEP, epoch };
      const expected = expectedGradient(request, initialWeights(), undefined, (position) => position);
      const result = await engine.computeGradient(request);
      assertSameBits(result.gradient, expected.gradient);
      assert.deepEqual(sumsOf(result), expected.sums);
    }
  }
});

test('a training split too large for the kernel memory is computed from its shards, with the same bits', async () => {
  const trainSamples = 2 ** 25; // of 40 features: 5 GB
  for (const sharing of ['micro-batches', 'tiles'] as const) {
    const options = { ...optionsOf('wasm', 2), trainSamples, shuffle: false, sharing };
    assert.equal(planWorkerMemory(options).trainingRows, undefined);
    await using engine = await openWorkerEngine(options);
    prepare(engine);
    const expected = expectedGradient(WHOLE_STEP, initialWeights(), undefined, (position) => position);
    assertSameBits((await engine.computeGradient(WHOLE_STEP)).gradient, expected.gradient);
  }
});

test('training rows are taken over: what becomes of the arrays of their shard afterwards changes nothing', async () => {
  for (const shuffle of [true, false]) {
    await using engine = await openWorkerEngine({ ...optionsOf('wasm', 2), shuffle });
    prepare(engine);
    const { gradientHash } = await engine.computeGradient(WHOLE_STEP);
    const again = rowsOf('train', 33, 100);
    engine.addShard(again);
    again.features.fill(Number.NaN);
    assert.equal((await engine.computeGradient(WHOLE_STEP)).gradientHash, gradientHash);
    engine.addShard(again);
    assert.notEqual((await engine.computeGradient(WHOLE_STEP)).gradientHash, gradientHash);
  }
});

test('training rows that are not among those of the split are refused', async () => {
  await using engine = await openWorkerEngine(optionsOf('js', 1));
  assert.throws(() => engine.addShard(rowsOf('train', 140, TRAIN_SAMPLES + 1)), /\[140, 151\) are not among the 150/);
  engine.addShard(rowsOf('validation', 140, TRAIN_SAMPLES + 1)); // which may have any number
});

test('a model wide enough to be cut into many tiles has the same gradient for any threads and sharing', async () => {
  const hashes = new Set<string>();
  for (const [threads, sharing] of [
    [1, 'micro-batches'],
    [2, 'micro-batches'],
    [1, 'tiles'],
    [2, 'tiles'],
    [3, 'tiles'],
  ] as const) {
    await using engine = await openWorkerEngine({ ...optionsOf('wasm', threads, WIDE_MODEL), sharing });
    prepare(engine, WIDE_MODEL);
    for (const [begin, end] of [
      [0, MICRO_BATCHES],
      [4, 8],
      [5, 6],
    ] as const) {
      const { gradientHash } = await engine.computeGradient({ ...WHOLE_STEP, begin, end });
      hashes.add(`${begin}-${end}: ${gradientHash}`);
    }
  }
  assert.equal(hashes.size, 3, [...hashes].join('\n'));
});

test.each([
  ['micro-batches', 2],
  ['tiles', 2],
  ['tiles', 3],
] as const)(
  'shared by %s, every block of a short last batch has the bits of its definition on %i threads, empty micro-batches included',
  async (sharing, threads) => {
    const blocks = fc
      .nat({ max: 3 })
      .chain((depth) =>
        fc
          .nat({ max: MICRO_BATCHES / 2 ** depth - 1 })
          .map((at) => ({ begin: at * 2 ** depth, end: (at + 1) * 2 ** depth })),
      );
    const lengths = fc.integer({ min: 1, max: 9 });
    const check = async (engine: WorkerEngine): Promise<void> => {
      await fc.assert(
        fc.asyncProperty(blocks, lengths, fc.nat({ max: 3 }), async (block, length, epoch) => {
          const request = {
            step: 9,
            epoch,
            firstPosition: TRAIN_SAMPLES - length,
            endPosition: TRAIN_SAMPLES,
            ...block,
          };
          const result = await engine.computeGradient(request);
          const expected = expectedGradient(request);
          assertSameBits(result.gradient, expected.gradient);
          assert.deepEqual(sumsOf(result), expected.sums);
        }),
        { numRuns: 25 },
      );
    };
    await withEngine('wasm', threads, check, sharing);
  },
);

test('staged weights count once they are adopted and not before', async () => {
  await withEngine('wasm', 2, async (engine) => {
    const before = await engine.computeGradient(WHOLE_STEP);
    const hash = before.gradientHash;
    const changed = initialWeights().fill(0.25, 0, 100);
    engine.stagedWeights.set(changed);
    assert.equal((await engine.computeGradient(WHOLE_STEP)).gradientHash, hash);
    const staged = engine.stagedWeights;
    engine.adoptStagedWeights();
    assert.notEqual(engine.stagedWeights, staged);
    const after = await engine.computeGradient(WHOLE_STEP);
    assertSameBits(after.gradient, expectedGradient(WHOLE_STEP, changed).gradient);
    engine.adoptStagedWeights();
    assert.equal((await engine.computeGradient(WHOLE_STEP)).gradientHash, hash);
  });
});

test('in bfloat16, weights are rounded before they are computed on, and every node of the tree when it is made', async () => {
  const weights = roundedToBfloat16(initialWeights());
  for (const kernel of KERNELS) {
    for (const [begin, end] of [
      [0, MICRO_BATCHES],
      [4, 6],
      [5, 6],
    ] as const) {
      const request = { ...WHOLE_STEP, begin, end };
      const expected = expectedGradient(request, weights, undefined, undefined, roundedToBfloat16);
      await using engine = prepare(await openWorkerEngine({ ...optionsOf(kernel, 2), wire: 'bfloat16' }));
      const result = await engine.computeGradient(request);
      const { buffer, byteOffset } = result.gradient;
      const nodes = new Uint16Array(buffer, byteOffset, engine.parameterCount);
      assert.deepEqual(nodes, bfloat16Of(expected.gradient));
      assert.deepEqual(sumsOf(result), expected.sums);
    }
  }
});

test('in int8, a gradient is off by less than a step of every rounding below it, and another in every step', async () => {
  const weights = roundedToBfloat16(initialWeights());
  const exact = expectedGradient({ ...WHOLE_STEP, begin: 5, end: 6 }, weights).gradient;
  await using engine = prepare(await openWorkerEngine({ ...optionsOf('wasm', 2), wire: 'int8' }));
  const hashes = new Set<string>();
  for (const step of [4, 5, 2 ** 32 + 4]) {
    const { gradient, gradientHash } = await engine.computeGradient({ ...WHOLE_STEP, step, begin: 5, end: 6 });
    const codes = new Int8Array(gradient.buffer, gradient.byteOffset, exact.length);
    const scales = asFloats(gradient.subarray(scalesOffset(exact.length)));
    const wrong = exact.findIndex((value, p) => {
      const scale = scales[Math.floor(p / 1024)]!;
      return Math.abs(scale * codes[p]! - value) > 1.0001 * scale;
    });
    assert.equal(wrong, -1);
    hashes.add(gradientHash);
  }
  assert.equal(hashes.size, 3);
});

test('a row in no shard fails the call by split and index, and the call succeeds once the shard is there', async () => {
  for (const [threads, sharing] of [
    [1, 'micro-batches'],
    [2, 'micro-batches'],
    [3, 'tiles'],
  ] as const) {
    await using engine = await openWorkerEngine({ ...optionsOf('wasm', threads), sharing });
    engine.stagedWeights.set(initialWeights());
    engine.adoptStagedWeights();
    engine.addShard(rowsOf('train', 0, 149));
    const wholeEpoch = { ...WHOLE_STEP, firstPosition: 0, endPosition: BATCH };
    let missing: unknown;
    for (let first = 0; first < TRAIN_SAMPLES && missing === undefined; first += BATCH) {
      const request = { ...wholeEpoch, firstPosition: first, endPosition: Math.min(first + BATCH, TRAIN_SAMPLES) };
      missing = await engine.computeGradient(request).then(
        () => undefined,
        (error: unknown) => error,
      );
    }
    assert.ok(missing instanceof MissingRowError);
    assert.deepEqual([missing.split, missing.index], ['train', 149]);
    await assert.rejects(engine.evaluate({ split: 'test', begin: 0, end: 1 }), /sample 0 of split "test"/);
    engine.addShard(rowsOf('train', 149, 150));
    const result = await engine.computeGradient(WHOLE_STEP);
    assertSameBits(result.gradient, expectedGradient(WHOLE_STEP).gradient);
  }
});

test('an evaluation adds chunks of 256 in their order, for any number of threads and either kernel', async () => {
  const tallies: unknown[] = [];
  for (const kernel of KERNELS) {
    for (const threads of [1, 3]) {
      await withEngine(kernel, threads, async (engine) => {
        engine.addShard(rowsOf('validation', 0, 700));
        engine.addShard(rowsOf('validation', 700, 1100));
        const { tally, ...sums } = await engine.evaluate({ split: 'validation', begin: 13, end: 1100 });
        assert.deepEqual(sums, expectedEvaluation('validation', 13, 1100));
        tallies.push(tally);
        assert.equal((await engine.evaluate({ split: 'validation', begin: 5, end: 5 })).sampleCount, 0);
      });
    }
  }
  for (const tally of tallies) assert.deepEqual(tally, tallies[0]);
});

test('an evaluation longer than its table of chunks counts every sample once', async () => {
  const samples = 1024 * 256 + 300;
  await using engine = await openWorkerEngine({
    ...optionsOf('wasm', 2),
    model: {
      inputs: 1,
      outputs: 1,
      layers: [{ kind: 'dense', units: 1 }],
      loss: { kind: 'meanSquaredError' },
      init: 'zeros',
    },
  });
  const targets = new Float32Array(new SharedArrayBuffer(4 * samples)).fill(1);
  targets[samples - 1] = 3;
  const features = new Float32Array(new SharedArrayBuffer(4 * samples));
  engine.addShard({ split: 'test', begin: 0, end: samples, features, targets });
  const sums = await engine.evaluate({ split: 'test', begin: 0, end: samples });
  assert.equal(sums.sampleCount, samples);
  assert.equal(sums.targetSum, samples + 2);
  assert.equal(sums.lossSum, samples + 8);
});

test('a second call, or an exchange of weights, during a call is refused and the call goes on', async () => {
  await withEngine('wasm', 2, async (engine) => {
    const call = engine.computeGradient(WHOLE_STEP);
    await assert.rejects(engine.computeGradient({ ...WHOLE_STEP, epoch: 5 }), /do not overlap/);
    assert.throws(() => engine.adoptStagedWeights(), /await it first/);
    assertSameBits((await call).gradient, expectedGradient(WHOLE_STEP).gradient);
  });
});

test('requests that are no block, no batch or no range are refused', async () => {
  await withEngine('js', 1, async (engine) => {
    for (const wrong of [
      { begin: 1, end: 3 },
      { begin: 0, end: 16 },
      { firstPosition: 0, endPosition: BATCH + 1 },
      { firstPosition: 140, endPosition: 151 },
      { firstPosition: 5, endPosition: 4 },
      { epoch: -1 },
    ]) {
      await assert.rejects(engine.computeGradient({ ...WHOLE_STEP, ...wrong }), RangeError);
    }
    await assert.rejects(engine.evaluate({ split: 'train', begin: 3, end: 2 }), RangeError);
    assert.throws(() => engine.addShard(rowsOf('train', 90, 110)), /overlaps/);
  });
});

test('an engine says what it is', async () => {
  const ids: string[] = [];
  for (const kernel of KERNELS) {
    await using engine = await openWorkerEngine(optionsOf(kernel, 2));
    ids.push(engine.kernelId);
    assert.equal(engine.threads, 2);
    assert.equal(engine.parameterCount, compileModel(optionsOf(kernel, 2).model).parameterCount);
    assert.ok(engine.stagedWeights.every((weight) => weight === 0));
  }
  assert.match(ids[0]!, /^js\/\d+$/);
  assert.match(ids[1]!, /^wasm-simd128\/\d+$/);
});
