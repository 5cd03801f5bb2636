import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { fence, type GradientReceipt, runId, step, workerId } from '#training';
import { StepTimeline } from './step-timeline.js';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

const receipt = (computeMs: number, waitedMs: number): GradientReceipt => ({
  run: runId('r'),
  fence: fence(1),
  step: step(0),
  block: { begin: 0, end: 1 },
  worker: workerId('w0'),
  attempt: 1,
  ...{ sampleCount: 1, lossSum: 0, correctCount: 0, squaredErrorSum: 0, targetSum: 0, targetSquareSum: 0 },
  gradientHash: '0'.repeat(16),
  computeMs,
  waitedMs,
});

interface PlayedStep {
  /** Milliseconds from the weights to the first frame, from there to the last, to the average's end, to the publishing. */
  readonly beforeUpload: number;
  readonly upload: number;
  readonly average: number;
  readonly rest: number;
  /** What the worker's own clock says. */
  readonly compute: number;
  readonly waited: number;
}

function play(timeline: StepTimeline, played: PlayedStep) {
  vi.advanceTimersByTime(played.beforeUpload);
  const firstFrameAt = performance.now();
  vi.advanceTimersByTime(played.upload);
  timeline.arrived(receipt(played.compute, played.waited), { firstFrameAt, lastFrameAt: performance.now() });
  vi.advanceTimersByTime(played.average);
  timeline.averaged(played.average);
  vi.advanceTimersByTime(played.rest);
  return timeline.published();
}

const calm: PlayedStep = { beforeUpload: 7, upload: 1, average: 1, rest: 1, compute: 4, waited: 1 };

describe('the phases of a step', () => {
  const ms = fc.integer({ min: 0, max: 1000 });
  const steps = fc.record({ beforeUpload: ms, upload: ms, average: ms, rest: ms, compute: ms, waited: ms });

  test('add up to its duration, none below 0, whatever the worker’s clock says', () => {
    fc.assert(
      fc.property(fc.array(steps, { minLength: 1, maxLength: 5 }), (all) => {
        const timeline = new StepTimeline();
        timeline.begin();
        for (const one of all) {
          const { durationMs, phases } = play(timeline, one);
          const parts = Object.values(phases);
          expect(parts.reduce((sum, part) => sum + part, 0)).toBeCloseTo(durationMs, 6);
          expect(Math.min(...parts)).toBeGreaterThanOrEqual(0);
        }
      }),
    );
  });

  test('tell the way of the weights apart from computing, waiting and sending', () => {
    const timeline = new StepTimeline();
    timeline.begin();
    expect(play(timeline, calm)).toEqual({
      durationMs: 10,
      phases: { broadcastMs: 2, computeMs: 4, waitMs: 1, uploadMs: 1, averageMs: 1, commitMs: 1 },
    });
  });

  test('are those of the block that came in last', () => {
    const timeline = new StepTimeline();
    timeline.begin();
    const at = performance.now();
    timeline.arrived(receipt(0, 0), { firstFrameAt: at, lastFrameAt: at });
    expect(play(timeline, calm).phases.computeMs).toBe(4);
  });
});

describe('goodput', () => {
  test('is 1 without a loss, and before the first step', () => {
    const timeline = new StepTimeline();
    expect(timeline.goodput()).toBe(1);
    timeline.begin();
    for (let count = 0; count < 5; count++) play(timeline, calm);
    expect(timeline.goodput()).toBe(1);
  });

  test('falls by what a disturbed step took beyond a usual one', () => {
    const timeline = new StepTimeline();
    timeline.begin();
    for (let count = 0; count < 9; count++) play(timeline, calm);
    timeline.disturbed();
    play(timeline, { ...calm, rest: calm.rest + 100 });
    expect(timeline.goodput()).toBeCloseTo(1 - 100 / 200, 12);
    play(timeline, calm);
    expect(timeline.goodput()).toBeCloseTo(1 - 100 / 210, 12);
  });
});
