import { expect, test } from 'vitest';
import { startEventLimit } from './event-limit.js';
import type { RunEvent } from './events.js';
import { runId } from './identities.js';

const at = (ms: number) => ({ time: new Date(ms).toISOString(), run: runId('r') });
const stepAt = (ms: number): RunEvent => ({
  ...at(ms),
  event: 'step_committed',
  step: ms,
  epoch: 0,
  loss: 1,
  learningRate: 0.1,
  gradientNorm: 1,
  samples: 8,
  durationMs: 40,
  workers: 1,
  phases: { broadcastMs: 0, computeMs: 0, uploadMs: 0, waitMs: 0, averageMs: 0, commitMs: 0 },
});
const leftAt = (ms: number): RunEvent => ({ ...at(ms), event: 'worker_left', worker: 'w1', pid: 1, reason: 'asked' });

test('steps are held to ten in any second, and everything else passes', () => {
  const passes = startEventLimit();
  const events = Array.from({ length: 200 }, (_, index) => [stepAt(40 * index), leftAt(40 * index + 1)]).flat();
  const passed = events.filter(passes);
  const times = passed.filter(({ event }) => event === 'step_committed').map(({ time }) => Date.parse(time));
  for (const time of times) {
    expect(times.filter((other) => other >= time && other < time + 1000).length).toBeLessThanOrEqual(10);
  }
  expect(times.length).toBeGreaterThan(60);
  expect(passed.filter(({ event }) => event === 'worker_left')).toHaveLength(200);
});

test('a slow run keeps every step', () => {
  expect([0, 500, 1000, 1100].map(stepAt).filter(startEventLimit())).toHaveLength(4);
});
