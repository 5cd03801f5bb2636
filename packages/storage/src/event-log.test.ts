import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { RunEvent } from '#training';
import { openEventLog } from './event-log.js';

let path = '';
beforeEach(async () => {
  path = join(await mkdtemp(join(tmpdir(), 'ropeteam-events-')), 'events.ndjson');
});
afterEach(() => rm(join(path, '..'), { recursive: true }));

const event = (number: number): RunEvent => ({
  event: 'run_stopping',
  time: '2026-01-01T00:00:00.000Z',
  run: 'digits-1',
  reason: `number ${number}, a line\nseparator \u2028 and ${'é'.repeat(number % 50)}`,
});

async function collect(events: AsyncIterable<RunEvent>): Promise<RunEvent[]> {
  const all: RunEvent[] = [];
  for await (const each of events) all.push(each);
  return all;
}

test('events are read from any number on, those just appended included', async () => {
  await using log = await openEventLog(path);
  for (let number = 0; number < 3000; number++) log.append(event(number));
  expect(log.count).toBe(3000);
  expect(await collect(log.readEvents(2990))).toEqual(Array.from({ length: 10 }, (_, index) => event(2990 + index)));
  expect((await collect(log.readEvents(0))).length).toBe(3000);
  expect(await collect(log.readEvents(3000))).toEqual([]);
});

test('an event appended while the log is read does not belong to that reading', async () => {
  await using log = await openEventLog(path);
  for (let number = 0; number < 5; number++) log.append(event(number));
  const seen: RunEvent[] = [];
  for await (const each of log.readEvents(0)) {
    seen.push(each);
    log.append(event(99));
    await log.flush();
  }
  expect(seen.length).toBe(5);
  expect(log.count).toBe(10);
});

test('a log opened again goes on after its last whole event', async () => {
  {
    await using log = await openEventLog(path);
    log.append(event(0));
  }
  await appendFile(path, '{"event":"run_st');
  {
    await using log = await openEventLog(path);
    expect(log.count).toBe(1);
    log.append(event(1));
    expect(await collect(log.readEvents(0))).toEqual([event(0), event(1)]);
  }
  expect((await readFile(path, 'utf8')).split('\n').length).toBe(3);
});
