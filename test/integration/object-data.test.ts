/** A job whose rows lie in object storage trains to the same bits as from a file, through whatever the network does. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runId } from '#training';
import { startTestCluster, type TestCluster, type TestJob } from '../support/cluster.js';
import { runCommand } from '../support/command.js';
import { digitsJob } from '../support/jobs.js';
import { BUCKET, CREDENTIALS, type ObjectStorage, startObjectStorage } from '../support/object-storage.js';
import { openWorkspace, type Workspace } from '../support/workspace.js';

const DEADLINE = { timeout: 120_000 };
const FROM_FILE = digitsJob({ steps: 20, batch: 256 });
const URL_OF_IT = `s3://${BUCKET}/sets/digits.csv`;
const FROM_OBJECT: TestJob = { text: FROM_FILE.text.replace('digits.csv', URL_OF_IT), files: {} };

let storage: ObjectStorage;
let workspace: Workspace;
let cluster: TestCluster;
let logged = '';
let secrets: Readonly<Record<string, string>>;

beforeAll(async () => {
  storage = await startObjectStorage();
  workspace = await openWorkspace();
  const credentials = join(workspace.path, 'credentials');
  const lines = ['[default]', `aws_access_key_id = ${CREDENTIALS.accessKeyId}`, 'aws_secret_access_key = S3RVER'];
  await writeFile(credentials, `${lines.join('\n')}\n`);
  secrets = { AWS_ENDPOINT_URL: storage.frail, AWS_SHARED_CREDENTIALS_FILE: credentials };
  cluster = await startTestCluster({
    workers: 2,
    variables: secrets,
    onLog: (text) => {
      logged += text;
    },
  });
}, DEADLINE.timeout);
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
  await workspace?.[Symbol.asyncDispose]();
  await storage?.[Symbol.asyncDispose]();
});

test(
  'a missing object fails the run, which goes on once it is there; broken connections cost no bit',
  DEADLINE,
  async () => {
    const calm = await cluster.finish(FROM_FILE);
    const failed = await cluster.run(FROM_OBJECT, undefined, runId('from-object'));
    expect(failed).toMatchObject({ event: 'run_failed', code: 'STORAGE.OBJECT' });

    await storage.put('sets/digits.csv', await readFile(FROM_FILE.files['digits.csv'] ?? ''));
    storage.failAfter(60_000);
    await cluster.client.resume(runId('from-object'));
    let last: unknown;
    for await (const event of cluster.client.watch(runId('from-object'), 0, AbortSignal.timeout(60_000))) last = event;
    storage.failAfter(Number.POSITIVE_INFINITY);
    expect(storage.cuts).toBeGreaterThan(2);
    const { weightsSha256, optimizerSha256 } = calm;
    expect(last).toMatchObject({ event: 'run_finished', weightsSha256, optimizerSha256 });
    expect(logged).not.toContain('S3RVER');
  },
);

test('validate and train on one machine fetch it too', DEADLINE, async () => {
  await storage.put('sets/digits.csv', await readFile(FROM_FILE.files['digits.csv'] ?? ''));
  const job = join(workspace.path, 'job.yaml');
  await writeFile(job, FROM_OBJECT.text);
  const variables = { ...workspace.variables, ...secrets };
  const validated = await runCommand(['validate', job, '--json'], variables);
  expect(validated.code, validated.stderr).toBe(0);
  const trained = await runCommand(['train', job, '--json', '--grain', 'step', '--out', workspace.runs], variables);
  expect(trained.code, trained.stderr).toBe(0);
  const { weightsSha256 } = await cluster.finish(FROM_FILE);
  expect(JSON.parse(trained.stdout.trim().split('\n').at(-1) ?? '')).toMatchObject({ weightsSha256 });
  const unset = await runCommand(['validate', job], workspace.variables);
  expect(unset).toMatchObject({ code: 2, stderr: expect.stringContaining('no object storage is set up') });
});
