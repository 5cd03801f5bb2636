import { afterAll, expect, test } from 'vitest';
import { armFailpoints, FAILPOINTS, failpoint } from './failpoints.js';

afterAll(() => armFailpoints('after-lock:999999999', false, () => undefined)); // never passed so often: off again

test('a place acts the time it was armed for, and no other', () => {
  const acts: string[] = [];
  failpoint('after-average');
  armFailpoints('after-average:2:kill,before-rename:1:stall', false, (action) => acts.push(action));
  failpoint('after-average');
  expect(acts).toEqual([]);
  failpoint('after-average');
  failpoint('after-average');
  failpoint('before-rename');
  expect(acts).toEqual(['kill', 'stall']);
});

test.each(['nowhere', 'after-average:0', 'after-average:1:explode', 'after-average:1:kill:more', ''])(
  'refuses %j by name',
  (text) => {
    expect(() => armFailpoints(text, false, () => undefined)).toThrow(
      expect.objectContaining({ code: 'USAGE.ARGUMENT', facts: { argument: 'ROPETEAM_FAILPOINTS' } }),
    );
  },
);

test('refuses everything in production', () => {
  expect(() => armFailpoints('after-average', true, () => undefined)).toThrow(/production/);
});

test('there are at least 24 places in the coordinator and 6 in the worker, each with a sentence', () => {
  const [coordinator, worker] = [FAILPOINTS.coordinator, FAILPOINTS.worker].map((points) => Object.values(points));
  expect(coordinator?.length).toBeGreaterThanOrEqual(24);
  expect(worker?.length).toBeGreaterThanOrEqual(6);
  for (const sentence of [...(coordinator ?? []), ...(worker ?? [])]) expect(sentence).toMatch(/^[A-Z].*\.$/);
});
