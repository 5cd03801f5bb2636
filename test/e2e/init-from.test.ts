/** `--init-from`: runs that start from weights in a file, of ours or of PyTorch, with real processes. */
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { xxh64 } from '#kernel';
import { loadCheckpoint, loadModel, readLedger, weightsSha256 } from '#storage';
import type { RunEvent } from '#training';
import { startTestCluster, type TestCluster } from '../support/cluster.js';
import { CHECKOUT, type EndedCommand, runCommand } from '../support/command.js';
import { openWorkspace, type Workspace } from '../support/workspace.js';

const TORCH = join(CHECKOUT, 'test/fixtures/torch-model');
const DIGITS = 'examples/digits/job.yaml';
const DEADLINE_MS = 120_000;

const JOB = `apiVersion: ropeteam/v1
name: torch
data: { source: rows.csv, target: label, scale: none, split: { validation: 0, test: 0 } }
model: { layers: [{ dense: 7 }, tanh, { dense: 7 }, relu] }
train: { epochs: 3, batch: 24, microBatches: 4, optimizer: { adam: { learningRate: 0.01 } } }
`;

let workspace: Workspace;
let job = '';
beforeAll(async () => {
  workspace = await openWorkspace();
  job = join(workspace.path, 'job.yaml');
  await writeFile(job, JOB);
  await copyFile(join(TORCH, 'rows.csv'), join(workspace.path, 'rows.csv'));
});
afterAll(() => workspace[Symbol.asyncDispose]());

type Of<Name extends RunEvent['event']> = Extract<RunEvent, { event: Name }>;

interface Trained extends EndedCommand {
  readonly events: readonly RunEvent[];
  first<Name extends RunEvent['event']>(name: Name): Of<Name>;
}

async function train(...words: readonly string[]): Promise<Trained> {
  const options = ['--json', '--every-step', '--threads', '1', '--out', workspace.runs];
  const ended = await runCommand(['train', ...words, ...options], workspace.variables);
  const events = ended.stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as RunEvent);
  const first = <Name extends RunEvent['event']>(name: Name): Of<Name> => {
    const found = events.find((event): event is Of<Name> => event.event === name);
    if (found === undefined) throw new Error(`no ${name} in ${ended.stdout}\n${ended.stderr}`);
    return found;
  };
  return { ...ended, events, first };
}

describe('a model that PyTorch wrote', () => {
  const FILES = [
    ['sequential-f32', 'order', undefined],
    ['nested-f16', 'order', 'F16 and converted, exactly, to float32'],
    ['layers-bf16', 'names', 'BF16 and converted, exactly, to float32'],
    ['fc-f64', 'order', 'F64 and rounded to float32'],
  ] as const;

  test(
    'gives PyTorch’s loss at the first step, and the same weights from two workers as from one',
    async () => {
      const { loss } = JSON.parse(await readFile(join(TORCH, 'expected.json'), 'utf8')) as {
        readonly loss: Readonly<Record<string, number>>;
      };
      await using cluster = await startTestCluster({ workers: 1 });
      const hashes: string[][] = [[], []];
      for (const run of hashes) {
        for (const [name, matchedBy, said] of FILES) {
          const file = `${name}.safetensors`;
          const weights = { path: file, absolutePath: join(TORCH, file) };
          const events: RunEvent[] = [];
          const submitted = { text: JOB, files: { 'rows.csv': join(TORCH, 'rows.csv') }, initFrom: { weights } };
          const finished = await cluster.finish(submitted, (event) => events.push(event));
          run.push(`${file} ${finished.weightsSha256} ${finished.optimizerSha256}`);
          const first = events.find((event) => event.event === 'step_committed');
          expect(Math.abs((first?.loss ?? Number.NaN) / (loss[name] ?? Number.NaN) - 1), name).toBeLessThan(1e-5);
          const started = events.find((event) => event.event === 'run_started');
          expect(started?.initFrom).toMatchObject({ file, matchedBy });
          const warnings = started?.warnings.join('\n') ?? '';
          if (said !== undefined) expect(warnings).toContain(said);
          expect(warnings.includes('matched by their order'), name).toBe(matchedBy === 'order');
        }
        await cluster.startWorker();
      }
      expect(hashes[1]).toEqual(hashes[0]);
      expect(new Set(hashes[0]).size).toBe(FILES.length);
    },
    DEADLINE_MS,
  );

  test('that does not fit is refused with both sizes of every tensor, and leaves no model', async () => {
    const wrong = JOB.replace('{ dense: 7 }, relu', '{ dense: 6 }, relu');
    await mkdir(join(workspace.path, 'wrong'));
    const path = join(workspace.path, 'wrong/job.yaml');
    await writeFile(path, wrong);
    await copyFile(join(TORCH, 'rows.csv'), join(workspace.path, 'wrong/rows.csv'));
    const from = ['--init-from', join(TORCH, 'sequential-f32.safetensors')];
    for (const ended of [await train(path, ...from), await runCommand(['validate', path, ...from])]) {
      expect(ended.code).toBe(2);
      expect(ended.stderr).toContain("layers.2.weight is [6, 7] in this job's model, 2.weight in sequential-f32");
      expect(ended.stderr).toContain('layers.4.weight is [3, 6]');
      expect(ended.stderr).not.toContain('layers.0.weight is');
      expect(ended.stderr).toContain('3 problems');
      expect(ended.stdout).not.toContain('run_started');
    }
  }, 60_000);
});

test('a file that was cut off is refused before anything is started', async () => {
  const path = join(workspace.path, 'cut.safetensors');
  await writeFile(path, (await readFile(join(TORCH, 'sequential-f32.safetensors'))).subarray(0, -40));
  const ended = await train(job, '--init-from', path);
  expect({ code: ended.code, stdout: ended.stdout }).toEqual({ code: 2, stdout: '' });
  expect(ended.stderr).toMatch(/error MODEL.INIT: .*cut.safetensors is not a whole safetensors file: .*\n +fix: /);
});

test(
  'training goes on from a model of ours: it starts where that ended, and says where it came from',
  async () => {
    const scratch = await train(DIGITS, '--set', 'train.epochs=2', '--run-id', 'first');
    const first = scratch.first('run_finished');
    const model = join(first.modelPath, 'model.safetensors');
    const words = [DIGITS, '--set', 'train.epochs=2', '--init-from', model];
    const on = await train(...words, '--run-id', 'on');
    const again = await train(...words, '--run-id', 'again', '--workers', '2');
    const finished = on.first('run_finished');
    expect(again.first('run_finished')).toMatchObject({
      weightsSha256: finished.weightsSha256,
      optimizerSha256: finished.optimizerSha256,
    });
    expect(finished.weightsSha256).not.toBe(first.weightsSha256);
    expect(on.first('step_committed').loss).toBeLessThan(scratch.first('step_committed').loss / 2);
    const initFrom = { file: 'model.safetensors', weightsSha256: first.weightsSha256, matchedBy: 'names' };
    expect(on.first('run_started').initFrom).toEqual(initFrom);
    expect((await loadModel(finished.modelPath)).initFrom).toEqual(initFrom);
    const [record, ...others] = await readLedger(join(finished.runPath, 'ledger.ndjson'));
    expect(record?.initFrom).toEqual(initFrom);
    expect(others.filter((one) => one.initFrom !== undefined)).toEqual([]);
    // The same rows, split and scaled the same way: nothing to warn of but the columns that never change.
    expect(on.first('run_started').warnings).toEqual(scratch.first('run_started').warnings);
    const other = await train(
      ...words,
      '--seed',
      '9',
      '--set',
      'model.layers=[{ dense: 64 }, tanh]',
      '--run-id',
      'other',
    );
    const warnings = other.first('run_started').warnings.join('\n');
    expect(warnings).toContain("its layers were dense, relu, dense, this job's are dense, tanh, dense");
    expect(warnings).toMatch(/columns became inputs in another way: "p\d+" was \(value - /);
  },
  DEADLINE_MS,
);

describe('--save-every', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await startTestCluster({ workers: 2 });
  }, DEADLINE_MS);
  afterAll(() => cluster[Symbol.asyncDispose]());

  const submitted = {
    text: `${JOB.replace('epochs: 3', 'steps: 17')}checkpoint: { keep: 1, everySteps: 5 }\n`,
    files: { 'rows.csv': join(TORCH, 'rows.csv') },
  };

  test(
    'keeps a checkpoint of every so many steps, each with the weights of its line in the ledger',
    async () => {
      const saved: number[] = [];
      const finished = await cluster.finish(submitted, (event) => {
        if (event.event === 'checkpoint_saved') saved.push(event.step);
      });
      expect(saved).toEqual([5, 10, 15, 17]);
      const records = await readLedger(join(finished.runPath, 'ledger.ndjson'));
      for (const step of saved) {
        const name = `step-${String(step).padStart(8, '0')}.safetensors`;
        const checkpoint = await loadCheckpoint(join(finished.runPath, 'checkpoints', name));
        expect(xxh64Digits(checkpoint.weights)).toBe(records[step - 1]?.weights);
      }
    },
    DEADLINE_MS,
  );

  test(
    'keeps the same weights and optimizer state when a worker is killed on the way',
    async () => {
      const hashesOf = async (runPath: string) => {
        const paths = [5, 10, 15, 17].map((step) =>
          join(runPath, `checkpoints/step-000000${step < 10 ? '0' : ''}${step}.safetensors`),
        );
        const checkpoints = await Promise.all(paths.map((path) => loadCheckpoint(path)));
        return Promise.all(
          checkpoints.map(async ({ step, weights, optimizerState }) => {
            return [step, await weightsSha256(weights), await weightsSha256(optimizerState)];
          }),
        );
      };
      const calm = await cluster.finish(submitted);
      let killing: Promise<void> | undefined;
      const stormy = await cluster.finish(submitted, (event) => {
        const [victim] = cluster.workers;
        if (event.event === 'step_committed' && event.step === 6 && victim !== undefined) {
          killing ??= cluster.killWorker(victim);
        }
      });
      await killing;
      expect(killing).toBeDefined();
      expect(await hashesOf(stormy.runPath)).toEqual(await hashesOf(calm.runPath));
    },
    DEADLINE_MS,
  );

  test(
    'a checkpoint is a place to start from, over the network too',
    async () => {
      const before = await cluster.finish(submitted);
      const path = join(before.runPath, 'checkpoints/step-00000010.safetensors');
      const { weights } = await loadCheckpoint(path);
      const copy = join(workspace.path, 'elsewhere.safetensors');
      await copyFile(path, copy);
      await mkdir(join(workspace.path, 'remote'), { recursive: true });
      const options = ['--coordinator', cluster.grpc, '--watch', '--json', '--save-every', '2', '--init-from', copy];
      const ended = await runCommand(['submit', job, ...options], workspace.variables);
      expect(ended).toMatchObject({ code: 0 });
      const events = ended.stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as RunEvent);
      const started = events.find((event) => event.event === 'run_started');
      expect(started).toMatchObject({
        initFrom: { file: 'elsewhere.safetensors', weightsSha256: await weightsSha256(weights), matchedBy: 'names' },
      });
      expect(JSON.stringify(started)).toContain('checkpoint of step 10: its optimizer state is not used');
      const savedSteps = events.flatMap((event) => (event.event === 'checkpoint_saved' ? [event.step] : []));
      expect(savedSteps).toEqual([2, 3]);
    },
    DEADLINE_MS,
  );
});

function xxh64Digits(weights: Float32Array): string {
  return xxh64(new Uint8Array(weights.buffer, weights.byteOffset, weights.byteLength))
    .toString(16)
    .padStart(16, '0');
}
