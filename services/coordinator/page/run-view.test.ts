import { describe, expect, test } from 'vitest';
import type { RunEvent, RunEventBody } from '../../../packages/training/src/events.js';
import type { LiveRun, StepRow } from './messages.js';
import { advanceView, applySteps, emptyView, type RunView } from './run-view.js';
import { reasonToWait, sentenceOf, shareDone } from './run-words.js';
import { bytes, duration, elapsed, listed } from './words.js';

const started: RunEventBody = {
  event: 'run_started',
  ...{ job: 'digits', seed: 1, workers: 2, threads: 2, kernel: 'wasm-simd128/1', parameters: 4810 },
  redis: { engine: 'redis', version: '7.0.15' },
  samples: { train: 1437, validation: 180, test: 180 },
  ...{ batch: 64, microBatches: 2, steps: 100, epochs: 5, dashboard: '', metrics: '', runPath: 'runs/d', warnings: [] },
};
const rowOf = (step: number): StepRow => [step, 1 / (step + 1), 0.1, 1, 4, 16_000, 1, 2, 0, 0, 1, 0];
const joined = (worker: string): RunEventBody => ({ event: 'worker_joined', worker, pid: 1, threads: 1 });
const lost: RunEventBody = {
  event: 'worker_lost',
  ...{ worker: 'w1', pid: 1, reason: 'the connection was lost', blocksReissued: 1, detectedInMs: 20 },
};

/** A second passes between two events; so many steps were committed by then. */
function viewOf(bodies: readonly RunEventBody[], steps: readonly number[] = []): RunView {
  const view = emptyView();
  for (const [second, body] of bodies.entries()) {
    advanceView(view, { ...body, run: 'd', time: new Date(second * 1000).toISOString() } as RunEvent, steps.length);
  }
  applySteps(view, { from: 0, rows: steps.map(rowOf) });
  return view;
}

const live: LiveRun = {
  ...{ at: 0, version: 50, phase: 'training', judging: false, sinceCommitMs: 2, usualMs: 4, goodput: 1 },
  needed: [
    { what: 'block 0-2', worker: 'w0', heldMs: 1200, failures: 0 },
    { what: 'block 2-4', failures: 1 },
  ],
  coverage: {
    ...{ epoch: 2, epochs: 5, firstStep: 46, steps: 23, committedSteps: 4, announcedSteps: 6 },
    ...{ samples: 1437, committedSamples: 256, disturbed: [] },
  },
  counts: { accepted: 100, duplicate: 0, conflicting: 0, stale: 0, reissued: 0 },
  workers: ['w0', 'w1'].map((worker) => ({
    ...{ worker, pid: 1, host: 'h', threads: 1, holds: [], failures: 0, counted: 1, lastSeenMs: 10 },
    state: 'ready',
  })),
  bars: [],
};

describe('where the run stands, in words', () => {
  test('before it starts, and on its way with what is left by the pace of the last steps', () => {
    expect(sentenceOf(emptyView())).toMatch(/^Preparing/);
    const view = viewOf([started, joined('w0'), joined('w1')], [0, 49]);
    expect(sentenceOf(view)).toBe('Training: step 50 of 100, 2 workers, about 0.2 s left');
    expect(shareDone(view)).toBe(0.5);
  });

  test('a failure is told in its own words', () => {
    const failed = { event: 'run_failed', code: 'DATA.ROW', message: 'row 3 has 2 cells', facts: {} } as const;
    expect(sentenceOf(viewOf([started, failed]))).toBe('Failed: row 3 has 2 cells');
  });
});

describe('why it waits', () => {
  const training = viewOf([started, joined('w0'), joined('w1')], [0, 49]);

  test('says nothing while steps come, and names every holder of what is missing when they do not', () => {
    expect(reasonToWait({ ...training, live }, 0)).toBe('');
    const stuck = { ...training, live: { ...live, sinceCommitMs: 3_000 } };
    expect(sentenceOf(stuck)).toMatch(/^Waiting: step 50 of 100/);
    expect(reasonToWait(stuck, 200)).toBe(
      'No step for 3.2 s: step 50 waits for block 0-2, held by w0 for 1.4 s and ' +
        'block 2-4 (failed once before), which nobody has taken yet.',
    );
  });

  test('a wait that is usual for these steps is none', () => {
    expect(reasonToWait({ ...training, live: { ...live, sinceCommitMs: 3_000, usualMs: 1_000 } }, 0)).toBe('');
  });

  test('without workers it says what to do, and what the coordinator knows comes first', () => {
    const alone = { ...training, live: { ...live, workers: [], sinceCommitMs: 5_000 } };
    expect(reasonToWait(alone, 0)).toContain('no worker is connected. Start one');
    const summary = {
      ...{ run: 'd', job: 'd', step: 0, steps: 0, submittedAt: '', runPath: '' },
      state: 'preparing',
    } as const;
    const waiting = { ...training, summary: { ...summary, waitingFor: 'a first worker' } };
    expect(reasonToWait(waiting, 0)).toBe('It waits for a first worker.');
  });

  test('a worker that was lost since the last step is named, one that was lost long ago is not', () => {
    const view = viewOf([started, joined('w0'), joined('w1'), lost], [0]);
    const stuckAt = (at: number): RunView => ({ ...view, live: { ...live, at, sinceCommitMs: 3_000 } });
    expect(reasonToWait(stuckAt(5_000), 0)).toMatch(/w1 was lost meanwhile\.$/);
    expect(reasonToWait(stuckAt(9_000), 0)).not.toContain('lost');
  });

  test('a step that is being averaged waits for nobody', () => {
    const averaging: LiveRun = { ...live, phase: 'averaging', needed: [], sinceCommitMs: 3_000 };
    expect(reasonToWait({ ...training, live: averaging }, 0)).toContain('is being averaged');
  });
});

test('a lost worker is marked in table, log and curves, at the step that was committed by then', () => {
  const view = viewOf([started, joined('w0'), joined('w1'), lost], [0, 1, 2]);
  expect(view.marks).toEqual([{ step: 3, kind: 'fault' }]);
  expect(view.workers.get('w1')?.state).toBe('lost');
  expect(view.log[0]).toMatchObject({ tone: 'bad', text: expect.stringContaining('1 block handed to others') });
});

test('rows from a step on take the place of what was there', () => {
  const view = viewOf([started], [0, 1, 2, 3]);
  applySteps(view, { from: 2, rows: [rowOf(2), rowOf(5)] });
  expect(view.steps.map(({ step }) => step)).toEqual([0, 1, 2, 5]);
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
  const view = viewOf([started, epoch(2), epoch(4), failed, resumed, epoch(4)]);
  expect(sentenceOf(view)).toMatch(/^Training/);
  expect(view.epochs.map(({ step }) => step)).toEqual([2, 4]);
});

test('of very many events the log stays short', () => {
  const view = emptyView();
  const time = '2026-01-01T00:00:00.000Z';
  for (let count = 0; count < 1_000; count++) advanceView(view, { ...joined('w0'), run: 'd', time } as RunEvent, 0);
  expect(view.log.length).toBeLessThanOrEqual(300);
});

test('times, sizes and lists are said as people say them', () => {
  expect([3.12, 42.4, 400, 3_200, 100_000].map(elapsed)).toEqual(['3.1 ms', '42 ms', '400 ms', '3.2 s', '2 min']);
  expect([0, 999, 1_500, 33_500_000].map(bytes)).toEqual(['0 bytes', '999 bytes', '1.50 KB', '33.5 MB']);
  expect([listed(['a']), listed(['a', 'b']), listed(['a', 'b', 'c'])]).toEqual(['a', 'a and b', 'a, b and c']);
});

test.each([
  [4.26, '4.3 s'],
  [42, '42 s'],
  [600, '10 min'],
  [7300, '2 h 2 min'],
])('%d seconds are told as %s', (seconds, text) => {
  expect(duration(seconds)).toBe(text);
});
