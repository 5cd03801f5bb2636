import { expect, test } from 'vitest';
import { RopeteamError } from '#training';
import { superviseCoordinator } from './coordinator-supervisor.js';
import type { ServiceExit, ServiceProcess } from './service-process.js';

const KILLED: ServiceExit = { code: null, signal: 'SIGKILL' };
const never = new AbortController().signal;

function coordinator(exited: Promise<ServiceExit>, failure?: RopeteamError): ServiceProcess {
  return {
    name: 'coordinator',
    pid: 1,
    ready: { grpc: '127.0.0.1:1', http: 'http://127.0.0.1:2' },
    exited,
    failure: () => failure,
    lastLogLines: () => [],
    stop: () => exited,
    kill: () => undefined,
  };
}
const clock = { now: () => 0, wait: async () => undefined };

test('a coordinator that keeps dying is started five times more, with the addresses of the first, and then given up', async () => {
  const befores: (string | undefined)[] = [];
  const notices: string[] = [];
  const { lost } = await superviseCoordinator(
    {
      start: async (before) => {
        befores.push(before?.ready.grpc);
        return coordinator(Promise.resolve(KILLED));
      },
      onNotice: (text) => notices.push(text),
      clock,
    },
    never,
  );
  await expect(lost).rejects.toMatchObject({ code: 'COORD.CRASH_LOOP', facts: { times: 6 } });
  expect(befores).toEqual([undefined, ...Array.from({ length: 5 }, () => '127.0.0.1:1')]);
  expect(notices[0]).toContain('SIGKILL');
});

test('one that says why it ends is not started again', async () => {
  const fenced = new RopeteamError('COORD.FENCED', { held: 1, current: 2 }, 'another has it');
  const { lost } = await superviseCoordinator(
    {
      start: async () => coordinator(Promise.resolve({ code: 3, signal: null }), fenced),
      onNotice: () => undefined,
      clock,
    },
    never,
  );
  await expect(lost).rejects.toBe(fenced);
});
