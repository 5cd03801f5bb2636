/**
 * The how-tos on a slow worker and on upgrading: their commands on a real cluster, one after the other. What a reader puts
 * in its place is put there: folder, addresses, the worker's process id. `git pull` and `npm install` are left to the reader.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { resolveRedis } from '#queues';
import { type RunningCommand, runCommand, startCommand } from '../support/command.js';
import { freePort } from '../support/free-port.js';
import { blocksOf, runBlock } from '../support/shell-blocks.js';

const PATIENCE = { timeout: 30_000, interval: 100 };
const DIGITS = 'examples/digits/job.yaml';

async function linesOf(path: string): Promise<readonly string[]> {
  return (await blocksOf(path))
    .join('')
    .trim()
    .split('\n')
    .map((line) => line.trim());
}

test('find a slow worker, take it out, upgrade the cluster, go on', { timeout: 240_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ropeteam-how-to-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await using redis = await resolveRedis({
    allowFetch: true,
    cacheDirectory: join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'ropeteam'),
    dataDirectory: folder,
    onNotice: () => undefined,
  });
  const [grpc, http, metrics] = await Promise.all([freePort(), freePort(), freePort()]);
  const here: readonly (readonly [string, string])[] = [
    ['/data/runs', join(folder, 'runs')],
    ['50051', String(grpc)],
    ['9464', String(http)],
    ['9465', String(metrics)],
  ];
  const asHere = (line: string): string => here.reduce((text, [from, to]) => text.replaceAll(from, to), line);
  const variables = { ROPETEAM_REDIS_URL: redis.url, ROPETEAM_COORDINATOR: `127.0.0.1:${grpc}` };
  /** A command that goes on until it is ended. */
  const start = (line: string, ...more: readonly string[]): RunningCommand =>
    startCommand([...asHere(line).replace('npx ropeteam ', '').split(' '), ...more], variables);
  const done = (line: string): string => {
    const { status, output } = runBlock(`export ROPETEAM_COORDINATOR=127.0.0.1:${grpc}\n${asHere(line)}`, folder);
    expect({ line, status, output }).toMatchObject({ status: 0 });
    return output;
  };
  const answers = (port: number | undefined): Promise<unknown> =>
    vi.waitFor(async () => expect((await fetch(`http://127.0.0.1:${port}/metrics`)).status).toBe(200), PATIENCE);

  const slow = await linesOf('docs/how-to/find-a-slow-worker.md');
  const upgrade = await linesOf('docs/how-to/upgrade.md');
  const lineWith = (lines: readonly string[], word: string): string => {
    const found = lines.find((line) => line.includes(word));
    if (found === undefined) throw new Error(`no line has ${word}`);
    return found;
  };
  const coordinatorLine = lineWith(upgrade, 'ropeteam coordinator');
  const workerLine = lineWith(slow, 'ropeteam worker');
  const ports = ['--port', String(grpc), '--http-port', String(http)];

  await using first = start(coordinatorLine, ...ports);
  await answers(http);
  await using worker = start(workerLine);
  await answers(metrics);
  const submitted = await runCommand(
    ['submit', DIGITS, '--set', 'train.epochs=100000', '--set', 'checkpoint.every=1s', '--run-id', 'first'],
    variables,
  );
  expect(submitted.code).toBe(0);

  await using watching = start(lineWith(slow, 'watch'), '--json');
  await watching.event('step_committed');
  watching.process.kill('SIGINT');
  await watching.ended;
  const [ofCoordinator = '', ofWorker = ''] = slow.filter((line) => line.startsWith('curl'));
  await vi.waitFor(
    () => expect(done(ofCoordinator)).toMatch(/^ropeteam_worker_sample_seconds\{.*\} [\d.e-]+$/m),
    PATIENCE,
  );
  expect(done(ofWorker)).toMatch(/^ropeteam_worker_block_duration_seconds_sum/m);
  done(lineWith(slow, 'doctor'));
  done(lineWith(slow, 'bench'));
  done(lineWith(slow, 'kill').replace('PID', String(worker.process.pid)));
  await worker.ended;
  await using again = start(workerLine);
  await answers(metrics);

  expect(done(lineWith(upgrade, 'ropeteam runs'))).toMatch(/^first +training/m);
  done(lineWith(upgrade, 'ropeteam stop'));
  for (const part of [again, first]) {
    part.process.kill('SIGTERM');
    await part.ended;
  }
  await using second = start(coordinatorLine, ...ports);
  await answers(http);
  await using upgraded = start(lineWith(upgrade, 'ropeteam worker'), '--metrics-port', String(metrics));
  await answers(metrics);
  await using resumed = start(lineWith(upgrade, 'ropeteam resume'), '--json');
  const { step } = await resumed.event('run_resumed');
  expect(step).toBeGreaterThan(0);
  await resumed.event('step_committed', (event) => event.step > step);
  expect((await runCommand(['stop', 'first'], variables)).code).toBe(0);
  for (const part of [upgraded, second]) {
    part.process.kill('SIGTERM');
    await part.ended;
  }
});
