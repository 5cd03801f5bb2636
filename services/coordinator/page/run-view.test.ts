import { describe, expect, test } from 'vitest';
import type { RunEvent, RunEventBody } from '../../../packages/training/src/events.js';
import { advanceView, duration, emptyView, type RunView, reasonToWait, sentenceOf, shareDone } from './run-view.js';

const phases = { broadcastMs: 1, computeMs: 2, uploadMs: 0, waitMs: 0, averageMs: 1, commitMs: 0 };
const started: RunEventBody = {
  event: 'run_started',
  ...{ job: 'digits', seed: 1, workers: 2, threads: 2, kernel: 'wasm-simd128/1', parameters: 4810 },
  redis: { engine: 'redis', version: '7.0.15' },
  samples: { train: 1437, validation: 180, test: 180 },
  ...{ batch: 64, microBatches: 2, steps: 100, epochs: 5, dashboard: '', metrics: '', runPath: 'runs/d', warnings: [] },
};
const stepAt = (step: number): RunEventBody => ({
  event: 'step_committed',
  ...{
    step,
    epoch: 1,
    loss: 1 / (step + 1),
    learningRate: 0.1,
    gradientNorm: 1,
    samples: 64,
    durationMs: 4,
    workers: 2,
  },
  phases,
});
const joined = (worker: string): RunEventBody => ({ event: 'worker_joined', worker, pid: 1, threads: 1 });
const lost: RunEventBody = {
  event: 'worker_lost',
  ...{ worker: 'w1', pid: 1, reason: 'the connection was lost', blocksReissued: 1, detectedInMs: 20 },
};

/** A second passes between two events. */
function viewOf(...bodies: readonly RunEventBody[]): RunView {
  const view = emptyView();
  for (const [second, body] of bodies.entries()) {
    advanceView(view, { ...body, run: 'd', time: new Date(second * 1000).toISOString() } as RunEvent);
  }
  return view;
}

describe('where the run stands, in words', () => {
  test('before it starts, and on its way with what is left by the pace of the last steps', () => {
    expect(sentenceOf(emptyView())).toMatch(/^Preparing/);
    const view = viewOf(started, joined('w0'), joined('w1'), stepAt(0), stepAt(49));
    expect(sentenceOf(view)).toBe('Training: step 50 of 100, 2 workers, about 0.2 s left');
    expect(shareDone(view)).toBe(0.5);
  });

  test('a failure is told in its own words', () => {
    const failed = { event: 'run_failed', code: 'DATA.ROW', message: 'row 3 has 2 cells', facts: {} } as const;
    expect(sentenceOf(viewOf(started, failed))).toBe('Failed: row 3 has 2 cells');
  });
});

describe('why it waits', () => {
  const view = viewOf(started, joined('w0'), joined('w1'), stepAt(0), lost);
  const lastAt = 4_000;

  test('says nothing while steps come, and what the coordinator knows first', () => {
    expect(reasonToWait(view, undefined, lastAt + 100)).toBe('');
    expect(reasonToWait(view, '1 more worker', lastAt)).toBe('It waits for 1 more worker.');
  });

  test('names the worker that was lost and who has its work', () => {
    expect(reasonToWait(view, undefined, lastAt + 5_000)).toBe(
      'No step for 5.0 s: w1 was lost, its blocks are computed by w0.',
    );
  });

  test('without any worker says that one is needed', () => {
    const alone = viewOf(started, joined('w1'), stepAt(0), lost);
    expect(reasonToWait(alone, undefined, 60_000)).toContain('no worker is connected');
  });
});

test('a lost worker is marked on the curves, in the table and in the log', () => {
  const view = viewOf(started, joined('w0'), joined('w1'), stepAt(0), stepAt(7), lost);
  expect(view.marks).toEqual([7]);
  expect(view.workers.get('w1')?.state).toBe('lost');
  expect(view.log[0]).toMatchObject({ tone: 'bad', text: expect.stringContaining('1 block handed to others') });
});

test('a run taken up again forgets the steps that are made again', () => {
  const resumed: RunEventBody = {
    event: 'run_resumed',
    ...{ step: 4, fence: 2, redoneSteps: 3, afterSeconds: 1, damaged: [], workers: 2, threads: 2 },
    ...{ kernel: 'wasm-simd128/1', dashboard: '', metrics: '' },
  };
  const view = viewOf(started, ...[0, 1, 2, 3, 4, 5, 6].map(stepAt), resumed, stepAt(4));
  expect(view.steps.map(({ step }) => step)).toEqual([0, 1, 2, 3, 4]);
});

test('a run taken up again after its end is no longer done, and its epochs do not double', () => {
  const epoch = (step: number): RunEventBody => ({
    event: 'epoch_finished',
    ...{ epoch: step / 2, epochs: 5, step, train: { loss: 1 }, samplesPerSecond: 1 },
  });
  const failed = { event: 'run_failed', code: 'STORAGE.WRITE', message: 'full', facts: {} } as const;
  const resumed: RunEventBody = {
    event: 'run_resumed',
    ...{ step: 2, fence: 2, redoneSteps: 2, afterSeconds: 1, damaged: [], workers: 2, threads: 2 },
    ...{ kernel: 'wasm-simd128/1', dashboard: '', metrics: '' },
  };
  const view = viewOf(started, epoch(2), epoch(4), failed, resumed, epoch(4));
  expect(sentenceOf(view)).toMatch(/^Training/);
  expect(view.epochs.map(({ step }) => step)).toEqual([2, 4]);
});

test('a worker that was lost long ago is not what the run waits for now', () => {
  const view = viewOf(started, joined('w0'), joined('w1'), lost, stepAt(3));
  expect(reasonToWait(view, undefined, 30_000)).toBe('No step for 26.0 s; 1 worker connected: w0.');
});

test('100,000 steps are kept as a few thousand points, the last among them, and the log stays short', () => {
  const view = emptyView();
  for (let step = 0; step < 100_000; step++) {
    advanceView(view, { ...stepAt(step), run: 'd', time: '2026-01-01T00:00:00.000Z' } as RunEvent);
    if (step % 100 === 0)
      advanceView(view, { ...joined('w0'), run: 'd', time: '2026-01-01T00:00:00.000Z' } as RunEvent);
  }
  expect(view.steps.length).toBeLessThanOrEqual(4_000);
  expect(view.steps.length).toBeGreaterThan(1_000);
  expect(view.steps.at(-1)?.step).toBe(99_999);
  expect(view.log.length).toBeLessThanOrEqual(300);
});

test.each([
  [4.26, '4.3 s'],
  [42, '42 s'],
  [600, '10 min'],
  [7300, '2 h 2 min'],
])('%d seconds are told as %s', (seconds, text) => {
  expect(duration(seconds)).toBe(text);
});
