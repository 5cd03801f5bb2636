import { expect, test } from 'vitest';
import { type Calibration, type Scenario, simulate } from './cluster.js';
import { openLink, openServer, openTimeline } from './timeline.js';

const FREE: Calibration = {
  wireMsPerMB: 0,
  linkBytesPerByte: 1,
  jobMs: 0,
  stepMs: 0,
  foldMsPerMillion: 0,
  updateMsPerMillion: 0,
};
const MEASURED: Calibration = { ...FREE, wireMsPerMB: 1, jobMs: 0.5, stepMs: 2, foldMsPerMillion: 0.4 };
const ONE_MEGABYTE: Scenario = {
  workers: 4,
  topology: { kind: 'star' },
  parameters: 250_000,
  bytes: { down: 1e6, up: 1e6 },
  megabitPerSecond: 80,
  latencyMs: 0,
  computeMs: 50,
  noise: 0,
  localSteps: 1,
  steps: 3,
  seed: 1,
};

test('actions happen in order of time, and those of one moment in the order they were planned', () => {
  const timeline = openTimeline();
  const seen: string[] = [];
  for (const [delay, name] of [
    [3, 'c'],
    [1, 'a'],
    [3, 'd'],
    [2, 'b'],
    [3, 'e'],
  ] as const) {
    timeline.after(delay, () => seen.push(`${name}${timeline.now()}`));
  }
  timeline.after(1, () => timeline.after(1.5, () => seen.push('later')));
  timeline.run();
  expect(seen).toEqual(['a1', 'b2', 'later', 'c3', 'd3', 'e3']);
});

test('a server works on one thing after the other, and on as many at a time as it has places', () => {
  const ends = (places: number): readonly number[] => {
    const timeline = openTimeline();
    const server = openServer(timeline, places);
    const times: number[] = [];
    for (const duration of [4, 1, 2]) server(duration, () => times.push(timeline.now()));
    timeline.run();
    return times;
  };
  expect(ends(1)).toEqual([4, 5, 7]);
  expect(ends(2)).toEqual([1, 3, 4]);
});

test('a link carries bytes at its rate, and what it saved in a pause at once', () => {
  const timeline = openTimeline();
  const link = openLink(timeline, 10, 50);
  const times: number[] = [];
  for (const bytes of [50, 30]) link(bytes, () => times.push(timeline.now()));
  timeline.after(6, () => link(40, () => times.push(timeline.now())));
  timeline.run();
  expect(times).toEqual([0, 3, 7]);
});

test('where bytes and overheads cost nothing, a step is its computing', () => {
  const { stepMs, efficiency } = simulate({ ...ONE_MEGABYTE, bytes: { down: 0, up: 0 } }, FREE);
  expect(stepMs).toBeCloseTo(50, 9);
  expect(efficiency).toBeCloseTo(1, 9);
});

test('a star’s step is what its coordinator’s link takes for every worker’s bytes, one way and back', () => {
  const { stepMs } = simulate(ONE_MEGABYTE, FREE);
  // 4 MB at 80 Mbit/s are 400 ms each way, and a piece, 1/16 of a tensor, comes a little later.
  expect(stepMs).toBeGreaterThan(800);
  expect(stepMs).toBeLessThan(850 + 4 * (100 / 16));
});

test('all machines on two cores compute two at a time', () => {
  const free = { ...ONE_MEGABYTE, bytes: { down: 0, up: 0 } };
  expect(simulate({ ...free, sharedCores: 2 }, FREE).stepMs).toBeCloseTo(100, 9);
});

test('so many local steps make the exchange so many times cheaper, and nothing else', () => {
  const once = simulate(ONE_MEGABYTE, MEASURED).stepMs;
  const seldom = simulate({ ...ONE_MEGABYTE, localSteps: 50 }, MEASURED).stepMs;
  expect(seldom - 50).toBeCloseTo((once - 50) / 50, 6);
});

test('a star loses efficiency with every worker, a tree keeps most of it', () => {
  const at = (workers: number, topology: Scenario['topology']): number =>
    simulate({ ...ONE_MEGABYTE, megabitPerSecond: 10_000, workers, topology }, MEASURED).efficiency;
  const star = [8, 64, 512].map((workers) => at(workers, { kind: 'star' }));
  const tree = [8, 64, 512].map((workers) => at(workers, { kind: 'tree', fanOut: 8 }));
  expect(star).toEqual(star.toSorted((left, right) => right - left));
  expect(star[2]).toBeLessThan(0.1);
  expect(tree[0]).toBe(star[0]);
  expect(tree[2]).toBeGreaterThan(0.5);
});

test('the same seed gives the same figures, and noise costs what the slowest worker takes', () => {
  const noisy = { ...ONE_MEGABYTE, bytes: { down: 0, up: 0 }, noise: 0.3, workers: 64, steps: 20 };
  expect(simulate(noisy, FREE)).toEqual(simulate(noisy, FREE));
  expect(simulate({ ...noisy, seed: 2 }, FREE)).not.toEqual(simulate(noisy, FREE));
  expect(simulate(noisy, FREE).stepMs).toBeGreaterThan(70);
  const evenedOut = simulate({ ...noisy, localSteps: 100 }, FREE).stepMs;
  expect(evenedOut).toBeGreaterThan(50);
  expect(evenedOut).toBeLessThan(56);
});
