import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type GrainDecision, type GrainInputs, isNews, planGrain } from './grain.js';

const INPUTS: GrainInputs = {
  wanted: 'auto',
  workers: ['w1', 'w2'],
  canLease: true,
  rounds: false,
  microBatches: 8,
  exchangedBytes: 8000,
  resultBytes: 4000,
  computeMs: 1,
  exchangeMs: undefined,
};
const AFTER_RUN = { grain: 'run', stepsPerLease: 100 } as const;
const AFTER_STEP = { grain: 'step', stepsPerLease: 100 } as const;

test.each<[string, Partial<GrainInputs>, 'step' | 'run', RegExp]>([
  ['the user asks for steps', { wanted: 'step', workers: ['w1'] }, 'step', /--grain step/],
  ['the user asks for runs', { wanted: 'run', computeMs: 1e4 }, 'run', /--grain run/],
  ['steps are rounds', { wanted: 'run', rounds: true, computeMs: 1e4 }, 'step', /share the replicas of every round/],
  ['a lease fits no worker', { wanted: 'run', canLease: false }, 'step', /does not fit into the memory/],
  ['there is one worker', { workers: ['w1'], computeMs: 1e4 }, 'run', /nothing to exchange/],
  ['nothing is measured yet', { computeMs: undefined }, 'run', /first steps are measured/],
  [
    'the model is small',
    { exchangeMs: 2.1, computeMs: 0.8 },
    'run',
    /^w2 is idle: exchange would cost 2.1 ms to save 0.4 ms of computing$/,
  ],
  ['the exchange was not seen yet', {}, 'run', /^w2 is idle: exchange would cost 3.9 ms to save 0.5 ms of computing$/],
  [
    'computing is large',
    { exchangeMs: 12, computeMs: 100 },
    'step',
    /2 workers share every step: exchange costs 12 ms to save 50 ms/,
  ],
  [
    'three workers share four blocks: one has two',
    { workers: ['a', 'b', 'c'], exchangeMs: 49, computeMs: 100 },
    'run',
    /2 of 3 workers are idle: exchange would cost 49 ms to save 50 ms/,
  ],
  ['one micro-batch is not to be shared', { microBatches: 1, exchangeMs: 1, computeMs: 100 }, 'run', /save 0.0 ms/],
  [
    'parameters are many',
    { exchangedBytes: 67_200_000, computeMs: 300 },
    'run',
    /exchange would cost 212 ms to save 150 ms/,
  ],
])('when %s', (_, inputs, grain, reason) => {
  const decision = planGrain({ ...INPUTS, ...inputs }, AFTER_RUN);
  expect(decision.grain).toBe(grain);
  expect(decision.reason).toMatch(reason);
});

test('a grain is not left for a gain that is within the noise, whichever it is', () => {
  fc.assert(
    fc.property(
      fc.double({ min: 1, max: 1000, noNaN: true }),
      fc.double({ min: 0, max: 0.12, noNaN: true }),
      (computeMs, gain) => {
        // Both take about the same: sharing saves half of the computing and costs as much, give or take.
        for (const [before, exchangeMs] of [
          [AFTER_RUN, computeMs / 2 - gain * computeMs],
          [AFTER_STEP, computeMs / 2 + gain * computeMs],
        ] as const) {
          const inputs = { ...INPUTS, computeMs, exchangeMs: Math.max(0, exchangeMs) };
          expect(planGrain(inputs, before).grain).toBe(before.grain);
        }
      },
    ),
  );
});

test('a lease takes about a quarter of a second, and grows to that from one step', () => {
  let before: { grain: 'run'; stepsPerLease: number } = { grain: 'run', stepsPerLease: 1 };
  const lengths: number[] = [];
  for (let lease = 0; lease < 5; lease++) {
    const { stepsPerLease } = planGrain({ ...INPUTS, computeMs: 0.5 }, before);
    lengths.push(stepsPerLease);
    before = { grain: 'run', stepsPerLease };
  }
  expect(lengths).toEqual([8, 64, 500, 500, 500]);
  expect(planGrain({ ...INPUTS, computeMs: undefined }, AFTER_RUN).stepsPerLease).toBe(1);
  expect(planGrain({ ...INPUTS, computeMs: 900 }, AFTER_RUN).stepsPerLease).toBe(1);
  expect(planGrain({ ...INPUTS, computeMs: 1e-6 }, { grain: 'run', stepsPerLease: 1024 }).stepsPerLease).toBe(1024);
});

test('a decision is news when its grain or its ground changes, or leases become much longer or shorter', () => {
  const run: GrainDecision = planGrain(INPUTS, AFTER_RUN);
  expect(isNews(run, undefined)).toBe(true);
  expect(isNews({ ...run, stepsPerLease: run.stepsPerLease * 2, reason: 'other numbers' }, run)).toBe(false);
  expect(isNews({ ...run, stepsPerLease: run.stepsPerLease * 4 }, run)).toBe(true);
  expect(isNews({ ...run, basis: 'alone' }, run)).toBe(true);
  expect(isNews({ ...run, grain: 'step' }, run)).toBe(true);
});

test('a lease is long enough for what it leaves behind to be sent meanwhile, and no longer than five seconds', () => {
  const lengths = [4_000, 50e6, 100e6, 1e9].map(
    (resultBytes) => planGrain({ ...INPUTS, wanted: 'run', computeMs: 10, resultBytes }, AFTER_RUN).stepsPerLease,
  );
  expect(lengths).toEqual([25, 248, 496, 500]);
});
