import { expect, test } from 'vitest';
import { advanceRun } from './advance-run.js';
import { type Fence, runId, step as toStep, workerId } from './identities.js';
import type { GradientReceipt } from './messages.js';
import type { RunShape } from './run-shape.js';
import { newRun, type RunEffect, type RunInput, type RunState } from './run-state.js';
import { type GradientItem, itemId } from './work-items.js';

const shape: RunShape = {
  ...{ run: runId('r-1'), fence: 1 as Fence /* as a lead makes it */, samples: { train: 40, validation: 0, test: 0 } },
  ...{ batch: 10, microBatches: 4, stepsPerEpoch: 4, steps: 8, epochs: 2, limitedBy: 'epochs' },
};

/** A run for two workers after `started` and the inputs given, and all effects of the last of these. */
function runAfter(inputs: (now: RunState) => readonly RunInput[]): readonly [RunState, readonly RunEffect[]] {
  let state = newRun({ shape, rules: {}, task: 'regression', targetCount: 1 });
  for (const input of [{ kind: 'workers-changed', workers: 2 }, { kind: 'started' }] as const) {
    state = advanceRun(state, input)[0];
  }
  let effects: readonly RunEffect[] = [];
  for (const input of inputs(state)) [state, effects] = advanceRun(state, input);
  return [state, effects];
}

function blockOfStep0(now: RunState, begin: number): GradientItem {
  for (const { item } of now.items.values()) {
    if (item.kind === 'gradient' && item.step === 0 && item.block.begin === begin) return item;
  }
  throw new Error(`step 0 has no block from ${begin}`);
}

/** Each of them takes the block from its newest issue and dies of it, or says that it failed. */
function failuresOn(names: readonly string[], how: 'dies' | 'fails'): readonly [RunState, readonly RunEffect[]] {
  return runAfter((now) => {
    const item = blockOfStep0(now, 0);
    return names.flatMap((name, turn): RunInput[] => {
      const worker = workerId(name);
      const id = itemId({ ...item, issue: how === 'fails' ? turn : 0 });
      const taken = { kind: 'item-taken', itemId: id, token: `t${turn}`, worker } as const;
      return how === 'dies'
        ? [taken, { kind: 'worker-lost', worker }]
        : [taken, { kind: 'item-failed', itemId: id, worker, message: 'memory access out of bounds' }];
    });
  });
}

test.each(['dies', 'fails'] as const)(
  'a block ends the run when it %s under a third worker, not under a second',
  (how) => {
    expect(failuresOn(['w1', 'w2'], how)[0].phase).toBe('training');
    const [state, effects] = failuresOn(['w1', 'w2', 'w3'], how);
    expect(state.phase).toBe('ended');
    const fail = effects.find((effect) => effect.kind === 'fail');
    expect(fail).toMatchObject({
      error: { code: 'RUN.POISON_BLOCK' },
      suspect: { step: 0, block: { begin: 0, end: 2 } },
    });
    expect(fail?.error.message).toMatch(/^block 0-2 of step 0 .* failed 3 times, on 3 different workers: /);
  },
);

test('F6 deaths over a block are excused while workers die that did not have it, and not for ever', () => {
  const deaths = (elsewhere: number, over: number) =>
    runAfter((now) => {
      const item = blockOfStep0(now, 0);
      const idle = Array.from(
        { length: elsewhere },
        (_, at): RunInput => ({ kind: 'worker-lost', worker: workerId(`i${at}`) }),
      );
      const killed = Array.from({ length: over }, (_, at): RunInput[] => {
        const worker = workerId(`w${at}`);
        return [
          { kind: 'item-taken', itemId: itemId(item), token: `t${at}`, worker },
          { kind: 'worker-lost', worker },
        ];
      });
      return [...idle, ...killed.flat()];
    })[0].phase;
  expect(deaths(0, 3)).toBe('ended');
  expect(deaths(1, 5)).toBe('training');
  expect(deaths(1, 6)).toBe('ended');
  expect(deaths(9, 14)).toBe('training');
  expect(deaths(9, 15)).toBe('ended');
});

test('F6 what happened a minute ago elsewhere excuses nothing', () => {
  const [state] = runAfter((now) => {
    const item = blockOfStep0(now, 0);
    const killed = [0, 1, 2].flatMap((at): RunInput[] => {
      const worker = workerId(`w${at}`);
      return [
        { kind: 'item-taken', itemId: itemId(item), token: `t${at}`, worker },
        { kind: 'worker-lost', worker },
      ];
    });
    return [{ kind: 'worker-lost', worker: workerId('idle') }, { kind: 'tick', atMs: 61_000 }, ...killed];
  });
  expect(state.phase).toBe('ended');
});

test('F5 a block that threw on a worker is put into the queue for another when the same takes it again', () => {
  const [state, effects] = runAfter((now) => {
    const item = blockOfStep0(now, 0);
    const worker = workerId('w1');
    const again = itemId({ ...item, issue: 1 });
    return [
      { kind: 'item-taken', itemId: itemId(item), token: 't0', worker },
      { kind: 'item-failed', itemId: itemId(item), worker, message: 'out of bounds' },
      { kind: 'item-taken', itemId: again, token: 't1', worker },
    ];
  });
  expect(state.phase).toBe('training');
  expect(effects).toContainEqual(expect.objectContaining({ kind: 'copy', reason: 'elsewhere' }));
});

test('a worker that fails over a block again and again ends the run at the fifth time, not at the third', () => {
  expect(failuresOn(['w1', 'w1', 'w1', 'w1'], 'fails')[0].phase).toBe('training');
  const [state, effects] = failuresOn(['w1', 'w1', 'w1', 'w1', 'w1'], 'fails');
  expect(state.phase).toBe('ended');
  expect(effects.find((effect) => effect.kind === 'fail')?.error.message).toMatch(/failed 5 times, on one worker/);
});

function receiptOf(item: GradientItem, worker: string, gradientHash: string): RunInput {
  const receipt: GradientReceipt = {
    ...{ run: item.run, fence: item.fence, step: toStep(0), block: item.block, worker: workerId(worker), attempt: 1 },
    ...{ sampleCount: 5, lossSum: 1, correctCount: 0, squaredErrorSum: 1, targetSum: 1, targetSquareSum: 1 },
    ...{ gradientHash, computeMs: 1, waitedMs: 0 },
  };
  return { kind: 'gradient-received', receipt };
}

test('F21 a second gradient of a block with other bits is told with both workers, and a third worker is asked', () => {
  const [state, effects] = runAfter((now) => {
    const item = blockOfStep0(now, 2);
    return [receiptOf(item, 'w1', 'aa'), receiptOf(item, 'w2', 'bb')];
  });
  expect(effects).toMatchObject([
    { kind: 'count', outcome: 'conflicting' },
    { kind: 'gradients-disagree', counted: { worker: 'w1', gradientHash: 'aa' }, dropped: { worker: 'w2' } },
    { kind: 'announce', items: [{ block: { begin: 2 }, issue: 1 }] },
    { kind: 'copy', reason: 'disagreement' },
  ]);
  expect([...state.items.values()].flatMap(({ receipt }) => receipt ?? [])).toEqual([]);
});

test.each([
  { first: 'aa', second: 'bb', third: 'aa', liar: 'w2' },
  { first: 'bb', second: 'aa', third: 'aa', liar: 'w1' },
])('F21 whichever of two results came first, the third decides: $first, $second, $third names $liar', (given) => {
  const [state, effects] = runAfter((now) => {
    const item = blockOfStep0(now, 2);
    return [
      { kind: 'workers-changed', workers: 3 },
      receiptOf(item, 'w1', given.first),
      receiptOf(item, 'w2', given.second),
      receiptOf(item, 'w3', given.third),
    ];
  });
  expect(effects).toContainEqual(expect.objectContaining({ kind: 'distrust', worker: given.liar }));
  expect(effects).toContainEqual({ kind: 'count', outcome: 'accepted' });
  const counted = [...state.items.values()].flatMap(({ receipt }) => (receipt === undefined ? [] : [receipt]));
  expect(counted).toMatchObject([{ worker: 'w3', gradientHash: given.third }]);
});

test('F21 two workers that never agree end the run by name, not by chance', () => {
  const [state, effects] = runAfter((now) => {
    const item = blockOfStep0(now, 2);
    return ['aa', 'bb', 'cc', 'dd', 'ee', 'ff'].map((hash, at) => receiptOf(item, at % 2 === 0 ? 'w1' : 'w2', hash));
  });
  expect(state.phase).toBe('ended');
  expect(effects.find((effect) => effect.kind === 'fail')).toMatchObject({
    error: { code: 'INTEGRITY.DISAGREEMENT', facts: { workers: 'w1, w2', block: '0.2-4' } },
  });
});

test('a second gradient of a block with the same bits is a duplicate and nothing worse', () => {
  const [, effects] = runAfter((now) => {
    const item = blockOfStep0(now, 2);
    return [receiptOf(item, 'w1', 'aa'), receiptOf(item, 'w2', 'aa')];
  });
  expect(effects).toEqual([{ kind: 'count', outcome: 'duplicate' }]);
});
