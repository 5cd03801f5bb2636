import { expect, test } from 'vitest';
import type { RunEvent } from '#training';
import { epochAt, eventAt, finished, joined, lost, started, stepAt } from './run-events.fixture.js';
import { advanceView, emptyView, type RunView, ratesOf, workerCount } from './run-view.js';

function viewOf(events: readonly RunEvent[]): RunView {
  return events.reduce(advanceView, emptyView);
}

function steps(count: number, stepMs: number): readonly RunEvent[] {
  return Array.from({ length: count }, (_, step) => stepAt((step + 1) * stepMs, step));
}

test('a steady run has its true rate and time left', () => {
  const rates = ratesOf(viewOf([started, ...steps(60, 50)]));
  expect(rates?.stepsPerSecond).toBeCloseTo(20, 6);
  // Six steps an epoch, the last of them short.
  expect(rates?.samplesPerSecond).toBeCloseTo((20 * 1437) / 6, 6);
  expect(rates?.secondsLeft).toBeCloseTo(120 / 20, 6);
});

test('rates do not suffer from steps that are not told of', () => {
  const told = steps(60, 50).filter((_, index) => index % 2 === 1);
  expect(ratesOf(viewOf([started, ...told]))).toEqual(ratesOf(viewOf([started, ...steps(60, 50)])));
});

test('a finished run stands at its last step and epoch, told of or not', () => {
  const { latest } = viewOf([started, ...steps(60, 50), finished]);
  expect(latest).toMatchObject({ step: finished.steps - 1, epoch: Math.floor((finished.steps - 1) / 6) });
});

test('there is no rate before the first step', () => {
  expect(ratesOf(viewOf([started]))).toBeUndefined();
});

test('the rate follows a change of pace within the window', () => {
  const slow = Array.from({ length: 40 }, (_, index) => stepAt(3000 + (index + 1) * 500, 60 + index));
  expect(ratesOf(viewOf([started, ...steps(60, 50), ...slow]))?.stepsPerSecond).toBeCloseTo(2, 1);
});

test('the time left counts the validation between long epochs, wherever in an epoch one looks', () => {
  // Six steps of 5 s, then 12 s in which validation is measured: 42 s an epoch, 30 epochs.
  const epoch = (index: number): readonly RunEvent[] => [
    ...Array.from({ length: 6 }, (_, step) => stepAt(index * 42_000 + (step + 1) * 5_000, index * 6 + step)),
    epochAt((index + 1) * 42_000, index),
  ];
  const events = [started, ...Array.from({ length: 6 }, (_, index) => epoch(index)).flat()];
  for (let told = 23; told < events.length; told++) {
    const last = events[told];
    const passed = last === undefined ? 0 : (Date.parse(last.time) - Date.parse(started.time)) / 1000;
    const truly = 30 * 42 - passed;
    const secondsLeft = ratesOf(viewOf(events.slice(0, told + 1)))?.secondsLeft ?? 0;
    expect(Math.abs(secondsLeft - truly) / truly).toBeLessThan(0.15);
  }
});

test('a long run keeps a bounded number of marks', () => {
  expect(viewOf([started, ...steps(20_000, 1)]).window.length).toBeLessThanOrEqual(15_000 / 250 + 2);
});

test('workers are counted as they come and go', () => {
  const both = viewOf([started, joined('w0'), joined('w1')]);
  expect(workerCount(both)).toBe(2);
  expect(workerCount(advanceView(both, lost))).toBe(1);
  expect(workerCount(viewOf([started]))).toBe(2);
});

test('the last five happenings are kept, oldest first', () => {
  const saves = Array.from({ length: 7 }, (_, step) =>
    eventAt(step, 'checkpoint_saved', { step, path: 'x', bytes: 1, durationMs: 1.5 }),
  );
  const { notices } = viewOf([started, ...saves]);
  expect(notices).toHaveLength(5);
  expect(notices[4]).toMatch(/^\d\d:\d\d:\d\d checkpoint at step 6 saved in 1.5 ms$/);
});

test('an event of a newer coordinator changes nothing', () => {
  const unknown = { event: 'moon_landed', time: '2026-01-02T03:04:05.000Z', run: 'digits-7f3a' } as unknown as RunEvent;
  const view = viewOf([started]);
  expect(advanceView(view, unknown)).toEqual(view);
});

test('phases move a tenth of the way with each step', () => {
  const first = viewOf([started, stepAt(40, 0)]);
  const slower = { ...stepAt(80, 1), phases: { ...first.phases, computeMs: 129 } } as RunEvent;
  expect(advanceView(first, slower).phases?.computeMs).toBeCloseTo(39, 9);
});
