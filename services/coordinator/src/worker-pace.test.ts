import { expect, test } from 'vitest';
import { WorkerPace } from './worker-pace.js';

test('what workers computed is told once a second, added up, and never twice', () => {
  let now = 0;
  const pace = new WorkerPace(() => now);
  now = 500;
  pace.begin();
  pace.computed('w0', 64, 5);
  pace.computed('w0', 64, 6);
  pace.computed('w1', 64, 9);
  now = 1_499;
  expect(pace.due()).toBeUndefined();
  now = 1_500;
  expect(pace.due()).toEqual({
    seconds: 1,
    workers: [
      { worker: 'w0', samples: 128, computeMs: 11 },
      { worker: 'w1', samples: 64, computeMs: 9 },
    ],
  });
  now = 10_000;
  expect(pace.due()).toBeUndefined();
  pace.computed('w1', 32, 4);
  expect(pace.due()).toEqual({ seconds: 8.5, workers: [{ worker: 'w1', samples: 32, computeMs: 4 }] });
});
