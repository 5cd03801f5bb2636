/** `ropeteam chaos` as a user runs it: real processes are killed, and the bits are the same. */
import { expect, test } from 'vitest';
import { startCommand } from '../support/command.js';
import { expectNothingLeft, openWorkspace } from '../support/workspace.js';

/** Step by step this takes some ten seconds: long enough for each kind to come once. */
const WORDS = ['chaos', 'examples/digits/job.yaml', '--set', 'train.epochs=60', '--set', 'checkpoint.every=2s'];

interface ChaosFinished {
  readonly sameBits: boolean;
  readonly faults: readonly { readonly kind: string; readonly struck: number; readonly survived: number }[];
}

test('workers and coordinator are killed and Redis is emptied: every fault is survived, with the same bits', async () => {
  await using workspace = await openWorkspace();
  const kinds = ['worker-kill', 'coordinator-kill', 'redis-flush'];
  const words = [
    ...WORDS,
    '--seed',
    '4',
    '--every',
    '1500ms',
    '--faults',
    kinds.join(','),
    '--json',
    '--grain',
    'step',
  ];
  await using command = startCommand([...words, '--out', workspace.runs], workspace.variables);
  const { code, stdout, stderr } = await command.ended;
  const end = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as ChaosFinished; // a line of our own
  expect(end, stderr).toMatchObject({ event: 'chaos_finished', sameBits: true });
  expect(end.faults.map(({ kind }) => kind)).toEqual(kinds);
  for (const { kind, struck, survived } of end.faults) expect([kind, survived]).toEqual([kind, struck]);
  expect(code).toBe(0);
  expect(command.events.map(({ event }) => event)).toEqual(expect.arrayContaining(['worker_lost', 'run_resumed']));
  await expectNothingLeft(command, workspace);
}, 120_000);

test('Ctrl-C while a worker is stopped by a fault ends everything, the stopped one too', async () => {
  await using workspace = await openWorkspace();
  const words = ['chaos', 'examples/digits/job.yaml', '--set', 'train.epochs=200', '--workers', '1'];
  words.push('--every', '300ms', '--faults', 'worker-pause', '--json', '--out', workspace.runs);
  await using command = startCommand(words, workspace.variables);
  await command.line((line) => line.includes('"fault_injected"') && line.includes('SIGSTOP'));
  command.process.kill('SIGINT');
  expect((await command.ended).code).toBe(130);
  await expectNothingLeft(command, workspace);
}, 120_000);
