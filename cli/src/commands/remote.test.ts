import { expect, test } from 'vitest';
import type { RunSummary } from '#training';
import { renderRuns } from './remote.js';

const run: RunSummary = {
  run: 'digits-7f3a',
  job: 'digits',
  state: 'training',
  step: 1200,
  steps: 24_000,
  loss: 0.21344,
  submittedAt: '2026-01-02T03:04:05.678Z',
  runPath: '/runs/digits-7f3a',
};

test('the table has one line a run, and says what a run waits for', () => {
  const { loss: _loss, ...young } = run;
  expect(
    renderRuns([
      { ...young, run: 'b', state: 'queued', step: 0, waitingFor: '1 more worker' },
      { ...run, state: 'finished', weightsSha256: 'ab'.repeat(32) },
    ]).split('\n'),
  ).toEqual([
    'RUN          STATE                              STEP          LOSS    SUBMITTED (UTC)      WEIGHTS',
    'b            queued, waiting for 1 more worker  0/24,000      -       2026-01-02 03:04:05  -',
    'digits-7f3a  finished                           1,200/24,000  0.2134  2026-01-02 03:04:05  abababababab',
  ]);
});
