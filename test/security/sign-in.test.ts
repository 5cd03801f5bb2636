/** Who gets in where, as an operator sets it up: refusals at the start, join tokens, the audit log, and secrets that stay secret. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, expect, test } from 'vitest';
import { connectClient } from '#protocol';
import { readConfiguration as readCoordinator } from '../../services/coordinator/src/configuration.js';
import { readConfiguration as readWorker } from '../../services/worker/src/configuration.js';
import { certs, makeCertificates } from '../support/certificates.js';
import { startTestCluster, type TestCluster } from '../support/cluster.js';
import { digitsJob } from '../support/jobs.js';
import { hasRedisServer, startRedisServer } from '../support/redis-server.js';

const MAIN = fileURLToPath(new URL('../../cli/src/main.js', import.meta.url));
const DEADLINE_MS = 90_000;
const job = digitsJob({ epochs: 3, microBatches: 4 });

const opened: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
}, DEADLINE_MS);

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ropeteam-sign-in-'));
  opened.push(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function started(options: Parameters<typeof startTestCluster>[0]): Promise<TestCluster> {
  const cluster = await startTestCluster(options);
  opened.push(async () => await cluster[Symbol.asyncDispose]());
  return cluster;
}

/** The command with no settings but these. */
async function ropeteam(words: readonly string[], environment: Readonly<Record<string, string>> = {}) {
  const env = { PATH: process.env.PATH, ...environment };
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [MAIN, ...words], { env, timeout: 30_000 });
    return { code: 0, text: stdout + stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, text: stdout + stderr };
  }
}

const redis = { ROPETEAM_REDIS_URL: 'redis://127.0.0.1:1' };

test.each([
  ['a coordinator', () => readCoordinator(['--host', '0.0.0.0'], redis)],
  ['its page', () => readCoordinator(['--http-host', '0.0.0.0'], redis)],
  ['a worker', () => readWorker(['--coordinator', '192.0.2.1:50051'], redis)],
  ['its metrics', () => readWorker(['--metrics-host', '0.0.0.0'], redis)],
  ['a Redis', () => readWorker([], { ROPETEAM_REDIS_URL: 'redis://192.0.2.1:6379' })],
] as const)('S1 beyond this machine %s does not start in plaintext, unless the user insists', (_, read) => {
  expect(read).toThrow(
    expect.objectContaining({ code: 'AUTH.TLS_REQUIRED', hint: expect.stringContaining('--insecure') }),
  );
  expect(readWorker(['--insecure', '--metrics-host', '::'], redis).leftOpen).toEqual(['--metrics-host']);
  expect(readCoordinator(['--host', '::'], { ...redis, ROPETEAM_INSECURE: '1' }).leftOpen).toEqual([
    '--host',
    '--http-host',
  ]);
});

test('S1 a client and a service say what to do, and end', async () => {
  for (const words of [
    ['coordinator', '--host', '0.0.0.0'],
    ['resume', '--coordinator', '192.0.2.1:50051'],
  ]) {
    const { code, text } = await ropeteam(words, redis);
    expect(code).toBe(3);
    expect(text).toContain('AUTH.TLS_REQUIRED');
    expect(text).toContain('--tls');
  }
});

test('S1 whoever insists is told at every start, and in a metric', async () => {
  const lines: string[] = [];
  const cluster = await started({
    workers: 0,
    coordinatorArgs: ['--host', '0.0.0.0', '--insecure'],
    onLog: (text) => void lines.push(text),
  });
  expect(lines.join('')).toContain('"event":"left_open","insecure":"--host, --http-host"');
  expect(await (await fetch(`${cluster.http}/metrics`)).text()).toContain('ropeteam_insecure 1');
  const calm = await started({ workers: 0 });
  expect(await (await fetch(`${calm.http}/metrics`)).text()).toContain('ropeteam_insecure 0');
});

test('S4, S37 a token lets one certificate in, once; the audit log has who did what', {
  timeout: DEADLINE_MS,
}, async () => {
  const folder = await newFolder();
  const set = makeCertificates(join(folder, 'certs'));
  const tokens = join(folder, 'join-tokens');
  await mkdir(join(tokens, 'admitted'), { recursive: true });
  for (const name of ['w1', 'w2']) certs('issue', 'worker', '--dir', set.folder, '--name', name);
  const [w1, w2] = ['w1', 'w2'].map((name) => join(set.folder, `worker-${name}`)) as [string, string];
  const reasons: string[] = [];
  const cluster = await started({
    workers: 0,
    certificates: set.folder,
    coordinatorArgs: ['--join-tokens', tokens],
    onLog: (text) =>
      void reasons.push(
        ...[...text.matchAll(/"worker_not_admitted".*"reason":"([^"]*)"/g)].map(([, reason = '']) => reason),
      ),
  });
  const refused = async (name: string, tls: string) => await cluster.refusedWorker(['--name', name, '--tls', tls]);

  expect((await refused('w1', w1)).stderr).toContain('AUTH.JOIN');
  certs('token', '--worker', w1, '--join-tokens', tokens);
  await writeFile(join(w2, 'join.token'), await readFile(join(w1, 'join.token')));
  expect((await refused('w2', w2)).stderr, 'a token that was stolen').toContain('AUTH.JOIN');
  expect((await refused('w3', w1)).stderr, 'another name').toContain('AUTH.NAME');
  const worker = await cluster.startWorker({ name: 'w1', tls: w1 });
  const { weightsSha256 } = await cluster.finish(job);
  await cluster.killWorker(worker);
  await rm(join(w1, 'join.token'));
  await cluster.startWorker({ name: 'w1', tls: w1 });
  expect((await cluster.finish(job)).weightsSha256, 'it came back without').toBe(weightsSha256);
  expect((await refused('w2', w2)).stderr, 'a token that was used').toContain('AUTH.JOIN');
  expect(reasons).toEqual(['no token', 'token of another certificate', 'unknown or used token']);

  const audit = join(cluster.runsDirectory, 'audit.ndjson');
  await cluster.client.list();
  await expect
    .poll(async () => (await readFile(audit, 'utf8')).match(/"call":"session","subject":"w1","outcome":"done"/g))
    .toHaveLength(2);
  const text = await readFile(audit, 'utf8');
  expect(text).toMatch(
    /"call":"submitRun","subject":"digits-[^"]*","outcome":"done","peer":"[^"]*","role":"submitter"/,
  );
  expect(text).toMatch(/"call":"session","subject":"w2","outcome":"AUTH.JOIN"/);
  expect(text).toMatch(/"call":"session","subject":"w3","outcome":"AUTH.NAME"/);
  expect(await ropeteam(['verify', audit])).toMatchObject({
    code: 0,
    text: expect.stringContaining('the chain is whole'),
  });
  const forged = join(folder, 'audit.ndjson');
  await writeFile(forged, text.replace('"AUTH.JOIN"', '"done"'));
  expect(await ropeteam(['verify', forged])).toMatchObject({ code: 1, text: expect.stringContaining('line 1') });
});

test.skipIf(!hasRedisServer)(
  'S21, S22, S27 secrets are in no output, and Redis needs no more than its ACL',
  { timeout: DEADLINE_MS },
  async () => {
    const folder = await newFolder();
    const set = makeCertificates(join(folder, 'certs'));
    const password = 'canary-of-the-redis-0123456789abcdef';
    const rule = /^user ropeteam on #SHA256_OF_THE_PASSWORD (.*)$/m.exec(
      await readFile(fileURLToPath(new URL('../../../docs/security.md', import.meta.url)), 'utf8'),
    )?.[1];
    const hash = createHash('sha256').update(password).digest('hex');
    await writeFile(join(folder, 'users.acl'), `user default off\nuser ropeteam on #${hash} ${rule}\n`);
    await using redis = await startRedisServer(['--aclfile', join(folder, 'users.acl')]);
    const url = redis.url.replace('//', `//ropeteam:${password}@`);
    const output: string[] = [];
    {
      await using cluster = await startTestCluster({
        workers: 2,
        certificates: set.folder,
        redisUrl: url,
        coordinatorArgs: ['--http-tokens', join(set.folder, 'http-tokens')],
        onLog: (text) => void output.push(text),
      });
      await cluster.finish(job);
      const viewer = connectClient(cluster.grpc, { tls: set.identities.viewer });
      await viewer.stop('digits' as never, 'x').catch((error: unknown) => output.push(String(error)));
      viewer.close();
      for (const [path, token] of [
        ['/metrics', set.tokens.metrics],
        ['/api/status', set.tokens.viewer],
      ] as const) {
        const response = await fetch(cluster.http + path, { headers: { authorization: `Bearer ${token}` } });
        expect(response.status).toBe(200);
        output.push(await response.text());
      }
      for (const { pid } of [cluster.coordinator, ...cluster.workers.map((worker) => worker.process)]) {
        output.push(await readFile(`/proc/${pid}/cmdline`, 'utf8'));
      }
      for (const entry of await readdir(cluster.runsDirectory, { recursive: true, withFileTypes: true })) {
        if (entry.isFile()) output.push(await readFile(join(entry.parentPath, entry.name), 'latin1'));
      }
      // A worker that is killed, and one that cannot start: failures talk most.
      const [victim] = cluster.workers;
      if (victim !== undefined) await cluster.killWorker(victim);
      output.push((await cluster.refusedWorker(['--name', 'lost', '--tls', join(set.folder, 'viewer')])).stderr);
    }
    const wrong = { ROPETEAM_REDIS_URL: url.replace('canary', 'canary-wrong') };
    output.push(
      (await ropeteam(['coordinator', '--port', '0', '--http-port', '0', '--runs', join(folder, 'r')], wrong)).text,
    );
    const keyBody = set.identities.worker.key.split('\n')[1] ?? '';
    const all = output.join('\n');
    expect(all.length).toBeGreaterThan(10_000);
    for (const secret of ['canary', set.tokens.viewer, set.tokens.metrics, keyBody, 'PRIVATE KEY']) {
      expect(secret.length).toBeGreaterThan(5);
      expect(all.includes(secret), `${secret.slice(0, 6)}…`).toBe(false);
    }
  },
);
