import { expect, test } from 'vitest';
import type { RunEvent } from '#training';
import { eventAt, finished, started, stepAt } from '../progress/run-events.fixture.js';
import type { InflictedFault } from './nemesis.js';
import { renderSurvival } from './render-survival.js';
import { tellSurvival } from './survival.js';

const start = Date.parse(started.time);
const paint = (_style: string, text: string) => text;
const calm = [started, stepAt(100, 1), finished];

function fault(atMs: number, rest: Partial<InflictedFault> = {}): InflictedFault {
  return { kind: 'worker-kill', time: start + atMs, text: 'SIGKILL to w1 (pid 41)', missed: false, pid: 41, ...rest };
}

function lost(atMs: number, pid: number, detectedInMs: number): RunEvent {
  const facts = { worker: 'w1', reason: 'the connection was lost', blocksReissued: 2, detectedInMs };
  return eventAt(atMs, 'worker_lost', { ...facts, pid });
}

/** The end of a run with other hashes. */
function differing(hashes: Partial<Record<'weightsSha256' | 'optimizerSha256', string>>): RunEvent {
  return { ...finished, ...hashes } as RunEvent; // only strings are replaced by strings
}

test('a fault is survived when a step or the end of the run comes after it', () => {
  const events = [started, stepAt(100, 1), stepAt(900, 2), finished];
  const { faults } = tellSurvival(calm, events, [fault(200), fault(500), fault(1000), fault(9000)]);
  expect(faults).toEqual([{ kind: 'worker-kill', struck: 4, survived: 3, nextStepMs: 700 }]);
});

test('what notices a fault is found by the process that was hit, the longest counts', () => {
  const events = [started, lost(260, 41, 60), lost(400, 99, 3000), lost(600, 42, 90), stepAt(900, 2), finished];
  const { faults } = tellSurvival(calm, events, [fault(200), fault(500, { pid: 42 })]);
  expect(faults).toMatchObject([{ noticedMs: 90 }]);
});

test('a fault that found nobody is counted apart', () => {
  const { faults, missed } = tellSurvival(calm, calm, [fault(10, { missed: true })]);
  expect([faults, missed]).toEqual([[], 1]);
});

test.each([
  ['weights', differing({ weightsSha256: 'f'.repeat(64) })],
  ['optimizer', differing({ optimizerSha256: 'f'.repeat(64) })],
])('other %s are not the same bits, and both hashes are shown', (_what, end) => {
  const survival = tellSurvival(calm, [started, end], [fault(1)]);
  expect(survival.sameBits).toBe(false);
  const text = renderSurvival(survival, 'replay it', paint);
  expect(text).toMatch(/same bits +NO/);
  expect(text).toContain(`sha256 ${'f'.repeat(64)} with faults`);
});

test('a run that did not finish has not the same bits', () => {
  const survival = tellSurvival(calm, [started, stepAt(100, 1)], [fault(1)]);
  expect(survival).toMatchObject({ sameBits: false, faults: [{ struck: 1, survived: 1 }] });
  expect(survival).not.toHaveProperty('disturbed');
  expect(renderSurvival(survival, 'replay it', paint)).toContain('did not survive 1 fault');
});

test('the summary counts the faults by kind and names the command that repeats them', () => {
  const inflicted = [fault(1), fault(2), fault(3, { kind: 'redis-flush' }), fault(4, { missed: true })];
  const text = renderSurvival(tellSurvival(calm, calm, inflicted), 'ropeteam chaos j --seed 3', paint);
  expect(text).toContain('3 faults, and the same bits as the calm run');
  expect(text).toMatch(/worker-kill +2 +2 +– +0\.10 s/);
  expect(text).toMatch(/redis-flush +1 +1 /);
  expect(text).toContain('1 more found nobody to hit');
  expect(text).toMatch(/replay +ropeteam chaos j --seed 3$/);
});

test('a run that was over before the first fault proves nothing, and says so', () => {
  expect(renderSurvival(tellSurvival(calm, calm, []), 'r', paint)).toContain('over before the first fault');
});
