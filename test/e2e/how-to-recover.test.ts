/**
 * The how-to on recovering a run, what it says of a coordinator on a machine of its own, of the copy in object storage, and of
 * practising: its commands as they stand. What a reader puts in its place is put there: folder, bucket, addresses.
 */
import { copyFile, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { resolveRedis } from '#queues';
import { type RunningCommand, runCommand, startCommand } from '../support/command.js';
import { freePort } from '../support/free-port.js';
import { BUCKET, CREDENTIALS, startObjectStorage } from '../support/object-storage.js';
import { blocksOf, CHECKOUT, runBlock } from '../support/shell-blocks.js';

const HOW_TO = 'docs/how-to/recover-a-run.md';
const PATIENCE = { timeout: 30_000, interval: 100 };

async function emptyFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ropeteam-how-to-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function blockWith(words: string): Promise<readonly string[]> {
  const found = (await blocksOf(HOW_TO)).find((block) => block.includes(words));
  if (found === undefined) throw new Error(`no block has ${words}`);
  return found.trim().split('\n');
}

test('a run outlives its coordinator, and then the disk', { timeout: 240_000 }, async () => {
  const folder = await emptyFolder();
  await using storage = await startObjectStorage();
  await using redis = await resolveRedis({
    allowFetch: true,
    cacheDirectory: join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'ropeteam'),
    dataDirectory: folder,
    onNotice: () => undefined,
  });
  const [grpc, http] = await Promise.all([freePort(), freePort()]);
  const variables = {
    ROPETEAM_REDIS_URL: redis.url,
    ROPETEAM_COORDINATOR: `127.0.0.1:${grpc}`,
    AWS_ENDPOINT_URL: storage.endpoint,
    AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
    AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
  };
  const here: readonly (readonly [string, string])[] = [
    ['/data/runs', join(folder, 'runs')],
    ['s3://bucket', `s3://${BUCKET}`],
    ['50051', String(grpc)],
  ];
  const asHere = (line: string): string => here.reduce((text, [from, to]) => text.replaceAll(from, to), line);
  const exported = Object.entries(variables).map(([name, value]) => `export ${name}=${value}\n`);
  const done = (line: string, where: string): string => {
    const { status, output } = runBlock(exported.join('') + asHere(line), where);
    expect({ line, status, output }).toMatchObject({ status: 0 });
    return output;
  };
  const start = (line: string, ...more: readonly string[]): RunningCommand =>
    startCommand([...asHere(line).replace('npx ropeteam ', '').split(' '), ...more], variables);
  const coordinator = async (line: string): Promise<RunningCommand> => {
    const started = start(line, '--port', String(grpc), '--http-port', String(http));
    const asked = () => fetch(`http://127.0.0.1:${http}/metrics`);
    await vi.waitFor(async () => expect((await asked()).status).toBe(200), PATIENCE);
    return started;
  };

  const [again = '', listed = '', taken = ''] = await blockWith('ropeteam resume first --coordinator');
  const [copying = ''] = await blockWith('--copy-runs-to');
  const fetches = await blockWith('ropeteam fetch');

  await using first = await coordinator(again);
  const workers = ['worker', '--coordinator', variables.ROPETEAM_COORDINATOR, '--metrics-port', '0'];
  await using worker = startCommand(workers, variables);
  const submitted = ['submit', join(CHECKOUT, 'examples/digits/job.yaml'), '--set', 'train.epochs=1000'];
  await using following = startCommand([...submitted, '--run-id', 'first', '--watch', '--json'], variables);
  await following.event('step_committed');
  worker.process.kill('SIGTERM'); // without one the run waits: it cannot end before it is stopped
  await worker.ended;
  expect((await runCommand(['stop', 'first'], variables)).code).toBe(0);
  await following.ended;
  first.process.kill('SIGKILL');
  await first.ended;

  await using second = await coordinator(again);
  expect(done(listed, folder)).toMatch(/^first +finished +\d+\/23,000/m);
  await using _another = startCommand(workers, variables);
  await using resumed = start(taken, '--json');
  await resumed.event('run_resumed');
  // The first one it tells of is that of the stop.
  const { weightsSha256 } = await resumed.event('run_finished', ({ steps }) => steps === 23_000);
  await resumed.ended;
  await using calm = startCommand([...submitted, '--run-id', 'calm', '--watch', '--json'], variables);
  expect(await calm.event('run_finished')).toMatchObject({ weightsSha256 });
  await calm.ended;
  second.process.kill('SIGTERM');
  await second.ended;

  await using third = await coordinator(copying);
  third.process.kill('SIGTERM'); // what is not there yet it copies before it ends
  await third.ended;
  await rm(join(folder, 'runs'), { recursive: true });

  const elsewhere = join(folder, 'elsewhere');
  await mkdir(elsewhere);
  expect(done(fetches[0] ?? '', elsewhere)).toContain('first');
  const fetched = done(fetches[1] ?? '', elsewhere);
  expect(fetched).toContain('runs/first');
  const described = await readFile(join(elsewhere, 'runs/first/model/model.json'), 'utf8');
  expect(JSON.parse(described)).toMatchObject({ weightsSha256 });
});

test('practising: the job is broken, and both hashes are the same', { timeout: 240_000 }, async () => {
  const folder = await emptyFolder();
  for (const name of ['job.yaml', 'digits.csv'])
    await copyFile(join(CHECKOUT, 'examples/digits', name), join(folder, name));
  const [practise = ''] = await blockWith('ropeteam chaos');
  const { status, output } = runBlock(practise, folder);
  expect({ status, output }).toMatchObject({ status: 0 });
});
