/** What a run promises to leave: its events, its folder, and the same weights again from the command it suggests. */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { formatJob, parseJob } from '#job';
import { xxh64 } from '#kernel';
import { loadCheckpoint, readLedger } from '#storage';
import type { RunEvent } from '#training';
import { type NamedEvent, type RunningCommand, runCommand, startCommand } from '../support/command.js';
import { readTensorBytes } from '../support/model-bytes.js';
import { expectNothingLeft, openWorkspace, type Workspace } from '../support/workspace.js';

const LINE = 'examples/linear-regression/job.yaml';
const DEADLINE_MS = 120_000;

const number = expect.any(Number);
const text = expect.any(String);
const sha256 = expect.stringMatching(/^[0-9a-f]{64}$/);
const url = expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\//);
const metrics = { loss: number, r2: number };

/** The fields each event has at least. */
const FIELDS: Readonly<Partial<Record<RunEvent['event'], object>>> = {
  run_queued: { job: 'linear-regression' },
  data_prepared: { samples: 100, bytes: number, shards: 3, seconds: number, reused: false },
  run_started: {
    job: 'linear-regression',
    seed: 7,
    workers: 2,
    threads: 2,
    kernel: 'wasm-simd128/1',
    redis: { engine: text, version: text },
    parameters: 2,
    samples: { train: 80, validation: 10, test: 10 },
    batch: 80,
    microBatches: 2,
    steps: 200,
    dashboard: url,
    metrics: url,
  },
  worker_joined: { worker: text, pid: number },
  grain_chosen: { grain: 'run', stepsPerLease: number, workers: 2, exchangeMs: number, reason: text },
  step_committed: {
    step: number,
    epoch: number,
    loss: number,
    learningRate: 0.3,
    gradientNorm: number,
    samples: 80,
    durationMs: number,
    workers: number,
  },
  epoch_finished: { epoch: number, train: metrics, validation: metrics, samplesPerSecond: number },
  checkpoint_saved: { step: number, path: text, bytes: number, durationMs: number },
  run_finished: {
    steps: number,
    epochs: number,
    seconds: number,
    samplesPerSecond: number,
    stoppedBy: 'tolerance',
    train: metrics,
    validation: metrics,
    test: metrics,
    weightsSha256: sha256,
    optimizerSha256: sha256,
    goodput: number,
    modelPath: text,
    runPath: text,
  },
};

describe('a run with two workers', () => {
  let workspace: Workspace;
  let command: RunningCommand;
  let stdout = '';
  let finished: NamedEvent<'run_finished'>;

  beforeAll(async () => {
    workspace = await openWorkspace();
    const words = ['train', LINE, '--workers', '2', '--threads', '1', '--json', '--every-step', '--run-id', 'line'];
    command = startCommand([...words, '--out', workspace.runs], workspace.variables);
    finished = await command.event('run_finished');
    const ended = await command.ended;
    expect(ended.code).toBe(0);
    stdout = ended.stdout;
  }, DEADLINE_MS);
  afterAll(async () => {
    await command[Symbol.asyncDispose]();
    await workspace[Symbol.asyncDispose]();
  });

  test('prints events with the fields of the contract, finite numbers and never null', () => {
    for (const event of command.events) {
      expect(event, JSON.stringify(event)).toMatchObject({ ...FIELDS[event.event], run: 'line' });
      expect(FIELDS, event.event).toHaveProperty(event.event);
      expect(new Date(event.time).toISOString()).toBe(event.time);
    }
    // JSON.stringify writes NaN and the infinities as null.
    expect(stdout).not.toMatch(/null/);
  });

  test('prints its events in the order in which they can happen', () => {
    // How long leases are follows from measured times, so when that is news does too.
    const names = command.events.map(({ event }) => event).filter((name) => name !== 'grain_chosen');
    const epochs = Array.from({ length: finished.epochs }, () => ['step_committed', 'epoch_finished']).flat();
    const around = [...['run_queued', 'data_prepared', 'run_started', 'worker_joined', 'worker_joined'], ...epochs];
    expect(names).toEqual([...around, 'checkpoint_saved', 'run_finished']);
    const ordinals = (name: 'step_committed' | 'epoch_finished', key: 'step' | 'epoch'): readonly unknown[] =>
      command.events.filter(({ event }) => event === name).map((event) => (event as NamedEvent<typeof name>)[key]);
    const counted = Array.from({ length: finished.steps }, (_, index) => index);
    expect(ordinals('step_committed', 'step')).toEqual(counted);
    expect(ordinals('step_committed', 'epoch')).toEqual(counted);
    expect(ordinals('epoch_finished', 'epoch')).toEqual(counted);
    const times = command.events.map(({ time }) => time);
    const sorted = times.toSorted((left, right) => (left < right ? -1 : 1));
    expect(times).toEqual(sorted);
  });

  test('keeps exactly the events it printed', async () => {
    expect(await readFile(join(finished.runPath, 'events.ndjson'), 'utf8')).toBe(stdout);
  });

  test('keeps its effective job, which is whole, reads back as itself and is the one the model names', async () => {
    const path = join(finished.runPath, 'job.yaml');
    const written = await readFile(path, 'utf8');
    const job = parseJob(written, path);
    expect(formatJob(job)).toBe(written);
    expect(job).toMatchObject({
      data: { task: 'regression', badRows: 'error', maxCategories: 64 },
      model: { loss: { kind: 'meanSquaredError' } },
      train: { batch: 80, microBatches: 2, schedule: { after: { kind: 'constant' } }, seed: 7 },
      checkpoint: { keep: 3 },
    });
    const model: unknown = JSON.parse(await readFile(join(finished.modelPath, 'model.json'), 'utf8'));
    expect(model).toMatchObject({ job: { sha256: hash(written) }, run: 'line', weightsSha256: finished.weightsSha256 });
  });

  test('keeps a ledger in which every line names the hash of the line before it, one a step', async () => {
    const path = join(finished.runPath, 'ledger.ndjson');
    const lines = (await readFile(path, 'utf8')).trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line).previous)).toEqual([
      '0'.repeat(64),
      ...lines.slice(0, -1).map((line) => hash(line)),
    ]);
    const committed = command.events.filter((event) => event.event === 'step_committed');
    const figures = (await readLedger(path)).map(({ step, epoch, loss, gradientNorm, samples }) => {
      return { step, epoch, loss, gradientNorm, samples };
    });
    expect(committed).toMatchObject(figures);
    expect(figures).toHaveLength(finished.steps);
  });

  test('tells the SHA-256 of the float32 bytes of the model, layer by layer, and ledger and checkpoint agree', async () => {
    const bytes = await readTensorBytes(finished.modelPath);
    expect(hash(bytes)).toBe(finished.weightsSha256);
    const records = await readLedger(join(finished.runPath, 'ledger.ndjson'));
    expect(records.at(-1)?.weights).toBe(xxh64(bytes).toString(16).padStart(16, '0'));
    const saved = await command.event('checkpoint_saved');
    const { weights, step } = await loadCheckpoint(saved.path);
    expect(hash(new Uint8Array(weights.buffer))).toBe(finished.weightsSha256);
    expect(step).toBe(finished.steps);
  });

  test('leaves nothing but the run and the cache: no process, no temporary file, no data of the run', async () => {
    await expectNothingLeft(command, workspace);
    expect((await readdir(workspace.runs)).sort()).toEqual(['.cache', 'line']);
    const kept = await readdir(join(workspace.runs, 'line'));
    expect(kept.sort()).toEqual([
      '.lead',
      'checkpoints',
      'events.ndjson',
      'fence',
      'job.yaml',
      'ledger.ndjson',
      'model',
      'submission.json',
    ]);
  });
});

test('the next command of the summary gives the same sha256, whatever was changed on the command line', async () => {
  await using workspace = await openWorkspace();
  const out = ['--out', workspace.runs];
  const first = await runCommand(['train', LINE, '--quiet', '--seed', '3', ...out], workspace.variables);
  expect(first).toMatchObject({ code: 0, stderr: '' });
  const printed = /sha256 ([0-9a-f]{64})$/m.exec(first.stdout)?.[1];
  const next = /^ {2}next {5}(?:npx )?ropeteam (train .*?) {2,}gives the same sha256$/m.exec(first.stdout)?.[1];
  if (printed === undefined || next === undefined) throw new Error(`no hash or no next command in ${first.stdout}`);
  const second = await runCommand([...next.split(' '), '--quiet', ...out], workspace.variables);
  expect(second.stdout).toContain(`sha256 ${printed}`);
}, 120_000);

function hash(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}
