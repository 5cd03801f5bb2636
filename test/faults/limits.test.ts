/** F66: a process that may have too few files, too little address space, too few processes. Linux. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { FinishedEvent, TestCluster } from '../support/cluster.js';
import { startTestCluster } from '../support/cluster.js';
import { CHECKOUT } from '../support/command.js';
import { expectSameBits, FAULT_JOB } from '../support/fault-runs.js';
import { openWorkspace } from '../support/workspace.js';

const MAIN = fileURLToPath(new URL('../../cli/src/main.js', import.meta.url));
const DEADLINE_MS = 60_000;

/**
 * Runs `ropeteam` to its end where a shell has set `limit`, such as `-n 64`.
 * @param joined called when it has joined a coordinator
 */
async function withLimit(
  limit: string,
  words: readonly string[],
  variables: Readonly<Record<string, string>> = {},
  joined: () => void = () => undefined,
) {
  const script = `ulimit ${limit} && exec "$0" "$@"`;
  const child = spawn('bash', ['-c', script, process.execPath, MAIN, ...words], {
    cwd: CHECKOUT,
    env: { ...process.env, ...variables },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stderr.on('data', (chunk: Buffer) => {
    if (chunk.includes('coordinator_joined')) joined();
  });
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  expect(stderr).not.toMatch(/\n {4}at /);
  expect(stderr).not.toContain('not foreseen');
  return { code: code as number | null, stdout, stderr };
}

describe('F66: 64 open files', { timeout: DEADLINE_MS }, () => {
  test.each([
    ['--version'],
    ['doctor'],
    ['train', 'examples/digits/job.yaml'],
    ['coordinator', '--port', '0'],
    ['worker', '--coordinator', '127.0.0.1:1'],
  ])('ropeteam %s: the error names the limit, what is needed and what to set, and exits with 3', async (...words) => {
    const { code, stdout, stderr } = await withLimit('-n 64', words);
    expect(stderr).toBe(
      'error ENVIRONMENT.LIMIT: a process may have 64 files open here, and ropeteam needs 256 to start\n' +
        '  fix: raise it where the process is started: `ulimit -n 1024`, LimitNOFILE= of a systemd unit, ' +
        '--ulimit nofile= of a container\n',
    );
    expect(stdout).toBe('');
    expect(code).toBe(3);
  });

  test('what is granted is in the findings of doctor', async () => {
    const { stdout } = await withLimit('-n 300', ['doctor', '--json']);
    const { checks } = JSON.parse(stdout) as { checks: { subject: string; status: string; found: string }[] };
    expect(checks.find(({ subject }) => subject === 'limits')).toMatchObject({
      status: 'warning',
      found: expect.stringContaining('300 open files'),
    });
  });
});

describe('F66: little address space', { timeout: DEADLINE_MS }, () => {
  test.each([
    // Not even the modules that read the job have their memory.
    ['4 GiB', 4],
    // The coordinator starts, and its engine does not get its memory.
    ['12 GiB', 12],
  ])('%s: train ends with 3 and the limit’s name', async (_, gib) => {
    await using workspace = await openWorkspace();
    const words = ['train', 'examples/digits/job.yaml', '--set', 'train.epochs=1', '--out', workspace.runs];
    const { code, stderr } = await withLimit(`-v ${gib * 2 ** 20}`, words, workspace.variables);
    expect(stderr).toContain(`ENVIRONMENT.LIMIT: address space is limited to ${gib}.0 GiB here`);
    expect(stderr).toContain('ulimit -v unlimited');
    expect(code).toBe(3);
  });

  test('doctor says so, with a ✗', async () => {
    const { code, stdout } = await withLimit(`-v ${12 * 2 ** 20}`, ['doctor']);
    expect(stdout).toMatch(/✗ limits .*12\.0 GiB of address space\n {4}fix: .*ulimit -v unlimited/);
    expect(code).toBe(3);
  });
});

describe('F66: one worker with too little', { timeout: DEADLINE_MS }, () => {
  let cluster: TestCluster;
  let calm: FinishedEvent;

  beforeAll(async () => {
    cluster = await startTestCluster({ workers: 1, onLog: () => undefined });
    calm = await cluster.finish(FAULT_JOB);
  });
  afterAll(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  test('a worker that cannot have its memory ends by name, and the others train the same bits', async () => {
    const words = ['worker', '--coordinator', cluster.grpc, '--name', 'narrow'];
    const variables = { ROPETEAM_REDIS_URL: cluster.redis.url };
    let training: Promise<FinishedEvent> | undefined;
    const narrow = await withLimit(`-v ${12 * 2 ** 20}`, words, variables, () => {
      training ??= cluster.finish(FAULT_JOB);
    });
    const finished = await training;
    if (finished === undefined) throw new Error('the worker never joined');
    expect(narrow.stderr).toContain('ENVIRONMENT.LIMIT: address space is limited to 12.0 GiB here');
    expect(narrow.code).toBe(3);
    expectSameBits(finished, calm);
  });
});
