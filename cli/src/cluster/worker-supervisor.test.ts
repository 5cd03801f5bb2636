import { expect, test, vi } from 'vitest';
import type { ServiceExit, ServiceProcess } from './service-process.js';
import { restartWaitMs, type SupervisorClock, superviseWorker } from './worker-supervisor.js';

interface Life {
  readonly name: string;
  readonly process: ServiceProcess;
  end(exit: ServiceExit): void;
}

/** A worker whose processes live until the test ends them, on a clock that only waiting moves. */
function scene(start: (life: number) => 'starts' | 'fails' = () => 'starts') {
  const lives: Life[] = [];
  const losses: string[] = [];
  const clock = { ms: 0, waits: [] as number[] };
  const supervisorClock: SupervisorClock = {
    now: () => clock.ms,
    wait: async (milliseconds, signal) => {
      signal.throwIfAborted();
      clock.waits.push(milliseconds);
      clock.ms += milliseconds;
    },
  };
  let started = 0;
  const supervisor = superviseWorker({
    name: 'w0',
    clock: supervisorClock,
    onLoss: (text) => losses.push(text),
    start: async (name) => {
      started++;
      if (start(started) === 'fails') throw new Error(`${name} does not start`);
      const life = imaginaryLife(name);
      lives.push(life);
      return life.process;
    },
  });
  return { supervisor, lives, losses, clock };
}

function imaginaryLife(name: string): Life {
  let end: (exit: ServiceExit) => void = () => undefined;
  const exited = new Promise<ServiceExit>((resolve) => {
    end = resolve;
  });
  const stop = async (): Promise<ServiceExit> => {
    end({ code: 0, signal: null });
    return exited;
  };
  const process = {
    name,
    pid: 1,
    ready: {},
    exited,
    failure: () => undefined,
    lastLogLines: () => [],
    stop,
    kill: () => void stop(),
  };
  return { name, process, end };
}

const killed: ServiceExit = { code: null, signal: 'SIGKILL' };

test('a worker that is killed comes back under another name', async () => {
  const { supervisor, lives, losses } = scene();
  await supervisor.ready;
  lives[0]?.end(killed);
  await vi.waitFor(() => expect(lives).toHaveLength(2));
  expect(lives.map(({ name }) => name)).toEqual(['w0', 'w0.2']);
  expect(losses).toEqual(['w0 was ended by SIGKILL while it was at work; another takes its place in 0.2 s']);
  await supervisor.stop(1000);
});

test('each loss in a row is waited out longer, and after eight it gives up with the reason', async () => {
  const { supervisor, lives, clock } = scene();
  for (let life = 0; life < 9; life++) {
    await vi.waitFor(() => expect(lives).toHaveLength(life + 1));
    lives[life]?.end({ code: 1, signal: null });
  }
  await expect(supervisor.ended).rejects.toThrow('w0.9 ended with exit code 1 while it was at work');
  expect(clock.waits).toEqual([200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
});

test('a steady life clears the record', async () => {
  const { supervisor, lives, clock } = scene();
  for (let life = 0; life < 12; life++) {
    await vi.waitFor(() => expect(lives).toHaveLength(life + 1));
    clock.ms += 60_000;
    lives[life]?.end(killed);
  }
  await vi.waitFor(() => expect(lives).toHaveLength(13));
  expect(new Set(clock.waits)).toEqual(new Set([200]));
  await supervisor.stop(1000);
});

test('a first start that fails is told at once, a later one is tried again', async () => {
  const first = scene(() => 'fails');
  await expect(first.supervisor.ready).rejects.toThrow('w0 does not start');
  await expect(first.supervisor.ended).rejects.toThrow('w0 does not start');

  const later = scene((life) => (life === 2 ? 'fails' : 'starts'));
  await later.supervisor.ready;
  later.lives[0]?.end(killed);
  await vi.waitFor(() => expect(later.lives.map(({ name }) => name)).toEqual(['w0', 'w0.3']));
  await later.supervisor.stop(1000);
});

test('a worker that is stopped is not started again', async () => {
  const { supervisor, lives, losses } = scene();
  await supervisor.ready;
  await supervisor.stop(1000);
  await supervisor.ended;
  expect([lives.length, losses.length]).toEqual([1, 0]);
});

test('waits double from a fifth of a second to ten', () => {
  expect([1, 2, 3, 20].map(restartWaitMs)).toEqual([200, 400, 800, 10_000]);
});
