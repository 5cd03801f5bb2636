import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type EvaluationReceipt,
  fence,
  type GradientReceipt,
  type LeaseReceipt,
  MOST_LEASE_STEPS,
  PROTOCOL_VERSION,
  type RunPlan,
  runId,
  step,
  workerId,
} from '#training';
import { decodeCoordinatorWord, encodeCoordinatorWord } from './coordinator-messages.js';
import { encodeGradientFrame, encodeLeaseFrame, encodeState } from './frames.js';
import { gradientReceipt, leaseReceipt, sessionRequest, sessionResponse } from './proto-definitions.js';
import { exampleHello, examplePlan } from './recording-coordinator.js';
import {
  decodeWorkerWord,
  encodeGradientProof,
  encodeLeaseProof,
  encodeWorkerWord,
  type WorkerWord,
} from './worker-messages.js';

const frame = {
  ...{ run: runId('digits'), fence: fence(1), step: step(2), block: { begin: 0, end: 4 } },
  ...{ offset: 4, totalBytes: 8, payload: Buffer.alloc(4) },
};
/** Field 100, a varint: something only the library decodes. */
const UNKNOWN_FIELD = Buffer.from([0xa0, 0x06, 0x01]);

/** As `fc.record`, with the prototype that decoded objects have. */
function record<Shape>(shape: { [Name in keyof Shape]: fc.Arbitrary<Shape[Name]> }): fc.Arbitrary<Shape> {
  return fc.record(shape, { noNullPrototype: true });
}

const count = fc.oneof(fc.nat(), fc.maxSafeNat());
const small = fc.nat(0xffffffff);
const anyDouble = fc.double();
const duration = fc.double({ min: 0, noNaN: true, noDefaultInfinity: true });
const run = fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,62}$/).map(runId);
const worker = fc.stringMatching(/^[A-Za-z0-9._-]{1,64}$/).map(workerId);
const itemId = fc.string({ maxLength: 100 }).map((text) => text.replace(/\p{Surrogate}/gu, '?'));
const sums = {
  sampleCount: count,
  lossSum: anyDouble,
  correctCount: count,
  squaredErrorSum: anyDouble,
  targetSum: anyDouble,
  targetSquareSum: anyDouble,
};
const gradientReceipts: fc.Arbitrary<GradientReceipt> = record({
  run,
  fence: count.map(fence),
  step: count.map(step),
  block: record({ begin: small, end: small }),
  worker,
  attempt: fc.integer({ min: 1, max: 0xffffffff }),
  ...sums,
  gradientHash: fc.stringMatching(/^[0-9a-f]{16}$/),
  computeMs: duration,
  waitedMs: duration,
});
const evaluationReceipt: fc.Arbitrary<EvaluationReceipt> = record({
  run,
  fence: count.map(fence),
  version: count.map(step),
  split: fc.constantFrom('train', 'validation', 'test'),
  part: small,
  worker,
  ...sums,
  tally: fc
    .array(fc.tuple(fc.integer({ min: 0, max: 0xffffffff }), fc.integer({ min: 1, max: 0xffffffff })), {
      maxLength: 20,
    })
    .chain((found) =>
      record({
        cells: fc.constant(found.map(([cell]) => cell)),
        counts: fc.constant(found.map(([, counted]) => counted)),
        absoluteErrorSum: anyDouble,
        squaredErrorSum: anyDouble,
        logLossSum: anyDouble,
      }),
    ),
});
const hash = fc.stringMatching(/^[0-9a-f]{16}$/);
const leaseReceipts: fc.Arbitrary<LeaseReceipt> = record({
  run,
  fence: count.map(fence),
  step: count.map(step),
  end: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  worker,
  attempt: fc.integer({ min: 1, max: 0xffffffff }),
  startHash: hash,
  steps: fc.array(
    record({ ...sums, gradientNorm: anyDouble, gradientHash: hash, weightsHash: hash, finite: fc.boolean() }),
    { maxLength: 5 },
  ),
  computeMs: duration,
  waitedMs: duration,
});
const words: fc.Arbitrary<Exclude<WorkerWord, { kind: 'gradient-frame' | 'lease-frame' }>> = fc.oneof(
  record({ kind: fc.constant('heartbeat' as const), residentBytes: count }),
  record({ kind: fc.constant('run-ready' as const), run, fence: count.map(fence), takesLeases: fc.boolean() }),
  record({ kind: fc.constant('job-taken' as const), itemId, token: itemId }),
  record({ kind: fc.constant('job-taken' as const), itemId, token: itemId, holds: count.map(step) }),
  record({ kind: fc.constant('evaluation-receipt' as const), itemId, receipt: evaluationReceipt }),
  record({ kind: fc.constant('job-failed' as const), itemId, code: fc.constant('DATA.SHARD'), message: itemId }),
  record({ kind: fc.constant('draining' as const), reason: itemId }),
);

test('every message of a worker comes out as it went in, down to the last bit of its numbers', () => {
  fc.assert(
    fc.property(words, (word) => {
      assert.deepEqual(decodeWorkerWord(encodeWorkerWord(word)), word);
    }),
  );
});

test('a receipt comes out as it went in with the frame it ends, whoever decodes the message', () => {
  fc.assert(
    fc.property(record({ itemId, receipt: gradientReceipts }), (proof) => {
      const bytes = encodeGradientFrame(frame, encodeGradientProof(proof));
      const byLibrary = sessionRequest.encode(sessionRequest.decode(bytes));
      for (const message of [bytes, Buffer.concat([byLibrary, UNKNOWN_FIELD])]) {
        const word = decodeWorkerWord(message);
        assert.equal(word.kind, 'gradient-frame');
        assert.deepEqual(word.proof, proof);
      }
    }),
  );
  assert.equal('proof' in decodeWorkerWord(encodeGradientFrame(frame)), false);
});

test('what a lease left behind comes out as it went in, its receipt with the last frame, whoever decodes it', () => {
  const { block: _, ...rest } = frame;
  const leaseFrame = { ...rest, end: frame.step + 7 };
  fc.assert(
    fc.property(record({ itemId, receipt: leaseReceipts }), (proof) => {
      const bytes = encodeLeaseFrame(leaseFrame, encodeLeaseProof(proof));
      const byLibrary = sessionRequest.encode(sessionRequest.decode(bytes));
      for (const message of [bytes, Buffer.concat([byLibrary, UNKNOWN_FIELD])]) {
        const word = decodeWorkerWord(message);
        assert.equal(word.kind, 'lease-frame');
        assert.deepEqual(word.proof, proof);
        assert.deepEqual(
          { ...word.frame, payload: [...word.frame.payload] },
          { ...leaseFrame, payload: [...frame.payload] },
        );
      }
    }),
  );
});

test('a receipt of more steps than a lease may have is refused', () => {
  const { block: _, ...rest } = frame;
  const oneStep = { gradientHash: '0'.repeat(16), weightsHash: '0'.repeat(16), finite: true };
  const receipt = leaseReceipt.encode({ steps: Array.from({ length: MOST_LEASE_STEPS + 1 }, () => oneStep) });
  const bytes = encodeLeaseFrame({ ...rest, end: 5000 }, receipt);
  expect(() => decodeWorkerWord(bytes)).toThrow(/leaseReceipt\.steps has more than 1024/);
});

test('weights and optimizer state come as one tensor, in frames told apart from those of weights alone', () => {
  const key = { run: frame.run, fence: frame.fence, version: frame.step };
  const weights = Float32Array.from({ length: 300_000 }, (_, index) => index);
  const state = Float32Array.from({ length: 600_000 }, (_, index) => -index);
  const received = new Uint8Array(4 * 900_000);
  for (const bytes of encodeState(key, weights, state).frames) {
    const word = decodeCoordinatorWord(Buffer.from(bytes));
    assert.equal(word.kind, 'state-frame');
    assert.equal(word.frame.totalBytes, received.length);
    received.set(word.frame.payload, word.frame.offset);
  }
  const floats = new Float32Array(received.buffer);
  assert.deepEqual(floats.subarray(0, weights.length), weights);
  assert.deepEqual(floats.subarray(weights.length), state);
  assert.equal(encodeState(key, weights.subarray(0, 4), new Float32Array()).frames.length, 1);
});

const adam = { learningRate: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
test.each([
  [{ kind: 'sgd', learningRate: 0.5 }, { kind: 'constant' }],
  [
    { kind: 'momentum', learningRate: 0.5, momentum: 0.9, nesterov: true },
    { kind: 'step', every: 3, factor: 0.5 },
  ],
  [
    { kind: 'adagrad', learningRate: 0.5, epsilon: 1e-10 },
    { kind: 'exponential', factor: 0.99 },
  ],
  [
    { kind: 'rmsprop', learningRate: 0.5, decay: 0.9, epsilon: 1e-8, momentum: 0 },
    { kind: 'linear', to: 0 },
  ],
  [
    { kind: 'adam', ...adam },
    { kind: 'cosine', to: 0.1 },
  ],
  [{ kind: 'adamw', ...adam, weightDecay: 0.01 }, { kind: 'constant' }],
  [{ kind: 'lamb', ...adam, weightDecay: 0.01 }, { kind: 'constant' }],
] as const)('a plan tells of leases, and of local steps, with optimizer %j and schedule %j', (optimizer, after) => {
  const settings = { optimizer, schedule: { warmup: 4, after }, steps: 900 };
  for (const leases of [settings, { ...settings, clipNorm: 1.5, l2: 0.25 }]) {
    const word = { kind: 'run-started', plan: { ...examplePlan, leases } } as const;
    assert.deepEqual(decodeCoordinatorWord(encodeCoordinatorWord(word)), word);
    const { steps: totalSteps, ...update } = leases;
    const local = { ...update, steps: 59, batch: 64, microBatches: 2, stepsPerEpoch: 235, totalSteps };
    const ofRounds = { kind: 'run-started', plan: { ...examplePlan, local } } as const;
    assert.deepEqual(decodeCoordinatorWord(encodeCoordinatorWord(ofRounds)), ofRounds);
  }
});

test.each([
  ['gradientReceipt.block', { runId: 'digits' }],
  ['gradientReceipt.gradientHash', { ...receipt(), gradientHash: 'XYZ' }],
  ['gradientReceipt.computeMs', { ...receipt(), computeMs: Number.NaN }],
  ['gradientReceipt.attempt', { ...receipt(), attempt: 0 }],
])('a receipt whose %s is out of range is refused by that name', (field, fields) => {
  const refused = expect.objectContaining({ code: 'USAGE.ARGUMENT', facts: { argument: field } });
  const bytes = encodeGradientFrame(frame, gradientReceipt.encode(fields));
  expect(() => decodeWorkerWord(bytes)).toThrow(refused);
});

test('a receipt that is no message is corrupt', () => {
  const bytes = encodeGradientFrame(frame, Buffer.from([0xff, 0xff]));
  expect(() => decodeWorkerWord(bytes)).toThrow(expect.objectContaining({ code: 'WIRE.CORRUPT' }));
});

test('a hello comes out as it went in', () => {
  const word = { kind: 'hello', hello: exampleHello('worker-1') } as const;
  assert.deepEqual(decodeWorkerWord(encodeWorkerWord(word)), word);
});

test('a plan comes out as it went in: model, shards and preprocessing included', () => {
  const word = { kind: 'run-started', plan: examplePlan } as const;
  assert.deepEqual(decodeCoordinatorWord(encodeCoordinatorWord(word)), word);
});

test('every layer, loss, start, task and scale has its number in the .proto files', () => {
  const { model, dataset } = examplePlan;
  const losses: readonly RunPlan['model']['loss'][] = [
    { kind: 'meanSquaredError' },
    { kind: 'huber', delta: 0.25 },
    { kind: 'binaryCrossEntropy' },
    { kind: 'binaryCrossEntropy', labelSmoothing: 0.1 },
    { kind: 'softmaxCrossEntropy' },
    { kind: 'softmaxCrossEntropy', labelSmoothing: 0.1 },
    { kind: 'hinge' },
    { kind: 'hinge', classWeights: [0.1, 3] },
    { kind: 'softmaxCrossEntropy', labelSmoothing: 0.1, classWeights: [0, 1 / 3, 2] },
  ];
  const layers: readonly RunPlan['model']['layers'][number][] = [
    { kind: 'dense', units: 3 },
    { kind: 'relu' },
    { kind: 'leakyRelu', slope: 0.1 },
    { kind: 'gelu' },
    { kind: 'sigmoid' },
    { kind: 'tanh' },
    { kind: 'softmax' },
    { kind: 'dropout', rate: 0.1 },
    { kind: 'layerNorm', epsilon: 1e-5 },
  ];
  const plans: RunPlan[] = [
    ...losses.map((loss) => ({ ...examplePlan, model: { ...model, loss } })),
    ...(['auto', 'he', 'heNormal', 'glorot', 'glorotNormal', 'torch', 'zeros'] as const).map((init) => ({
      ...examplePlan,
      model: { ...model, init },
    })),
    ...layers.map((layer) => ({ ...examplePlan, model: { ...model, layers: [layer] } })),
    ...(['classification', 'regression'] as const).map((task) => ({ ...examplePlan, dataset: { ...dataset, task } })),
    ...(['standard', 'minmax', 'none'] as const).map((scale) => ({
      ...examplePlan,
      dataset: { ...dataset, preprocessing: { ...dataset.preprocessing, scale } },
    })),
    {
      ...examplePlan,
      dataset: {
        ...dataset,
        preprocessing: { ...dataset.preprocessing, targets: [{ shift: 250_000.5, factor: 1 / 70_000 }] },
      },
    },
  ];
  for (const plan of plans) {
    const word = { kind: 'run-started', plan } as const;
    assert.deepEqual(decodeCoordinatorWord(encodeCoordinatorWord(word)), word);
  }
});

test.each([
  ['runReady.runId', { runReady: { runId: 'Digits/../x', fence: 1 } }],
  ['runReady.fence', { runReady: { runId: 'digits', fence: '18446744073709551615' } }],
  ['evaluationReceipt.split', { evaluationReceipt: { ...receipt(), split: 'SPLIT_UNSPECIFIED' } }],
  ['jobTaken.itemId', { jobTaken: { itemId: 'x'.repeat(257), token: '' } }],
  ['hello.workerId', { hello: { workerId: 'a\nb', protocolVersion: PROTOCOL_VERSION } }],
  ['message', {}],
])('a message whose %s is out of range is refused by that name', (field, message) => {
  const refused = expect.objectContaining({ code: 'USAGE.ARGUMENT', facts: { argument: field } });
  expect(() => decodeWorkerWord(sessionRequest.encode(message))).toThrow(refused);
});

test('a hello of another version is refused with both versions, whatever else is in it', () => {
  const bytes = sessionRequest.encode({ hello: { protocolVersion: 99, workerId: '' } });
  const facts = { expected: `protocol ${PROTOCOL_VERSION}`, found: 'protocol 99' };
  expect(() => decodeWorkerWord(bytes)).toThrow(expect.objectContaining({ code: 'WORKER.PROTOCOL_MISMATCH', facts }));
});

test('a layer, a loss or a start that a later version added is refused by its place in the plan', () => {
  const { runStarted } = sessionResponse.decode(encodeCoordinatorWord({ kind: 'run-started', plan: examplePlan })) as {
    readonly runStarted: { readonly plan: { readonly model: object } };
  }; // as it was just encoded
  for (const [field, change] of [
    ['layers[0]', { layers: [{}] }],
    ['loss', { loss: 77 }],
    ['init', { init: 77 }],
  ] as const) {
    const plan = { ...runStarted.plan, model: { ...runStarted.plan.model, ...change } };
    const bytes = sessionResponse.encode({ runStarted: { plan } });
    const facts = { argument: `runStarted.plan.model.${field}` };
    expect(() => decodeCoordinatorWord(bytes)).toThrow(expect.objectContaining({ code: 'USAGE.ARGUMENT', facts }));
  }
});

test('any bytes at all are a message, WIRE.CORRUPT, USAGE.ARGUMENT or a protocol mismatch', () => {
  const allowed = /^(WIRE\.CORRUPT|USAGE\.ARGUMENT|WORKER\.PROTOCOL_MISMATCH)$/;
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      for (const decode of [decodeWorkerWord, decodeCoordinatorWord]) {
        try {
          decode(Buffer.from(bytes));
        } catch (error) {
          expect(error).toHaveProperty('code', expect.stringMatching(allowed));
        }
      }
    }),
  );
});

test('groups nested ten thousand deep are refused without taking the process along', () => {
  const bomb = Buffer.alloc(10_000, 0x63); // field 12, start of a group
  expect(() => decodeWorkerWord(bomb)).toThrow(expect.objectContaining({ code: 'WIRE.CORRUPT' }));
});

test('a frame that comes with another field is still decoded, by the library', () => {
  const frame = Buffer.from('2a00', 'hex'); // an empty gradient frame, twice: the last one counts
  expect(() => decodeWorkerWord(Buffer.concat([frame, frame]))).toThrow(/gradientFrame/);
  expect(() => decodeCoordinatorWord(sessionResponse.encode({ weightsFrame: { runId: 'digits' } }))).toThrow(
    /weightsFrame/,
  );
});

function receipt() {
  const text = { itemId: 'digits.1.2.0-4', runId: 'digits', workerId: 'w', gradientHash: '0123456789abcdef' };
  return { ...text, attempt: 1, block: { begin: 0, end: 4 } };
}
