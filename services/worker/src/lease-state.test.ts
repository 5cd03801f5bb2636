import assert from 'node:assert/strict';
import { test } from 'vitest';
import { fence, type LeaseItem, runId, step, type WeightsFrame, type WorkerItem } from '#training';
import { LeaseState } from './lease-state.js';
import { WeightsBoard } from './weights-board.js';

const OWNER = { run: runId('r'), fence: fence(1), issue: 0 } as const;
const FOREVER = new AbortController().signal;

function leaseFrom(first: number): LeaseItem {
  return { kind: 'lease', ...OWNER, step: step(first), end: first + 2, epoch: 0 };
}

function evaluationOf(version: number): WorkerItem {
  return { kind: 'evaluation', ...OWNER, version: step(version), split: 'test', part: 0, begin: 0, end: 1 };
}

/** Two weights and two numbers of optimizer state. */
function open() {
  const buffers = [0, 1].map(() => new Float32Array(new SharedArrayBuffer(8)));
  let staged = 1;
  const optimizerState = new Float32Array(new SharedArrayBuffer(8));
  const target = {
    get stagedWeights() {
      return buffers[staged]!;
    },
    adoptStagedWeights: () => {
      staged = 1 - staged;
    },
    lease: {
      optimizerState,
      get receivedWeights() {
        return buffers[staged]!;
      },
      adoptReceived: () => target.adoptStagedWeights(),
    },
  };
  const board = new WeightsBoard(target);
  return { state: new LeaseState(target, board), board, optimizerState, weights: () => buffers[1 - staged]! };
}

/** A state whose four numbers are all the version. */
function framesOf(version: number): readonly WeightsFrame[] {
  const bytes = new Uint8Array(Float32Array.of(version, version, version, version).buffer);
  const frame = (offset: number, end: number): WeightsFrame => {
    const key = { run: OWNER.run, fence: OWNER.fence, version: step(version) };
    return { ...key, offset, totalBytes: 16, payload: bytes.slice(offset, end) };
  };
  return [frame(0, 12), frame(12, 16)]; // the first reaches over the end of the weights
}

test('a lease waits for its state, which becomes weights and optimizer state at once', async () => {
  const { state, board, optimizerState, weights } = open();
  assert.equal(state.take(leaseFrom(4)), undefined);
  const ready = state.ready(FOREVER);
  for (const frame of framesOf(4)) state.accept(frame);
  assert.equal(await ready, 'ready');
  assert.deepEqual([board.version, [...weights()], [...optimizerState]], [4, [4, 4], [4, 4]]);
});

test('the worker that made a version goes on from it at once and says so', async () => {
  const { state, board } = open();
  state.take(leaseFrom(4));
  for (const frame of framesOf(4)) state.accept(frame);
  await board.hold(async () => state.advance(6));
  assert.equal(state.take(leaseFrom(6)), 6);
  assert.equal(await state.ready(FOREVER), 'ready');
});

test('state that comes late, for a lease that is not in hand any more, changes nothing', async () => {
  const { state, board, optimizerState } = open();
  state.take(leaseFrom(4));
  const released = AbortSignal.abort();
  for (const frame of framesOf(4)) state.accept(frame);
  state.advance(6);
  assert.equal(state.take(leaseFrom(8)), 6);
  for (const frame of framesOf(4)) state.accept(frame);
  assert.deepEqual([board.version, [...optimizerState]], [6, [4, 4]]);
  assert.equal(await state.ready(released), 'released');
});

test('a worker ahead on its own result forgets it for an item of an earlier version, and takes the weights sent again', async () => {
  const { state, board } = open();
  state.take(leaseFrom(4));
  for (const frame of framesOf(4)) state.accept(frame);
  state.advance(6);
  const weightsOf = (version: number): WeightsFrame => ({
    ...framesOf(version)[0]!,
    totalBytes: 8,
    payload: new Uint8Array(8),
  });
  board.accept(weightsOf(4)); // as published: older than what is here
  assert.equal(board.version, 6);
  assert.equal(state.take(evaluationOf(4)), 6);
  const current = board.until(4, FOREVER);
  board.accept(weightsOf(4));
  assert.equal(await current, 'ready');
  assert.equal(state.held, undefined);
});

test('weights that others made take the place of a version held, and its optimizer state is of no use then', () => {
  const { state, board } = open();
  state.take(leaseFrom(4));
  for (const frame of framesOf(4)) state.accept(frame);
  board.accept({ ...framesOf(5)[0]!, totalBytes: 8, payload: new Uint8Array(8) });
  assert.equal(state.take(leaseFrom(5)), undefined);
});
