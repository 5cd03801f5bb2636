/** TLS on real sockets: who gets in, what each refusal says, and which role may call what. */
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { Client, credentials, Metadata, status } from '@grpc/grpc-js';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type CallRecord, ROLES, type Role } from '#training';
import { callRules, rolesFor } from './call-rules.js';
import { type CoordinatorServerOptions, startCoordinatorServer } from './coordinator-server.js';
import { connectCoordinator } from './coordinator-session.js';
import { type Authority, createAuthority, issueCertificate } from './issue-certificates.js';
import { runMethods, trainingMethods } from './proto-definitions.js';
import { exampleHello, recordingCoordinator } from './recording-coordinator.js';
import { connectClient } from './run-client.js';
import { readTlsIdentity, type TlsIdentity } from './tls-identity.js';

const days = 1;
const longAgo = new Date(Date.now() - 30 * 86_400_000);
const soon = new Date(Date.now() + 30 * 86_400_000);
let authority: Authority;
let other: Authority;
const identities = {} as Record<Role, TlsIdentity>;
beforeAll(async () => {
  authority = await createAuthority({ days: 90, now: longAgo });
  other = await createAuthority({ days });
  for (const role of ROLES) {
    identities[role] = await issueCertificate(
      authority,
      { role, hosts: role === 'coordinator' ? ['127.0.0.1'] : [] },
      { days },
    );
  }
});

const opened: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

async function serverWith(tls: TlsIdentity | undefined, options: Partial<CoordinatorServerOptions> = {}) {
  const refused: string[] = [];
  const records: CallRecord[] = [];
  const server = await startCoordinatorServer({
    host: '127.0.0.1',
    port: 0,
    handlers: recordingCoordinator().handlers,
    uploadsDirectory: '/nonexistent',
    drainMs: 200,
    tls,
    onRefusedHandshake: ({ reason }) => refused.push(reason),
    onCall: (record) => records.push(record),
    ...options,
  });
  opened.push(() => server.close());
  return { address: server.address, refused, records };
}

async function failureOf(address: string, tls: TlsIdentity | undefined) {
  const client = connectClient(address, { tls, connectDeadlineMs: 300 });
  try {
    return await client.list().catch((error: unknown) => error);
  } finally {
    client.close();
  }
}

test('two ends with certificates of one authority meet', async () => {
  const { address } = await serverWith(identities.coordinator);
  const client = connectClient(address, { tls: identities.viewer });
  expect(await client.list()).toHaveLength(1);
  client.close();
});

describe('a connection that cannot be made says why, and what to do', () => {
  test('plaintext to TLS', async () => {
    const { address, refused } = await serverWith(identities.coordinator);
    const failure = await failureOf(address, undefined);
    expect(failure).toMatchObject({ code: 'AUTH.HANDSHAKE', message: expect.stringContaining('it speaks TLS') });
    expect(refused.join()).toContain('it speaks plaintext to a port with TLS');
  });

  test('TLS to plaintext', async () => {
    const { address } = await serverWith(undefined);
    const failure = await failureOf(address, identities.viewer);
    expect(failure).toMatchObject({ code: 'AUTH.HANDSHAKE', message: expect.stringContaining('it speaks plaintext') });
  });

  test('a coordinator of another name, of another time, of another authority, or that is a worker', async () => {
    const hosts = ['127.0.0.1'];
    const coordinator = { role: 'coordinator', hosts } as const;
    const cases: readonly (readonly [string, TlsIdentity])[] = [
      [
        'not for the name 127.0.0.1',
        await issueCertificate(authority, { role: 'coordinator', hosts: ['elsewhere'] }, { days }),
      ],
      ['has expired', await issueCertificate(authority, coordinator, { days, now: longAgo })],
      ['not valid yet', await issueCertificate(authority, coordinator, { days, now: soon })],
      ['another authority', await issueCertificate(other, coordinator, { days })],
      ['not one of a coordinator', await issueCertificate(authority, { role: 'worker', hosts }, { days })],
    ];
    for (const [words, tls] of cases) {
      const { address } = await serverWith(tls);
      const failure = await failureOf(address, identities.viewer);
      expect(failure, words).toMatchObject({ code: 'AUTH.HANDSHAKE', message: expect.stringContaining(words) });
    }
  });

  test('a caller of another time or authority, or without a certificate: it is told little, the log more', async () => {
    const { address, refused } = await serverWith(identities.coordinator);
    const foreign = await issueCertificate(other, { role: 'admin' }, { days });
    const cases: readonly (readonly [string, TlsIdentity])[] = [
      ['has expired', await issueCertificate(authority, { role: 'admin' }, { days, now: longAgo })],
      ['not valid yet', await issueCertificate(authority, { role: 'admin' }, { days, now: soon })],
      ['another authority', { ...foreign, authority: authority.certificate }],
      ['not for clients', identities.coordinator],
    ];
    for (const [words, tls] of cases) {
      refused.length = 0;
      const failure = await failureOf(address, tls);
      const message = expect.stringContaining('does not accept this certificate');
      expect(failure, words).toMatchObject({ code: 'AUTH.HANDSHAKE', message });
      expect(refused.join(), words).toContain(words);
    }
    refused.length = 0;
    const port = Number(address.split(':').at(-1));
    const nameless = connect({ host: '127.0.0.1', port, ca: authority.certificate, ALPNProtocols: ['h2'] });
    nameless.on('error', () => undefined);
    await once(nameless, 'close');
    expect(refused.join()).toContain('shows no certificate');
  });

  test('an older TLS', async () => {
    const { address, refused } = await serverWith(identities.coordinator);
    const port = Number(address.split(':').at(-1));
    const old = connect({ host: '127.0.0.1', port, ca: authority.certificate, maxVersion: 'TLSv1.2' });
    const [error] = await once(old, 'error');
    expect(String(error)).toMatch(/protocol version/);
    expect(refused.join()).toContain('an older TLS');
  });
});

test('a connection ends with its certificate', async () => {
  const ending = new Date(Date.now() - 86_400_000 + 2_500);
  const { address } = await serverWith(identities.coordinator);
  const tls = await issueCertificate(authority, { role: 'worker' }, { days, now: ending });
  const closed = new Promise<string>((resolve) => {
    const handler = { message: () => undefined, closed: resolve };
    const signal = new AbortController().signal;
    void connectCoordinator({ address, tls, hello: exampleHello('w'), handler, signal });
  });
  expect(await closed).toBeTruthy();
});

describe('roles', () => {
  const methods = { ...trainingMethods, ...runMethods };

  test('every method has a rule, and what has none is nobody’s', () => {
    expect(new Set(Object.keys(callRules))).toEqual(new Set(Object.keys(methods)));
    expect(rolesFor('/ropeteam.v1.RunService/DeleteEverything')).toEqual([]);
    expect(rolesFor('/grpc.health.v1.Health/Anything')).toEqual([]);
  });

  test.each(ROLES.filter((role) => role !== 'coordinator'))(
    '%s may call what the table says, and nothing else',
    async (role) => {
      const { address, records } = await serverWith(identities.coordinator);
      const { authority: ca, certificate, key } = identities[role];
      const client = new Client(
        address,
        credentials.createSsl(Buffer.from(ca), Buffer.from(key), Buffer.from(certificate)),
      );
      opened.push(async () => client.close());
      const allowed: string[] = [];
      for (const [name, { path, requestSerialize, responseDeserialize }] of Object.entries(methods)) {
        const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, new Metadata(), {
          deadline: Date.now() + 10_000,
        });
        call.on('error', () => undefined);
        call.on('data', () => undefined);
        call.end(Buffer.alloc(0));
        const code = await new Promise((ended) => call.once('status', (end) => ended(end.code)));
        if (code !== status.PERMISSION_DENIED) allowed.push(name);
      }
      const expected = Object.entries(callRules).filter(([, roles]) => roles.includes(role));
      expect(new Set(allowed)).toEqual(new Set(expected.map(([name]) => name)));
      const refusals = records.filter(({ outcome }) => outcome === 'AUTH.ROLE');
      expect(refusals).toHaveLength(Object.keys(methods).length - expected.length);
    },
  );

  test('a certificate of a worker joins by its own name alone', async () => {
    const { address, records } = await serverWith(identities.coordinator);
    const tls = await issueCertificate(authority, { role: 'worker', name: 'w1' }, { days });
    const joining = (name: string) =>
      connectCoordinator({
        address,
        tls,
        hello: exampleHello(name),
        handler: { message: () => undefined, closed: () => undefined },
        signal: new AbortController().signal,
      });
    await expect(joining('w2')).rejects.toMatchObject({ code: 'AUTH.NAME', facts: { worker: 'w2' } });
    const session = await joining('w1');
    await session[Symbol.asyncDispose]();
    expect(records.map(({ subject, outcome }) => [subject, outcome])).toEqual([
      ['w2', 'AUTH.NAME'],
      ['w1', 'done'],
    ]);
    expect(records[1]?.caller).toMatchObject({ role: 'worker', workers: ['w1'] });
  });
});

test('files that cannot be used are refused by name', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ropeteam-tls-'));
  opened.push(() => rm(folder, { recursive: true }));
  const put = async ({ authority: ca, certificate, key }: TlsIdentity, mode = 0o600) => {
    for (const [name, text] of Object.entries({ 'ca.crt': ca, 'tls.crt': certificate, 'tls.key': key })) {
      await rm(join(folder, name), { force: true });
      await writeFile(join(folder, name), text, { mode });
    }
  };
  expect(() => readTlsIdentity(folder)).toThrow(/ca\.crt cannot be read/);
  await put(await issueCertificate(authority, { role: 'worker' }, { days, now: longAgo }));
  expect(() => readTlsIdentity(folder)).toThrow(/tls\.crt has expired/);
  await put(await issueCertificate(authority, { role: 'worker' }, { days, now: soon }));
  expect(() => readTlsIdentity(folder)).toThrow(/tls\.crt is not valid before/);
  await put({ ...identities.worker, authority: other.certificate });
  expect(() => readTlsIdentity(folder)).toThrow(/tls\.crt was signed by another authority/);
  await put({ ...identities.worker, key: identities.viewer.key });
  expect(() => readTlsIdentity(folder)).toThrow(/tls\.key is not the key of tls\.crt/);
  await put(identities.worker, 0o644);
  expect(() => readTlsIdentity(folder)).toThrow(/tls\.key can be read by every user/);
  await put(identities.worker, 0o640);
  expect(readTlsIdentity(folder)).toEqual(identities.worker);
});

test('of many silent connections the longest goes, and one that speaks stays', async () => {
  const { address } = await serverWith(undefined);
  const port = Number(address.split(':').at(-1));
  const client = connectClient(address);
  expect(await client.list()).toHaveLength(1);
  const silent = Array.from({ length: 70 }, () => createConnection({ host: '127.0.0.1', port }));
  for (const socket of silent) socket.on('error', () => undefined).resume();
  const [first] = silent;
  if (first !== undefined) await once(first, 'close');
  expect(await client.list()).toHaveLength(1);
  client.close();
  for (const socket of silent) socket.destroy();
});

test.each(['plaintext', 'TLS'])(
  'over %s a connection that began a call is not taken for a silent one',
  async (wire) => {
    const secure = wire === 'TLS';
    const { address } = await serverWith(secure ? identities.coordinator : undefined, { limits: { firstCallMs: 300 } });
    let over: string | undefined;
    const session = await connectCoordinator({
      address,
      tls: secure ? identities.worker : undefined,
      hello: exampleHello('w1'),
      handler: {
        message: () => undefined,
        closed: (reason) => {
          over = reason;
        },
      },
      signal: new AbortController().signal,
    });
    const silent = createConnection({ host: '127.0.0.1', port: Number(address.split(':').at(-1)) });
    silent.on('error', () => undefined).resume();
    await once(silent, 'close');
    const client = connectClient(address, { tls: secure ? identities.viewer : undefined });
    expect(await client.list()).toHaveLength(1);
    client.close();
    expect(over, 'the session, which is older than the one that was cut').toBeUndefined();
    await session[Symbol.asyncDispose]();
  },
);
