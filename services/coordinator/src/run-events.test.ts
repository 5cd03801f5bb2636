import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type EventLog, openEventLog } from '#storage';
import type { RunEvent, RunEventBody } from '#training';
import { RunEvents } from './run-events.js';

const left = (worker: string): RunEventBody => ({ event: 'worker_left', worker, pid: 1, reason: 'asked to' });
const FAILED: RunEventBody = { event: 'run_failed', code: 'RUN.FAILED', message: 'no', facts: {} };

let folder = '';
let log: EventLog;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ropeteam-events-'));
  log = await openEventLog(join(folder, 'events.ndjson'));
});
afterEach(async () => {
  await log[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function namesOf(events: AsyncIterable<RunEvent>): Promise<readonly string[]> {
  const names: string[] = [];
  for await (const event of events) names.push('worker' in event ? event.worker : event.event);
  return names;
}

describe('watching the events of a run', () => {
  const never = new AbortController().signal;

  test('gives those before and those to come, each once and in order, to every watcher', async () => {
    const events = new RunEvents('r', log);
    for (const worker of ['a', 'b']) events.append(left(worker));
    const watchers = [
      namesOf(events.watch(0, never)),
      namesOf(events.watch(1, never)),
      namesOf(events.watch(3, never)),
    ];
    for (const worker of ['c', 'd']) {
      await new Promise((resolve) => setImmediate(resolve));
      events.append(left(worker));
    }
    events.append(FAILED);
    expect(await Promise.all(watchers)).toEqual([
      ['a', 'b', 'c', 'd', 'run_failed'],
      ['b', 'c', 'd', 'run_failed'],
      ['d', 'run_failed'],
    ]);
  });

  test('ends with the last event, also for one who comes after it, and nothing is added to a run that is over', async () => {
    const events = new RunEvents('r', log);
    events.append(FAILED);
    events.append(left('late'));
    expect(await namesOf(events.watch(0, never))).toEqual(['run_failed']);
    expect(await namesOf(events.watch(1, never))).toEqual([]);
  });

  test('ends at its signal', async () => {
    const events = new RunEvents('r', log);
    const gone = new AbortController();
    const watching = namesOf(events.watch(0, gone.signal));
    gone.abort();
    expect(await watching).toEqual([]);
  });
});
