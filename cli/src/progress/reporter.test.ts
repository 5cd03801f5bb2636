import { expect, test, vi } from 'vitest';
import type { RunEvent } from '#training';
import { recordTerminal } from '../terminal.fixture.js';
import { openReporter } from './reporter.js';
import { epochAt, finished, lost, started, stepAt } from './run-events.fixture.js';

const shown = { json: false, quiet: false };

/** 30 epochs of 6 steps in 7.2 s, with a worker lost on the way. */
const wholeRun: readonly RunEvent[] = [
  started,
  ...Array.from({ length: 180 }, (_, step) => step).flatMap((step) => {
    const at = (step + 1) * 40;
    return step % 6 === 5 ? [stepAt(at, step), epochAt(at, Math.floor(step / 6))] : [stepAt(at, step)];
  }),
  lost,
  finished,
];

test('without a terminal a fast run is told in few lines, the first loss and the last epoch among them', () => {
  const { terminal, talk, results } = recordTerminal();
  using reporter = openReporter(terminal, shown);
  for (const event of wholeRun) reporter.event(event);
  const lines = talk().trimEnd().split('\n');
  expect(lines[0]).toBe('training digits: 1,437 samples, 4,810 parameters, 180 steps of 256');
  expect(lines[1]).toMatch(/^epoch 1\/30 .* step 1\/180 {2}loss 0.2134/);
  expect(lines.filter((line) => line.startsWith('epoch')).length).toBeLessThanOrEqual(11);
  expect(lines).toContain('epoch 30/30  train accuracy 90.00 %  loss 0.3000  val accuracy 93.12 %  loss 0.2410');
  expect(lines.at(-1)).toBe('w1 lost (connection closed), noticed in 0.0 s: 1 block handed to others');
  expect(results()).toBe('');
});

test('without a terminal a slow run gets a line every ten seconds', () => {
  const { terminal, talk } = recordTerminal();
  using reporter = openReporter(terminal, shown);
  reporter.event(started);
  for (let step = 0; step < 61; step++) reporter.event(stepAt(step * 1000, step));
  expect(talk().match(/step \d+\/180/g)).toHaveLength(7);
});

test('--json is the events as they came, and nothing else on stdout', () => {
  const { terminal, results } = recordTerminal();
  using reporter = openReporter(terminal, { ...shown, json: true });
  for (const event of wholeRun) reporter.event(event);
  reporter.note('a word');
  const lines = results().trimEnd().split('\n');
  expect(lines.map((line): unknown => JSON.parse(line))).toEqual(wholeRun);
});

test('--quiet says nothing', () => {
  const { terminal, talk, results } = recordTerminal({ columns: 80 });
  using reporter = openReporter(terminal, { ...shown, quiet: true });
  for (const event of wholeRun) reporter.event(event);
  reporter.note('a word');
  expect(talk() + results()).toBe('');
});

test('a terminal is redrawn at most ten times a second, last of all with the last state', () => {
  vi.useFakeTimers();
  try {
    const { terminal, talk } = recordTerminal({ columns: 120, variables: { NO_COLOR: '1' } });
    {
      using reporter = openReporter(terminal, shown);
      reporter.event(started);
      for (let ms = 0; ms < 1000; ms++) {
        reporter.event(stepAt(ms, ms % 180));
        vi.advanceTimersByTime(1);
      }
      const redraws = talk().match(/step \d+\/180/g)?.length ?? 0;
      expect(redraws).toBeGreaterThan(5);
      expect(redraws).toBeLessThanOrEqual(10);
      for (const event of wholeRun) reporter.event(event);
    }
    expect(talk()).toContain('step 180/180');
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});

test('a word from the command stays above the redrawn block', () => {
  const { terminal, talk } = recordTerminal({ columns: 120, variables: { NO_COLOR: '1' } });
  using reporter = openReporter(terminal, shown);
  reporter.event(started);
  reporter.note('w1 ended');
  expect(talk()).toMatch(/w1 ended\n[\s\S]*step 0\/180/);
});
