/** Runs that can't be done: the command says why, with the exit code of the cause, and leaves nothing half-done behind. */
import { readdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadCheckpoint, readLedger } from '#storage';
import { type EndedCommand, startCommand } from '../support/command.js';
import { expectNothingLeft, openWorkspace, type Workspace } from '../support/workspace.js';

const LINE = 'examples/linear-regression/job.yaml';
const DEADLINE_MS = 60_000;

/** Trains to the end and checks that no process and no temporary file is left. */
async function trainToEnd(
  workspace: Workspace,
  words: readonly string[],
  variables: Readonly<Record<string, string>> = {},
): Promise<EndedCommand> {
  await using command = startCommand(['train', LINE, ...words, '--out', workspace.runs], {
    ...workspace.variables,
    ...variables,
  });
  const ended = await command.ended;
  expect(ended.stderr).not.toMatch(/\n {4}at /);
  await expectNothingLeft(command, workspace);
  return ended;
}

/** So far off that a few updates leave the range of float32. */
const DIVERGING = ['--set', 'train.optimizer={ sgd: { learningRate: 1000000 } }'];

test.each([
  { when: 'in the gradient of a step', settings: ['--set', 'train.stop={}'] },
  { when: 'in the loss of an epoch, while the stop rules wait for progress', settings: [] },
  { when: 'in the last update', settings: ['--set', 'train.stop={}', '--set', 'train.epochs=6'] },
])(
  'a run that diverges fails with RUN.NONFINITE and 1, seen $when, and keeps no weights that are not finite',
  async ({ settings }) => {
    await using workspace = await openWorkspace();
    const often = ['--set', 'checkpoint.every=1ms', '--set', 'checkpoint.keep=100'];
    const words = [...DIVERGING, ...settings, ...often, '--json', '--run-id', 'diverged'];
    const { code, stdout } = await trainToEnd(workspace, words);
    expect(stdout).not.toContain('null');
    expect(JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '')).toMatchObject({
      event: 'run_failed',
      code: 'RUN.NONFINITE',
      hint: expect.stringContaining('learning rate'),
    });
    expect(code).toBe(1);
    const folder = join(workspace.runs, 'diverged');
    expect(await readdir(join(folder, 'model'))).toEqual([]);
    expect((await readLedger(join(folder, 'ledger.ndjson'))).length).toBeGreaterThan(0);
    const names = await readdir(join(folder, 'checkpoints'));
    expect(names.length).toBeGreaterThan(0);
    for (const name of names) {
      const { weights } = await loadCheckpoint(join(folder, 'checkpoints', name));
      expect(weights.every(Number.isFinite), `${name}: ${weights}`).toBe(true);
    }
  },
  DEADLINE_MS,
);

test(
  'a diverging run tells people what to change, without a summary that looks like success',
  async () => {
    await using workspace = await openWorkspace();
    const { code, stdout, stderr } = await trainToEnd(workspace, [...DIVERGING, '--set', 'train.stop={}']);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain('error RUN.NONFINITE');
    expect(stderr).toMatch(/fix: lower the learning rate/);
  },
  DEADLINE_MS,
);

test(
  'a Redis that is not there ends the command with 3 and names it, before anything is written',
  async () => {
    await using workspace = await openWorkspace();
    const port = await closedPort();
    const url = `redis://:secret@127.0.0.1:${port}`;
    const { code, stdout, stderr } = await trainToEnd(workspace, ['--redis-url', url]);
    expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
    expect(stderr).toContain('error REDIS.UNREACHABLE');
    expect(stderr).toContain(`127.0.0.1:${port}`);
    expect(stderr).not.toContain('secret');
    expect(await readdir(workspace.path)).not.toContain('runs');
  },
  DEADLINE_MS,
);

test(
  'a worker that can not start ends the command with 3 and its last words, and no run is begun',
  async () => {
    await using workspace = await openWorkspace();
    const breakWorkers = `if(process.argv[1]?.includes('services/worker')){console.error('no/luck/today');process.exit(7)}`;
    const { code, stdout, stderr } = await trainToEnd(workspace, [], {
      NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(breakWorkers)}`,
    });
    expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
    expect(stderr).toContain('error ENVIRONMENT.PROCESS: w0 ended with exit code 7 before it was ready');
    expect(stderr).toContain('no/luck/today');
    expect(stderr).toMatch(/fix: .*ropeteam doctor/);
    expect(await readdir(workspace.runs)).toEqual([]);
  },
  DEADLINE_MS,
);

async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('a TCP server without a port');
  return address.port;
}
