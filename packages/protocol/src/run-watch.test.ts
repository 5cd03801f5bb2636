import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { afterEach, expect, test } from 'vitest';
import { type CoordinatorHandlers, RopeteamError, type RunEvent, type RunId, runId } from '#training';
import { startCoordinatorServer } from './coordinator-server.js';
import { recordingCoordinator } from './recording-coordinator.js';
import { connectClient } from './run-client.js';

const opened: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

async function serve(overrides: Partial<CoordinatorHandlers>, port = 0) {
  const { handlers } = recordingCoordinator({ overrides });
  const server = await startCoordinatorServer({
    host: '127.0.0.1',
    port,
    handlers,
    uploadsDirectory: tmpdir(),
    drainMs: 500,
  });
  opened.push(() => server.close());
  const client = connectClient(server.address, { connectDeadlineMs: 2000 });
  opened.push(() => client.close());
  return { server, client };
}

function event(number: number, run = 'digits-7f3a'): RunEvent {
  return { event: 'run_stopping', reason: `number ${number}`, time: '2026-11-23T16:00:00.000Z', run };
}

test('events are watched from the number asked for, exactly as they were', async () => {
  const events = Array.from({ length: 5 }, (_, number) => event(number));
  const asked: (RunId | undefined)[] = [];
  const { client } = await serve({
    watch: (run, from) => {
      asked.push(run);
      return listed(events.slice(from));
    },
  });
  const never = new AbortController().signal;
  expect(await collected(client.watch(runId('digits-7f3a'), 2, never))).toEqual(events.slice(2));
  expect(await collected(client.watch(undefined, 0, never))).toEqual(events);
  expect(asked).toEqual(['digits-7f3a', undefined]);
});

test('a sampled watch leaves steps out, keeps everything else, and takes gaps for what they are', async () => {
  const times = Array.from({ length: 40 }, (_, number) => new Date(10 * number).toISOString());
  // What a step has besides is passed on unread.
  const steps = times.map((time, number) => ({ ...event(number), event: 'step_committed', time }) as RunEvent);
  const events = [...steps, event(40)];
  const { client } = await serve({ watch: (_run, from) => listed(events.slice(from)) });
  const never = new AbortController().signal;
  const seen = await collected(client.watch(undefined, 0, never, 'sampled'));
  expect(seen).toEqual([steps[0], steps[10], steps[20], steps[30], events[40]]);
  expect(await collected(client.watch(undefined, 0, never, 'every'))).toEqual(events);
});

test('a watch goes on after the coordinator was gone, with the next event and the same run', async () => {
  const events = Array.from({ length: 6 }, (_, number) => event(number, 'second'));
  const asked: [string | undefined, number][] = [];
  const watch: CoordinatorHandlers['watch'] = (run, from, signal) => {
    asked.push([run, from]);
    return from === 0 ? pausing(events.slice(0, 3), signal) : listed(events.slice(from));
  };
  const { server, client } = await serve({ watch });
  const seen: RunEvent[] = [];
  for await (const one of client.watch(undefined, 0, new AbortController().signal)) {
    seen.push(one);
    if (seen.length !== 3) continue;
    await server.close();
    await serve({ watch }, Number(server.address.split(':')[1]));
  }
  expect(seen).toEqual(events);
  expect(asked).toEqual([
    [undefined, 0],
    ['second', 3],
  ]);
});

test('a watch that is aborted ends without an error and lets the coordinator know', async () => {
  let told: AbortSignal | undefined;
  const { client } = await serve({
    watch: (_run, _from, signal) => {
      told = signal;
      return pausing([event(0)], signal);
    },
  });
  const abort = new AbortController();
  for await (const _one of client.watch(undefined, 0, abort.signal)) abort.abort();
  assert.ok(told);
  if (!told.aborted) await once(told, 'abort');
});

test('an error of the watched run ends the watch with that error', async () => {
  const { client } = await serve({
    watch: (run) => {
      throw new RopeteamError('RUN.UNKNOWN', { run: String(run) }, 'there is no such run');
    },
  });
  const watching = collected(client.watch(runId('nope'), 0, new AbortController().signal));
  await expect(watching).rejects.toMatchObject({ code: 'RUN.UNKNOWN' });
});

async function* listed<Item>(items: readonly Item[]): AsyncGenerator<Item, void, undefined> {
  yield* items;
}

/** The items, then nothing until the signal aborts. */
async function* pausing<Item>(items: readonly Item[], signal: AbortSignal): AsyncGenerator<Item, void, undefined> {
  yield* items;
  if (!signal.aborted) await once(signal, 'abort');
}

async function collected<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const all: Item[] = [];
  for await (const item of items) all.push(item);
  return all;
}
