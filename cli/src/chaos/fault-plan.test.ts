import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  FAULT_KINDS,
  type FaultKind,
  FIRST_COORDINATOR_REST_MS,
  MOST_FAULTS,
  PAUSE_MS,
  planFaults,
} from './fault-plan.js';

const options = fc.record({
  seed: fc.nat(),
  everyMs: fc.integer({ min: 100, max: 20_000 }),
  kinds: fc.uniqueArray(fc.constantFrom(...FAULT_KINDS), { minLength: 1 }),
  workers: fc.integer({ min: 1, max: 9 }),
});
const property = fc.property;

test('the same seed gives the same faults', () => {
  fc.assert(
    property(options, (given) => {
      expect(planFaults(given)).toEqual(planFaults({ ...given }));
    }),
    { numRuns: 30 },
  );
});

test('another seed gives others', () => {
  const seeds = Array.from({ length: 50 }, (_, seed) => seed);
  const plans = seeds.map((seed) => planFaults({ seed, everyMs: 2000, kinds: FAULT_KINDS, workers: 3 }));
  expect(new Set(plans.map((plan) => JSON.stringify(plan.slice(0, 4)))).size).toBe(50);
});

test('only the wanted kinds and the workers there are, one after the other, half to one and a half gaps apart', () => {
  fc.assert(
    property(options, (given) => {
      const plan = planFaults(given);
      expect(plan.length).toBeLessThanOrEqual(MOST_FAULTS);
      let beforeMs = 0;
      for (const fault of plan) {
        expect(given.kinds).toContain(fault.kind);
        expect(fault.atMs - beforeMs).toBeGreaterThanOrEqual(Math.floor(given.everyMs / 2));
        beforeMs = fault.atMs;
        if ('worker' in fault) expect(fault.worker).toBeLessThan(given.workers);
        if (fault.kind !== 'worker-pause') continue;
        expect(fault.pauseMs).toBeGreaterThanOrEqual(PAUSE_MS.least);
        expect(fault.pauseMs).toBeLessThanOrEqual(PAUSE_MS.most);
      }
      const longest = given.kinds.includes('coordinator-kill')
        ? []
        : plan.map(({ atMs }, at) => atMs - (plan[at - 1]?.atMs ?? 0));
      for (const gap of longest) expect(gap).toBeLessThanOrEqual(Math.ceil(given.everyMs * 1.5));
    }),
    { numRuns: 30 },
  );
});

test('each round of faults has every kind once', () => {
  const kinds: readonly FaultKind[] = ['worker-kill', 'redis-flush', 'connection-cut'];
  fc.assert(
    property(fc.nat(), (seed) => {
      const first = planFaults({ seed, everyMs: 1000, kinds, workers: 2 }).slice(0, 6);
      for (const round of [first.slice(0, 3), first.slice(3)]) {
        expect(round.map(({ kind }) => kind).toSorted()).toEqual(kinds.toSorted());
      }
    }),
  );
});

test('the coordinator is left alone for longer every time', () => {
  fc.assert(
    property(options, (given) => {
      const kills = planFaults({ ...given, kinds: [...new Set([...given.kinds, 'coordinator-kill' as const])] }).filter(
        ({ kind }) => kind === 'coordinator-kill',
      );
      expect(kills.length).toBeGreaterThan(0);
      kills.slice(1).forEach(({ atMs }, index) => {
        expect(atMs - (kills[index]?.atMs ?? 0)).toBeGreaterThanOrEqual(FIRST_COORDINATOR_REST_MS * 2 ** index);
      });
    }),
    { numRuns: 30 },
  );
});
