import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
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

  test('after a rest tells of all that came meanwhile, and of the last event at once', async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    let written: (count: number) => void = () => undefined;
    const events = new RunEvents('r', {
      count: 0,
      append: () => undefined,
      onWritten: (listener) => {
        written = listener;
      },
      readEvents: () => log.readEvents(0),
    });
    const names: string[] = [];
    const watching = (async () => {
      for await (const event of events.watch(0, never, 250)) names.push('worker' in event ? event.worker : event.event);
    })();
    for (const [index, worker] of ['a', 'b', 'c'].entries()) {
      await vi.advanceTimersByTimeAsync(100);
      events.append(left(worker));
      written(index + 1);
    }
    await vi.advanceTimersByTimeAsync(49);
    expect(names).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(names).toEqual(['a', 'b', 'c']);
    events.append(FAILED);
    written(4);
    await watching;
    expect(names).toEqual(['a', 'b', 'c', 'run_failed']);
  });

  test('ends at its signal', async () => {
    const events = new RunEvents('r', log);
    const gone = new AbortController();
    const watching = namesOf(events.watch(0, gone.signal));
    gone.abort();
    expect(await watching).toEqual([]);
  });
});
