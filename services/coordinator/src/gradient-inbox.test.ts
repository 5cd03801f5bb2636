import { describe, expect, test } from 'vitest';
import type { AveragerEngine } from '#engine';
import {
  advanceRun,
  fence,
  type GradientFrame,
  type GradientReceipt,
  newRun,
  type RunState,
  runId,
  shapeRun,
  step,
  workerId,
} from '#training';
import { GradientInbox, slotOf } from './gradient-inbox.js';

const P = 6;
const RUN = runId('r');
const [A, B] = [workerId('a'), workerId('b')];

/** A run of two blocks a step whose first steps are announced. */
function started(): RunState {
  const train = {
    limit: { kind: 'epochs', epochs: 2 },
    batch: 8,
    microBatches: 2,
    wire: 'float32',
    optimizer: { kind: 'sgd', learningRate: 0.1 },
    schedule: { warmup: 0, after: { kind: 'constant' } },
    stop: {},
    shuffle: true,
    seed: 1,
  } as const;
  const shape = shapeRun(RUN, fence(1), train, { train: 32, validation: 0, test: 0 }, P);
  const fresh = newRun({ shape, rules: {}, task: 'regression', targetCount: 1 });
  const [waiting] = advanceRun(fresh, { kind: 'workers-changed', workers: 2 });
  return advanceRun(waiting, { kind: 'started' })[0];
}

function openInbox() {
  const slots = new Map<number, Uint8Array<SharedArrayBuffer>>();
  const inboxOf = (slot: number): Uint8Array<SharedArrayBuffer> => {
    const bytes = slots.get(slot) ?? new Uint8Array(new SharedArrayBuffer(4 * P));
    slots.set(slot, bytes);
    return bytes;
  };
  // Only what the inbox uses of the engine.
  const engine = { weights: new Float32Array(P), inbox: inboxOf } as unknown as AveragerEngine;
  return { inbox: new GradientInbox(engine), slots };
}

const BLOCK = { begin: 1, end: 2 };

function frame(values: readonly number[], offset = 0, change: Partial<GradientFrame> = {}): GradientFrame {
  const payload = new Uint8Array(Float32Array.from(values).buffer);
  return { run: RUN, fence: fence(1), step: step(0), block: BLOCK, offset, totalBytes: 4 * P, payload, ...change };
}

function receiptOf(worker: typeof A, change: Partial<GradientReceipt> = {}): GradientReceipt {
  const sums = { sampleCount: 4, lossSum: 1, correctCount: 0, squaredErrorSum: 0, targetSum: 0, targetSquareSum: 0 };
  const rest = { gradientHash: '0'.repeat(16), computeMs: 1, waitedMs: 0, attempt: 1 };
  return { run: RUN, fence: fence(1), step: step(0), block: BLOCK, worker, ...sums, ...rest, ...change };
}

const WHOLE = [1, 2, 3, 4, 5, 6];

describe('the gradient inbox', () => {
  test('puts the frames of a block into the slot of its place, and counts anew when it is sent anew', () => {
    const { inbox, slots } = openInbox();
    const state = started();
    expect(inbox.accept(state, A, frame([4, 5, 6], 12))).toBe('written');
    expect(inbox.complete(state, receiptOf(A))).toBeUndefined();
    for (const part of [frame([1, 2, 3]), frame([4, 5, 6], 12)]) expect(inbox.accept(state, A, part)).toBe('written');
    expect(inbox.complete(state, receiptOf(A))).toMatchObject({ firstFrameAt: expect.any(Number) });
    expect([...new Float32Array(slots.get(1)?.buffer ?? new ArrayBuffer(0))]).toEqual(WHOLE);
    expect(slotOf({ block: { begin: 4, end: 8 } })).toBe(1);
  });

  test.each([
    ['a later step', { step: step(1) }],
    ['a block that no step was cut into', { block: { begin: 0, end: 2 } }],
    ['a model of another size', { totalBytes: 4 * P + 4 }],
    ['a place past the end', { offset: 8 }],
  ])('drops a frame of %s', (_of, change) => {
    const { inbox, slots } = openInbox();
    expect(inbox.accept(started(), A, frame(WHOLE, 0, change))).toBe('dropped');
    expect([...slots.values()].every((slot) => slot.every((value) => value === 0))).toBe(true);
  });

  test('drops frames of a block that is in: its slot may be in use', () => {
    const { inbox, slots } = openInbox();
    const state = started();
    inbox.accept(state, A, frame(WHOLE));
    inbox.complete(state, receiptOf(A));
    const [done] = advanceRun(state, { kind: 'gradient-received', receipt: receiptOf(A) });
    expect(inbox.accept(done, B, frame([9, 9, 9, 9, 9, 9]))).toBe('dropped');
    expect([...new Float32Array(slots.get(1)?.buffer ?? new ArrayBuffer(0))]).toEqual(WHOLE);
    expect(inbox.complete(state, receiptOf(B))).toBeUndefined();
  });

  test('counts each of two senders of one block by itself: half from one and half from the other is not a whole', () => {
    const { inbox, slots } = openInbox();
    const state = started();
    inbox.accept(state, A, frame([1, 2, 3]));
    inbox.accept(state, B, frame([4, 5, 6], 12));
    expect(inbox.complete(state, receiptOf(A))).toBeUndefined();
    for (const part of [frame([1, 2, 3]), frame([4, 5, 6], 12)]) inbox.accept(state, B, part);
    expect(inbox.complete(state, receiptOf(B))).toBeDefined();
    expect([...new Float32Array(slots.get(1)?.buffer ?? new ArrayBuffer(0))]).toEqual(WHOLE);
  });

  test('F21 of two that send at the same time, what lies in the slot is what the receipt’s worker sent, to the last frame', () => {
    const { inbox, slots } = openInbox();
    const state = started();
    const inSlot = () => [...new Float32Array(slots.get(1)?.buffer ?? new ArrayBuffer(0))];
    inbox.accept(state, A, frame([9, 9, 9]));
    inbox.accept(state, B, frame([1, 2, 3]));
    inbox.accept(state, B, frame([4, 5, 6], 12));
    expect(inbox.complete(state, receiptOf(B))).toBeDefined();
    expect(inSlot()).toEqual(WHOLE);
    inbox.accept(state, A, frame([9, 9, 9], 12));
    expect(inSlot()).toEqual(WHOLE);
    expect(inbox.complete(state, receiptOf(A))).toBeDefined();
    expect(inSlot()).toEqual([9, 9, 9, 9, 9, 9]);
  });

  test('forgets what a lost worker had begun, and not that of one whose name begins alike', () => {
    const { inbox } = openInbox();
    const state = started();
    const alike = workerId('a1');
    inbox.accept(state, A, frame([1, 2, 3]));
    inbox.accept(state, alike, frame([1, 2, 3]));
    inbox.forget(A);
    for (const worker of [A, alike]) inbox.accept(state, worker, frame([4, 5, 6], 12));
    expect(inbox.complete(state, receiptOf(A))).toBeUndefined();
    expect(inbox.complete(state, receiptOf(alike))).toBeDefined();
  });
});
