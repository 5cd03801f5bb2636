import assert from 'node:assert/strict';
import { test } from 'vitest';
import { advanceRun, fence, type LeaseFrame, newRun, type RunState, runId, shapeRun, step, workerId } from '#training';
import { LeaseInbox } from './lease-inbox.js';

const W0 = workerId('w0');
const W1 = workerId('w1');

/** A run of 20 steps whose first leases, [0, 3) and [3, 6), are announced. */
function leasedRun(): RunState {
  const train = {
    limit: { kind: 'epochs', epochs: 2 },
    batch: 10,
    microBatches: 4,
    wire: 'float32',
    optimizer: { kind: 'sgd', learningRate: 1 },
    schedule: { warmup: 0, after: { kind: 'constant' } },
    stop: {},
    shuffle: true,
    seed: 1,
  } as const;
  const shape = shapeRun(runId('r'), fence(1), train, { train: 100, validation: 0, test: 0 }, 4);
  const plan = { grain: 'run', stepsPerLease: 3 } as const;
  return advanceRun(newRun({ shape, rules: {}, task: 'regression', targetCount: 1, plan }), { kind: 'started' })[0];
}

function frameOf(first: number, bytes: readonly number[], offset = 0): LeaseFrame {
  const lease = { run: runId('r'), fence: fence(1), step: step(first), end: first + 3 };
  return { ...lease, offset, totalBytes: 8, payload: Uint8Array.from(bytes) };
}

function receiptOf(worker: typeof W0, first: number) {
  const lease = { run: runId('r'), fence: fence(1), step: step(first), end: first + 3 };
  return { ...lease, worker, attempt: 1, startHash: '', steps: [], computeMs: 1, waitedMs: 0 };
}

function openInbox() {
  const places = [0, 1].map(() => new Float32Array(new SharedArrayBuffer(8)));
  const leasePlace = (place: number) => {
    const found = places[place];
    if (found === undefined) throw new RangeError(`no place ${place}`);
    return found;
  };
  const bytesOf = (place: number): readonly number[] => [...new Uint8Array(leasePlace(place).buffer)];
  return { inbox: new LeaseInbox({ leasePlace, leasePlaces: places.length }), bytesOf };
}

test('a lease and the one after it lie in places of their own, complete when all of their bytes are there', () => {
  const { inbox, bytesOf } = openInbox();
  const state = leasedRun();
  assert.equal(inbox.accept(state, W0, frameOf(0, [1, 2, 3, 4])), 'written');
  assert.equal(inbox.complete(state, receiptOf(W0, 0)), undefined);
  assert.equal(inbox.accept(state, W0, frameOf(3, [9, 9, 9, 9, 9, 9, 9, 9])), 'written');
  assert.equal(inbox.accept(state, W0, frameOf(0, [1, 2, 3, 4])), 'written');
  assert.equal(inbox.accept(state, W0, frameOf(0, [5, 6, 7, 8], 4)), 'written');
  assert.ok(inbox.complete(state, receiptOf(W0, 0)));
  assert.ok(inbox.complete(state, receiptOf(W0, 3)));
  assert.deepEqual(bytesOf(inbox.placeOf(receiptOf(W0, 0))), [1, 2, 3, 4, 5, 6, 7, 8]);
  assert.deepEqual(bytesOf(inbox.placeOf(receiptOf(W0, 3))), [9, 9, 9, 9, 9, 9, 9, 9]);
});

test('a worker that begins a lease anew is not credited with the bytes it sent before', () => {
  const { inbox } = openInbox();
  const state = leasedRun();
  inbox.accept(state, W0, frameOf(0, [1, 2, 3, 4]));
  inbox.accept(state, W0, frameOf(0, [1, 2, 3, 4]));
  assert.equal(inbox.complete(state, receiptOf(W0, 0)), undefined);
});

test('bytes of one worker do not complete the lease of another, and those of a lost one are forgotten', () => {
  const { inbox } = openInbox();
  const state = leasedRun();
  inbox.accept(state, W0, frameOf(0, [1, 2, 3, 4]));
  inbox.accept(state, W1, frameOf(0, [5, 6, 7, 8], 4));
  assert.equal(inbox.complete(state, receiptOf(W1, 0)), undefined);
  inbox.forget(W0);
  inbox.accept(state, W0, frameOf(0, [5, 6, 7, 8], 4));
  assert.equal(inbox.complete(state, receiptOf(W0, 0)), undefined);
});

test('frames of a lease that is not announced, or of another size, are dropped', () => {
  const { inbox } = openInbox();
  const state = leasedRun();
  assert.equal(inbox.accept(state, W0, frameOf(6, [1, 2, 3, 4])), 'dropped');
  assert.equal(inbox.accept(state, W0, { ...frameOf(0, [1, 2, 3, 4]), totalBytes: 12 }), 'dropped');
  assert.equal(inbox.accept(state, W0, frameOf(0, [1, 2, 3, 4, 5, 6, 7, 8], 4)), 'dropped');
});
