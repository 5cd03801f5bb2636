/** Input that can't be trained: each command says where it is wrong, why, and what to do; 2, and nothing that looks done. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestCluster, type TestCluster } from '../support/cluster.js';
import { type EndedCommand, startCommand } from '../support/command.js';
import { expectNothingLeft, openWorkspace, type Workspace } from '../support/workspace.js';

const DEADLINE_MS = 60_000;

const JOB = `apiVersion: ropeteam/v1
name: bad
data: { source: rows.csv, target: y }
model: { layers: [] }
train: { epochs: 2 }
`;
const ROWS = Array.from({ length: 30 }, (_, row) => `${row},${2 * row + 1}`);
const csv = (...rows: readonly string[]): string => ['x,y', ...rows, ''].join('\n');

interface BadInput {
  readonly name: string;
  readonly job: string;
  /** Content of `rows.csv`; absent: there is no such file. */
  readonly rows?: string;
  /** What must be said on stderr: where, why, what to do. */
  readonly says: readonly (string | RegExp)[];
}

/** Wrong before any data is read: told by the command itself. */
const BAD_JOBS: readonly BadInput[] = [
  {
    name: 'an unknown key',
    job: JOB.replace('epochs', 'epoch'),
    says: ['error CONFIG.UNKNOWN_KEY: unknown setting "epoch" in train', 'job.yaml:5:10', 'did you mean "epochs"?'],
  },
  {
    name: 'a value of the wrong type',
    job: JOB.replace('epochs: 2', 'epochs: many'),
    says: [
      'error CONFIG.TYPE: train.epochs must be',
      /received .*"many"/,
      'job.yaml:5:18',
      /^ 5│ train: .*epochs: many/m,
    ],
  },
  {
    name: 'a value out of range',
    job: JOB.replace('epochs: 2', 'batch: 0'),
    says: ['error CONFIG.RANGE: train.batch must be a whole number from 1', 'received 0', 'job.yaml:5:17'],
  },
  {
    name: 'text that is no YAML',
    job: JOB.replace('layers: []', 'layers: [}'),
    says: ['error CONFIG.SYNTAX', 'job.yaml:4:', /^ +fix: /m],
  },
  {
    name: 'several problems, all in one report',
    job: JOB.replace('epochs: 2', 'epoch: 2, batch: 0').replace('target: y', 'tarket: y'),
    says: [
      'unknown setting "epoch" in train',
      'train.batch must be a whole number from 1',
      'did you mean "target"?',
      /^error [3-5] problems in .*job\.yaml/m,
    ],
  },
];

/** Wrong in the rows: told by the coordinator, or by `validate` without one. */
const BAD_DATA: readonly BadInput[] = [
  {
    name: 'a text among the numbers of the target',
    job: JOB,
    rows: csv(...ROWS, '31,abc'),
    says: ['error DATA.LABEL', 'column "y": "abc" is not a number', 'rows.csv:32:4', /^32│ 31,abc$/m, /^ +fix: /m],
  },
  {
    name: 'a NaN in the target',
    job: JOB,
    rows: csv(...ROWS, '31,NaN'),
    says: ['error DATA.LABEL', 'the target is missing', 'rows.csv:32:4', 'data.badRows to "skip"'],
  },
  {
    name: 'a row that is too short',
    job: JOB,
    rows: csv(...ROWS, '31', ...ROWS),
    says: ['error DATA.ROW', 'rows.csv:32: 1 columns, expected 2', /^32│ 31$/m, 'correct the row'],
  },
  {
    name: 'one class only',
    job: JOB,
    rows: csv(...ROWS.map((row) => row.replace(/,.*/, ',cat'))),
    says: ['error DATA.COLUMN', 'rows.csv:1:3', 'one class only, "cat"', 'add rows of other classes'],
  },
  {
    name: 'too few rows to split',
    job: JOB,
    rows: csv('1,2'),
    says: ['error DATA.TOO_FEW', 'leaves 1 samples for train', 'rows.csv', 'add rows'],
  },
  {
    name: 'a target column that is not there',
    job: JOB.replace('target: y', 'target: z'),
    rows: csv(...ROWS),
    says: ['error DATA.COLUMN', 'no column is called "z"', 'rows.csv:1', 'the columns here are x, y'],
  },
];

/** 225 million parameters, of which a worker would hold six times as many floats: two versions and four gradients. */
const TOO_LARGE: BadInput = {
  name: 'a model beyond the kernel’s memory',
  job: JOB.replace('[]', '[{ dense: 15000 }, relu, { dense: 15000 }, relu]').replace(
    'epochs: 2',
    'steps: 2, microBatches: 8',
  ),
  rows: csv(...ROWS),
  says: [
    'error MODEL.TOO_LARGE: the model is too large: a worker needs 5',
    'bytes of kernel memory for 225060001 parameters',
    '5.1 GiB where 4.0 GiB can be addressed',
    /^ +fix: .*train\.microBatches/m,
  ],
};

const MISSING_DATA: BadInput = {
  name: 'a data file that is not there',
  job: JOB,
  says: ['error DATA.FILE', /rows\.csv\b.*(does not exist|no such file)/, /^ +fix: .*\bpath/m],
};

let workspace: Workspace;
let born = 0;
beforeAll(async () => {
  workspace = await openWorkspace();
});
afterAll(() => workspace[Symbol.asyncDispose]());

/** Writes the input into a folder of its own; returns the path of the job. */
async function write({ job, rows }: BadInput): Promise<string> {
  const folder = join(workspace.path, `input-${born++}`);
  await mkdir(folder);
  await writeFile(join(folder, 'job.yaml'), job);
  if (rows !== undefined) await writeFile(join(folder, 'rows.csv'), rows);
  return join(folder, 'job.yaml');
}

/** Runs a command to its end; it must leave no process and no temporary file. */
async function run(words: readonly string[]): Promise<EndedCommand> {
  await using command = startCommand(words, workspace.variables);
  const ended = await command.ended;
  await expectNothingLeft(command, workspace);
  return ended;
}

function expectRefused({ says }: Pick<BadInput, 'says'>, { code, stdout, stderr }: EndedCommand): void {
  for (const word of says) expect(stderr).toMatch(word instanceof RegExp ? word : plain(word));
  expect(stderr).not.toMatch(/\n {4}at |TypeError|not foreseen/);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
}

function plain(words: string): RegExp {
  return new RegExp(words.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'));
}

describe('validate refuses', () => {
  test.each([...BAD_JOBS, ...BAD_DATA, TOO_LARGE, MISSING_DATA])(
    '$name',
    async (input) => {
      expectRefused(input, await run(['validate', await write(input)]));
    },
    DEADLINE_MS,
  );

  test(
    'a job file that is not there',
    async () => {
      const path = join(workspace.path, 'nowhere.yaml');
      expectRefused({ says: ['error CONFIG.FILE', 'there is no file', path] }, await run(['validate', path]));
    },
    DEADLINE_MS,
  );
});

describe('train refuses, without a folder of a run', () => {
  test.each([...BAD_JOBS.slice(-1), MISSING_DATA])(
    '$name',
    async (input) => {
      const out = join(workspace.path, `runs-${born++}`);
      expectRefused(input, await run(['train', await write(input), '--out', out]));
      expect(await runsIn(out)).toEqual([]);
    },
    DEADLINE_MS,
  );
});

describe('train refuses, and the folder of the run says that it failed', () => {
  test.each([...BAD_DATA.slice(0, 3), TOO_LARGE])(
    '$name',
    async (input) => {
      const out = join(workspace.path, `runs-${born++}`);
      expectRefused(input, await run(['train', await write(input), '--out', out, '--run-id', 'bad']));
      expect(await runsIn(out)).toEqual(['bad']);
      await expectFailed(join(out, 'bad'));
    },
    DEADLINE_MS,
  );
});

describe('submit refuses', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await startTestCluster({ workers: 0 });
  });
  afterAll(() => cluster[Symbol.asyncDispose]());

  test.each([...BAD_JOBS.slice(0, 1), MISSING_DATA])(
    '$name, before anything is sent',
    async (input) => {
      expectRefused(input, await run(['submit', await write(input), '--coordinator', cluster.grpc]));
      expect(await cluster.client.list()).toEqual([]);
      expect(await runsIn(cluster.runsDirectory)).toEqual([]);
    },
    DEADLINE_MS,
  );

  test('an upload that breaks off: what has come of it is no run', async () => {
    const path = join(workspace.path, 'gone.csv');
    const files = [{ path: 'rows.csv', absolutePath: path }];
    const submission = { jobText: JOB, jobFile: 'job.yaml', files };
    await expect(cluster.client.submit(submission)).rejects.toMatchObject({ code: 'DATA.FILE', facts: { file: path } });
    // Two calls over one connection: when the second is answered, the first has been dealt with.
    await expect(cluster.client.submit({ ...submission, jobText: 'no job', files: [] })).rejects.toThrow();
    expect(await cluster.client.list()).toEqual([]);
    expect(await runsIn(cluster.runsDirectory)).toEqual([]);
  });

  test.each(BAD_DATA)(
    '$name, with --watch',
    async (input) => {
      const id = `bad-${born++}`;
      const words = ['--coordinator', cluster.grpc, '--watch', '--run-id', id];
      expectRefused(input, await run(['submit', await write(input), ...words]));
      expect(await cluster.client.list()).toContainEqual(expect.objectContaining({ run: id, state: 'failed' }));
      await expectFailed(join(cluster.runsDirectory, id));
    },
    DEADLINE_MS,
  );
});

async function expectFailed(folder: string): Promise<void> {
  const events = (await readFile(join(folder, 'events.ndjson'), 'utf8')).trimEnd().split('\n');
  const names: readonly string[] = events.map((line) => JSON.parse(line).event);
  expect(names.filter((name) => !name.startsWith('data_'))).toEqual(['run_queued', 'run_failed']);
  for (const inside of ['model', 'checkpoints']) expect(await readdir(join(folder, inside))).toEqual([]);
}

/** Folders of runs, not what a coordinator keeps beside them; none where there is no folder for them. */
async function runsIn(folder: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith('.')).map(({ name }) => name);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}
