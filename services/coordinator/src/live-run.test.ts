/** The projection of a run in training, driven by the step protocol itself. */
import { expect, test } from 'vitest';
import {
  advanceRun,
  type Block,
  fence,
  type GradientReceipt,
  itemId,
  newRun,
  type RunInput,
  type RunShape,
  type RunState,
  runId,
  step,
  workerId,
} from '#training';
import { liveRun } from './live-run.js';
import type { Member } from './membership.js';
import { RunActivity } from './run-activity.js';

const [w0, w1] = [workerId('w0'), workerId('w1')];
const shape: RunShape = {
  run: runId('r'),
  fence: fence(1),
  samples: { train: 40, validation: 0, test: 0 },
  ...{ batch: 8, microBatches: 4, stepsPerEpoch: 5, steps: 10, epochs: 2, limitedBy: 'epochs' },
};

/** A run, a clock and what is seen of both. */
function training() {
  let now = 0;
  const activity = new RunActivity(shape, () => now);
  let state: RunState = newRun({ shape, rules: {}, task: 'regression', targetCount: 1 });
  const happens = (input: RunInput, laterMs = 10): void => {
    now += laterMs;
    const [after, effects] = advanceRun(state, input);
    state = after;
    activity.saw(input, effects, after);
  };
  happens({ kind: 'workers-changed', workers: 2 });
  happens({ kind: 'started' });
  return {
    happens,
    look: (members: readonly Member[] = []) => liveRun(state, activity, members, { now, wall: 1_000, goodput: 1 }),
    itemOf: (at: number, begin: number): string => {
      const held = [...state.items.values()].find(
        ({ item }) => item.kind === 'gradient' && item.step === at && item.block.begin === begin,
      );
      if (held === undefined) throw new Error(`no block ${begin} of step ${at}`);
      return itemId(held.item);
    },
  };
}

const receipt = (at: number, block: Block, worker = w0): GradientReceipt => ({
  ...{ run: shape.run, fence: shape.fence, step: step(at), block, worker, attempt: 1, sampleCount: 4, lossSum: 1 },
  ...{
    correctCount: 0,
    squaredErrorSum: 1,
    targetSum: 0,
    targetSquareSum: 1,
    gradientHash: 'a',
    computeMs: 4,
    waitedMs: 0,
  },
});
const low = { begin: 0, end: 2 };
const high = { begin: 2, end: 4 };

test('what the current step lacks is named with its holder and for how long, or as nobody’s', () => {
  const { happens, itemOf, look } = training();
  happens({ kind: 'item-taken', itemId: itemOf(0, 0), token: 't', worker: w0 });
  happens({ kind: 'tick' }, 3_200);
  expect(look().needed).toEqual([
    { what: 'block 0-2', worker: 'w0', heldMs: 3_200, failures: 0 },
    { what: 'block 2-4', failures: 0 },
  ]);
});

test('a lost worker’s bar ends there, and the same block is seen in other hands for the second time', () => {
  const { happens, itemOf, look } = training();
  happens({ kind: 'item-taken', itemId: itemOf(0, 0), token: 't', worker: w0 });
  happens({ kind: 'worker-lost', worker: w0 });
  happens({ kind: 'item-taken', itemId: itemOf(0, 0), token: 'u', worker: w1 });
  happens({ kind: 'gradient-received', receipt: receipt(0, low, w1) });
  const { bars, counts, coverage } = look();
  expect(bars.map(({ worker, outcome, earlier }) => [worker, outcome, earlier])).toEqual([
    ['w0', 'lost', 0],
    ['w1', 'counted', 1],
  ]);
  expect(counts).toMatchObject({ accepted: 1, reissued: 1, duplicate: 0 });
  expect(coverage.disturbed).toEqual([{ from: 0, end: 1, kind: 'again' }]);
});

test('a second copy is seen as one, and is not counted', () => {
  const { happens, itemOf, look } = training();
  happens({ kind: 'item-taken', itemId: itemOf(0, 0), token: 't', worker: w0 });
  happens({ kind: 'gradient-received', receipt: receipt(0, low) });
  happens({ kind: 'gradient-received', receipt: receipt(0, low, w1) });
  const { bars, counts, coverage } = look();
  expect(bars.map(({ worker, outcome }) => [worker, outcome])).toEqual([
    ['w0', 'counted'],
    ['w1', 'duplicate'],
  ]);
  expect(counts).toMatchObject({ accepted: 1, duplicate: 1 });
  expect(coverage.disturbed).toEqual([{ from: 0, end: 1, kind: 'copy' }]);
});

test('a committed step is covered, its average has a bar, and times are those of the coordinator’s clock', () => {
  const { happens, itemOf, look } = training();
  happens({ kind: 'item-taken', itemId: itemOf(0, 0), token: 't', worker: w0 });
  happens({ kind: 'item-taken', itemId: itemOf(0, 2), token: 't', worker: w1 });
  happens({ kind: 'gradient-received', receipt: receipt(0, low) });
  happens({ kind: 'gradient-received', receipt: receipt(0, high, w1) });
  happens({ kind: 'averaged', step: step(0), finite: true }, 5);
  const { version, coverage, bars, sinceCommitMs, usualMs } = look();
  expect(version).toBe(1);
  expect(coverage).toMatchObject({ epoch: 0, steps: 5, committedSteps: 1, samples: 40, committedSamples: 8 });
  expect(bars.at(-1)).toMatchObject({ worker: '', kind: 'average', takenMs: -5, endMs: 0 });
  expect(bars[0]).toMatchObject({ takenMs: -35, endMs: -15, computeFromMs: -19 });
  expect([sinceCommitMs, usualMs]).toEqual([0, 65]);
});

test('a worker that was told to let go of what it waited with, and takes something else, has computed nothing', () => {
  const { happens, itemOf, look } = training();
  happens({ kind: 'item-taken', itemId: itemOf(0, 0), token: 't', worker: w0 });
  happens({ kind: 'item-taken', itemId: itemOf(1, 0), token: 't', worker: w1 });
  happens({ kind: 'worker-lost', worker: w0 });
  happens({ kind: 'item-taken', itemId: itemOf(0, 0), token: 'u', worker: w1 });
  expect(look().bars.map(({ worker, step: at, outcome }) => [worker, at, outcome])).toEqual([
    ['w0', 0, 'lost'],
    ['w1', 1, 'let go'],
    ['w1', 0, 'held'],
  ]);
});

test('what is remembered is bounded', () => {
  const { happens, itemOf, look } = training();
  const id = itemOf(0, 0);
  for (let turn = 0; turn < 2_000; turn++) {
    happens({ kind: 'item-taken', itemId: id, token: 't', worker: w0 });
    happens({ kind: 'gradient-received', receipt: { ...receipt(0, low), run: runId('r') } });
  }
  const { bars, coverage } = look();
  expect(bars.length).toBeLessThanOrEqual(72);
  expect(coverage.disturbed.length).toBeLessThanOrEqual(300);
});
