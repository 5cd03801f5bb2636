/** `ropeteam verify`: a sound run passes, computed again too; whatever is changed in its folder is found, and where. */
import { createHash } from 'node:crypto';
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadCheckpoint, loadModel, openRunFolder, saveCheckpoint, saveModel, weightsSha256 } from '#storage';
import { type LedgerRecord, runId } from '#training';
import { checkRun } from '../../cli/src/verification/check-run.js';
import { readEvidence } from '../../cli/src/verification/evidence.js';
import { runCommand } from '../support/command.js';
import { openWorkspace, type Workspace } from '../support/workspace.js';

const DEADLINE_MS = 120_000;
const JOB = ['examples/digits/job.yaml', '--set', 'train.epochs=2', '--save-every', '20'];

let workspace: Workspace;
let sound = '';
beforeAll(async () => {
  workspace = await openWorkspace();
  const words = [
    'train',
    ...JOB,
    '--workers',
    '2',
    '--threads',
    '1',
    '--grain',
    'step',
    '--quiet',
    '--run-id',
    'digits',
  ];
  const ended = await runCommand([...words, '--out', workspace.runs], workspace.variables);
  expect(ended.code, ended.stderr).toBe(0);
  sound = join(workspace.runs, 'digits');
}, DEADLINE_MS);
afterAll(() => workspace[Symbol.asyncDispose]());

const verify = (path: string, ...words: readonly string[]) =>
  runCommand(['verify', path, '--json', ...words], workspace.variables);

interface Told {
  readonly valid: boolean;
  readonly checks: readonly { name: string; outcome: string; problems: readonly { file: string; line?: number }[] }[];
}

test('a sound run holds every check, also with steps computed again, and the exit code is 0', async () => {
  const { code, stdout } = await verify(sound, '--recompute', '4', '--data', 'examples/digits');
  const told = JSON.parse(stdout) as Told;
  expect(told.checks.filter(({ outcome }) => outcome !== 'held')).toEqual([]);
  expect(told.checks.map(({ name }) => name)).toContain('recomputed');
  expect(told.valid).toBe(true);
  expect(code).toBe(0);
});

test.each(['bfloat16', 'int8'])(
  'a sound run in the order of the file with %s on the wire holds every check, computed again too',
  async (wire) => {
    const settings = [
      '--set',
      `train.wire=${wire}`,
      '--set',
      'train.shuffle=false',
      '--workers',
      '2',
      '--threads',
      '1',
    ];
    const words = ['train', ...JOB, ...settings, '--grain', 'step', '--quiet', '--run-id', wire];
    const ended = await runCommand([...words, '--out', workspace.runs], workspace.variables);
    expect(ended.code, ended.stderr).toBe(0);
    const { code, stdout } = await verify(join(workspace.runs, wire), '--recompute', '4', '--data', 'examples/digits');
    const told = JSON.parse(stdout) as Told;
    expect(told.checks.filter(({ outcome }) => outcome !== 'held')).toEqual([]);
    expect(told.checks.map(({ name }) => name)).toContain('recomputed');
    expect(code).toBe(0);
  },
  DEADLINE_MS,
);

test(
  'a sound run of local steps holds every check, its rounds computed again too',
  async () => {
    const settings = ['--set', 'train.localSteps={steps: 4, replicas: 4}', '--set', 'train.clipNorm=1'];
    const words = ['train', ...JOB, '--set', 'train.epochs=3', ...settings, '--workers', '2', '--threads', '1'];
    const ended = await runCommand(
      [...words, '--quiet', '--run-id', 'rounds', '--out', workspace.runs],
      workspace.variables,
    );
    expect(ended.code, ended.stderr).toBe(0);
    const path = join(workspace.runs, 'rounds');
    const { code, stdout } = await verify(path, '--recompute', '5', '--data', 'examples/digits');
    const told = JSON.parse(stdout) as Told;
    expect(told.checks.filter(({ outcome }) => outcome !== 'held')).toEqual([]);
    expect(told.checks.map(({ name }) => name)).toContain('recomputed');
    expect(code).toBe(0);
  },
  DEADLINE_MS,
);

test('without the data nothing is computed again, and that is an error and not a pass', async () => {
  const { code, stdout, stderr } = await verify(sound, '--recompute', '1', '--data', 'examples/linear-regression');
  expect((JSON.parse(stdout) as Told).valid).toBe(true);
  expect(stderr).toMatch(/DATA\.FILE.*without the data/);
  expect(code).toBe(2);
});

test('a folder that holds no run is wrong usage', async () => {
  const { code, stderr } = await verify(workspace.path);
  expect(stderr).toMatch(/RUN\.UNKNOWN/);
  expect(code).toBe(2);
});

/** Changes records and seals the whole chain anew, as somebody would who knows how. */
async function rewrite(folder: string, change: (records: Mutable[]) => readonly Mutable[]): Promise<void> {
  const path = join(folder, 'ledger.ndjson');
  const lines = (await readFile(path, 'utf8')).trimEnd().split('\n');
  let previous = '0'.repeat(64);
  const sealed = change(lines.map((line) => JSON.parse(line) as Mutable)).map(({ sha256: _, ...record }) => {
    const json = JSON.stringify({ ...record, previous });
    const line = `${json.slice(0, -1)},"sha256":"${createHash('sha256').update(json).digest('hex')}"}`;
    previous = createHash('sha256').update(line).digest('hex');
    return line;
  });
  await writeFile(path, `${sealed.join('\n')}\n`);
  await replace(folder, 'events.ndjson', /"ledgerSha256":"[0-9a-f]+"/, `"ledgerSha256":"${previous}"`);
}

type Deep<Value> = Value extends readonly (infer Item)[]
  ? Deep<Item>[]
  : Value extends object
    ? { -readonly [Key in keyof Value]: Deep<Value[Key]> }
    : Value;
type Mutable = Deep<LedgerRecord> & { sha256?: string };

/** Changes one record. */
const edit =
  (step: number, change: (record: Mutable) => void) =>
  (folder: string): Promise<void> =>
    rewrite(folder, (records) => {
      change(records[step]!);
      return records;
    });

async function replace(folder: string, file: string, from: RegExp, to: string): Promise<void> {
  const text = await readFile(join(folder, file), 'utf8');
  expect(text).toMatch(from);
  await writeFile(join(folder, file), text.replace(from, to));
}

const LEDGER = 'ledger.ndjson';
const CHECKPOINT = 'checkpoints/step-00000040.safetensors';

/** What is done, and the first check that must fail, with its place. */
const TAMPERED: readonly (readonly [string, (folder: string) => Promise<void>, string, string])[] = [
  ['a digit changed in a line', (f) => replace(f, LEDGER, /"step":6,/, '"step":7,'), 'ledger whole', `${LEDGER}:7`],
  ['a line taken out', async (f) => dropLine(f, 9), 'ledger whole', `${LEDGER}:10`],
  ['bytes after the last line', async (f) => appendTo(f, LEDGER, '{"run":"dig'), 'ledger whole', `${LEDGER}:47`],
  ['a record taken out', (f) => rewrite(f, (all) => all.toSpliced(12, 1)), 'steps', `${LEDGER}:13`],
  ['a record written twice', (f) => rewrite(f, (all) => all.toSpliced(12, 0, all[12]!)), 'steps', `${LEDGER}:14`],
  [
    'the last records cut off',
    (f) => rewrite(f, (all) => all.slice(0, -1)),
    'checkpoints',
    'checkpoints/step-00000046.safetensors',
  ],
  ['a record of another run', edit(5, (r) => (r.run = 'other')), 'writers', `${LEDGER}:6`],
  ['a fence that goes down', edit(5, (r) => (r.fence = 0)), 'writers', `${LEDGER}:6`],
  ['a fence nobody had', edit(45, (r) => (r.fence = 9)), 'writers', `${LEDGER}:46`],
  ['a step by another kernel', edit(7, (r) => (r.kernel = 'js/1')), 'kernel', `${LEDGER}:8`],
  ['a block taken out', edit(4, (r) => r.blocks.pop()), 'samples', `${LEDGER}:5`],
  ['a block that comes twice', edit(4, (r) => r.blocks.push(r.blocks[0]!)), 'samples', `${LEDGER}:5`],
  ['positions moved by one', edit(4, (r) => r.firstPosition++), 'samples', `${LEDGER}:5`],
  ['a block’s samples', edit(4, (r) => r.blocks[0]!.samples++), 'samples', `${LEDGER}:5`],
  ['a loss', edit(30, (r) => (r.loss *= 0.5)), 'figures', `${LEDGER}:31`],
  ['a learning rate', edit(30, (r) => (r.learningRate *= 2)), 'figures', `${LEDGER}:31`],
  ['a gradient’s norm', edit(30, (r) => (r.gradientNorm *= 2)), 'events', 'events.ndjson'],
  ['weights’ hash of a checkpoint’s step', edit(39, (r) => (r.weights = '0'.repeat(16))), 'checkpoints', CHECKPOINT],
  ['weights’ hash of the last step', edit(45, (r) => (r.weights = '0'.repeat(16))), 'model', 'model/model.json'],
  ['a job with another seed', (f) => replace(f, 'job.yaml', /seed: \d+/, 'seed: 99'), 'job', 'job.yaml'],
  ['a bit of a checkpoint', (f) => flip(f, CHECKPOINT), 'checkpoints', CHECKPOINT],
  ['a bit of the model', (f) => flip(f, 'model/model.safetensors'), 'model', 'model/model.json'],
  ['a checkpoint with other weights and right seals', otherCheckpoint, 'checkpoints', CHECKPOINT],
  ['a model with other weights and right seals', otherModel, 'model', 'model/model.json'],
  [
    'a model of other data',
    (f) => replace(f, 'model/model.json', /(?<="data": \{\s+"sha256": ")./, 'x'),
    'data',
    'model/model.json',
  ],
  [
    'an end with other optimizer state',
    (f) => replace(f, 'events.ndjson', /(?<="optimizerSha256":")./, 'x'),
    'events',
    'events.ndjson',
  ],
  ['a fence file that is damaged', (f) => writeFile(join(f, 'fence'), 'two'), 'writers', 'fence'],
];

describe('what was tampered with is found where it is', () => {
  test.each(TAMPERED)('%s', async (_what, tamper, check, place) => {
    const path = join(workspace.path, 'tampered', 'digits');
    await cp(sound, path, { recursive: true });
    try {
      await tamper(path);
      const checks = checkRun(await readEvidence(await openRunFolder(join(path, '..'), runId('digits'))));
      const broken = checks.filter(({ outcome }) => outcome === 'broken');
      expect(broken.map(({ name }) => name)).toContain(check);
      const problems = broken.find(({ name }) => name === check)?.problems ?? [];
      const places = problems.map(({ file, line }) => (line === undefined ? file : `${file}:${line}`));
      expect(places[0]?.startsWith(place), places.join('\n')).toBe(true);
    } finally {
      await rm(path, { recursive: true });
    }
  });

  test('hashes of gradients that nobody computed, in a chain sealed anew, are found by computing them again', async () => {
    const path = join(workspace.path, 'forged', 'digits');
    await cp(sound, path, { recursive: true });
    await rewrite(path, (all) =>
      all.map((record) => ({ ...record, blocks: record.blocks.map((b) => ({ ...b, gradient: '0'.repeat(16) })) })),
    );
    expect((await verify(path)).code).toBe(0);
    const { code, stdout } = await verify(path, '--recompute', '2', '--data', 'examples/digits');
    expect(code).toBe(1);
    const [problem] = (JSON.parse(stdout) as Told).checks.find(({ name }) => name === 'recomputed')?.problems ?? [];
    expect(problem?.file).toBe(LEDGER);
  });
});

async function dropLine(folder: string, line: number): Promise<void> {
  const path = join(folder, LEDGER);
  const lines = (await readFile(path, 'utf8')).split('\n');
  await writeFile(path, lines.toSpliced(line, 1).join('\n'));
}

async function appendTo(folder: string, file: string, text: string): Promise<void> {
  await writeFile(join(folder, file), text, { flag: 'a' });
}

async function flip(folder: string, file: string): Promise<void> {
  const bytes = await readFile(join(folder, file));
  bytes[bytes.length >> 1]! ^= 4;
  await writeFile(join(folder, file), bytes);
}

async function otherCheckpoint(path: string): Promise<void> {
  const folder = await openRunFolder(join(path, '..'), runId('digits'));
  const checkpoint = await loadCheckpoint(join(path, CHECKPOINT));
  checkpoint.weights[0]! += 1;
  await saveCheckpoint(folder, checkpoint, { keep: 9 });
}

async function otherModel(path: string): Promise<void> {
  const model = await loadModel(join(path, 'model'));
  model.weights[0]! += 1;
  await saveModel(join(path, 'model'), { ...model, weightsSha256: await weightsSha256(model.weights) });
}
