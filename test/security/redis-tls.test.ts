/** A Redis that speaks TLS, has a user for us, and is of a private authority. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { createAuthority, issueCertificate } from '#protocol';
import { hasRedisServer, startRedisServer } from '../support/redis-server.js';

/** Asks as the services do, in a process that has heard of the authority from its start. */
const ASK = `
import { openWorkQueues } from ${JSON.stringify(fileURLToPath(new URL('../../packages/queues/src/index.js', import.meta.url)))};
try {
  const queues = await openWorkQueues({ redisUrl: process.env.URL, onError: () => undefined });
  await queues.observe();
  await queues[Symbol.asyncDispose]();
  console.log('works');
} catch (error) {
  console.log(error.code, error.message, error.hint);
}`;

async function ask(url: string, authority?: string): Promise<string> {
  const env = {
    PATH: process.env.PATH,
    URL: url,
    ...(authority === undefined ? {} : { NODE_EXTRA_CA_CERTS: authority }),
  };
  const command = ['--input-type=module', '--eval', ASK];
  return (await promisify(execFile)(process.execPath, command, { env, timeout: 20_000 })).stdout;
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

test.skipIf(!hasRedisServer)('S21 rediss:// with a private authority and a user; each refusal has a name', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ropeteam-rediss-'));
  try {
    const authority = await createAuthority({ days: 1 });
    const identity = await issueCertificate(authority, { role: 'coordinator', hosts: ['127.0.0.1'] }, { days: 1 });
    const file = async (name: string, text: string): Promise<string> => {
      await writeFile(join(folder, name), text, { mode: 0o600 });
      return join(folder, name);
    };
    const ca = await file('ca.crt', authority.certificate);
    const hash = createHash('sha256').update('secret').digest('hex');
    const acl = [
      'user default off',
      `user ropeteam on #${hash} ~{ropeteam}* &{ropeteam}* +@all -@admin -@dangerous +info +client`,
      `user guest on #${hash} ~* +ping +hello`,
    ];
    const tlsPort = await freePort();
    await using redis = await startRedisServer([
      ...['--tls-port', String(tlsPort), '--tls-auth-clients', 'no', '--tls-ca-cert-file', ca],
      ...[
        '--tls-cert-file',
        await file('tls.crt', identity.certificate),
        '--tls-key-file',
        await file('tls.key', identity.key),
      ],
      ...['--aclfile', await file('users.acl', `${acl.join('\n')}\n`)],
    ]);
    const tls = (user: string, host = '127.0.0.1') => `rediss://${user}:secret@${host}:${tlsPort}`;
    expect(await ask(tls('ropeteam'), ca)).toBe('works\n');
    expect(await ask(tls('ropeteam'))).toMatch(
      /REDIS.UNREACHABLE .*does not trust its certificate.*NODE_EXTRA_CA_CERTS/,
    );
    expect(await ask(tls('ropeteam', 'localhost'), ca)).toMatch(/not for the name localhost/);
    expect(await ask(tls('nobody'), ca)).toMatch(/refuses this user name or password/);
    expect(await ask(tls('guest'), ca)).toMatch(/may not do what the queues need/);
    expect(await ask(redis.url.replace('redis:', 'rediss:').replace('//', '//ropeteam:secret@'), ca)).toMatch(
      /write redis:\/\//,
    );
    const client = new Redis(redis.url.replace('//', '//ropeteam:secret@'));
    const orders = [client.flushall(), client.config('GET', '*'), client.keys('*'), client.get('other')];
    const forbidden = (await Promise.allSettled(orders)).map((order) =>
      order.status === 'rejected' ? String(order.reason) : 'done',
    );
    client.disconnect();
    for (const answer of forbidden) expect(answer).toContain('NOPERM');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
