/** What becomes of a run whose data are damaged, lost or changed under it; and of one that takes its rows from a window. */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { arrayJob, writeArrays } from '../support/array-data.js';
import type { FinishedEvent } from '../support/cluster.js';
import { type EndedCommand, runCommand, startCommand } from '../support/command.js';
import { openWorkspace, type Workspace } from '../support/workspace.js';

const DATA = { rows: 24_000, features: 20, classes: 3 };
const TRAIN = { epochs: 4, batch: 256, microBatches: 4, shuffle: '{ window: 2000 }' };
const DEADLINE = { timeout: 120_000 };
const WORKERS = ['--workers', '2', '--threads', '1', '--grain', 'step', '--data-memory', '1MB'];

let workspace: Workspace;
let folder = '';
let calm: FinishedEvent;
beforeAll(async () => {
  workspace = await openWorkspace();
  folder = join(workspace.path, 'job');
  await mkdir(folder);
  await writeFile(join(folder, 'job.yaml'), arrayJob(await writeArrays(folder, DATA), TRAIN).text);
  calm = finishedOf(await train('calm'));
}, DEADLINE.timeout);
afterAll(() => workspace[Symbol.asyncDispose]());

const words = (run: string): readonly string[] => [
  ...['train', join(folder, 'job.yaml'), '--run-id', run, '--out', workspace.runs, '--json', '--save-every', '20'],
  ...WORKERS,
];
const train = (run: string): Promise<EndedCommand> => runCommand(words(run), workspace.variables);
const resume = (run: string): Promise<EndedCommand> =>
  runCommand(['resume', join(workspace.runs, run), '--json', ...WORKERS], workspace.variables);

function finishedOf({ stdout, stderr }: EndedCommand): FinishedEvent {
  const last = stdout.trim().split('\n').at(-1) ?? '';
  if (!last.includes('"event":"run_finished"')) throw new Error(`the run did not finish: ${last}\n${stderr}`);
  return JSON.parse(last) as FinishedEvent; // told by its name
}

/** Trains until step 100 and stops there; what is in its folder stays. */
async function begin(run: string): Promise<void> {
  await using command = startCommand([...words(run), '--every-step'], workspace.variables);
  await command.event('step_committed', ({ step }) => step >= 100);
  command.process.kill('SIGINT');
  await command.ended;
}

/** Damages every shard of the run: as they are linked, also those in the cache. */
async function damageShards(run: string): Promise<void> {
  const data = join(workspace.runs, run, 'data');
  for (const name of (await readdir(data)).filter((file) => file.startsWith('train'))) {
    const bytes = await readFile(join(data, name));
    bytes[bytes.length - 1]! ^= 0x40;
    await writeFile(join(data, name), bytes);
  }
}

test(
  'shards that were damaged are prepared again when the run goes on, and the weights are the same',
  DEADLINE,
  async () => {
    await begin('damaged');
    await damageShards('damaged');
    const finished = finishedOf(await resume('damaged'));
    expect(finished.weightsSha256).toBe(calm.weightsSha256);
    expect(finished.optimizerSha256).toBe(calm.optimizerSha256);
  },
);

test('without its shards a run goes on from the file, if that is what it was begun with', DEADLINE, async () => {
  await begin('lost');
  await rm(join(workspace.runs, 'lost', 'data'), { recursive: true });
  await rm(join(workspace.runs, '.cache'), { recursive: true });
  const x = join(folder, 'x.npy');
  const bytes = await readFile(x);
  const changed = Uint8Array.from(bytes);
  changed[bytes.length - 3]! ^= 1;
  await writeFile(x, changed);
  const refused = await resume('lost');
  expect(refused.code).toBe(2);
  expect(refused.stdout).toContain('"code":"DATA.CHANGED"');
  await writeFile(x, bytes);
  const finished = finishedOf(await resume('lost'));
  expect(finished.weightsSha256).toBe(calm.weightsSha256);
});

test('a file that is gone after its run began is not missed', DEADLINE, async () => {
  await begin('gone');
  const x = join(folder, 'x.npy');
  const bytes = await readFile(x);
  await rm(x);
  const finished = finishedOf(await resume('gone'));
  await writeFile(x, bytes);
  expect(finished.weightsSha256).toBe(calm.weightsSha256);
});

test('steps of a run in windows come out the same when verify computes them again', DEADLINE, async () => {
  const path = join(workspace.runs, 'calm');
  const { code, stdout, stderr } = await runCommand(
    ['verify', path, '--json', '--recompute', '12', '--data', folder],
    workspace.variables,
  );
  const { checks } = JSON.parse(stdout) as {
    readonly checks: readonly { readonly name: string; readonly outcome: string }[];
  };
  expect(checks.filter(({ outcome }) => outcome !== 'held')).toEqual([]);
  expect(checks.map(({ name }) => name)).toContain('recomputed');
  expect(code, stderr).toBe(0);
});
