import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import http2 from 'node:http2';
import { connect } from 'node:net';
import { Server } from '@grpc/grpc-js';
import { service as healthService } from 'grpc-health-check';
import { afterEach, expect, test } from 'vitest';
import { PROTOCOL_VERSION } from '#training';
import { openChannel } from './channel.js';
import { LIVENESS_SERVICE, startCoordinatorServer } from './coordinator-server.js';
import { connectCoordinator } from './coordinator-session.js';
import { listen } from './listener.js';
import { RUN_SERVICE, sessionRequest, TRAINING_SERVICE, trainingMethods } from './proto-definitions.js';
import { RECEIVE_WINDOW_BYTES, withReceiveWindow } from './receive-window.js';
import { exampleHello, recordingCoordinator } from './recording-coordinator.js';
import { connectClient } from './run-client.js';

const opened: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

async function serve(options: { readonly silenceMs?: number } = {}) {
  const coordinator = recordingCoordinator();
  const handlers = coordinator.handlers;
  const fixed = { host: '127.0.0.1', port: 0, handlers, uploadsDirectory: '/nonexistent', drainMs: 200 };
  const server = await startCoordinatorServer({ ...fixed, ...options });
  opened.push(() => server.close());
  return { coordinator, server };
}

test('the receive window of a connection and of its streams is 16 MiB on the server', async () => {
  const listener = await listen(new Server(), {
    host: '127.0.0.1',
    port: 0,
    onRefusedHandshake: () => undefined,
    onExcess: () => undefined,
    firstCallMs: 10_000,
    maxConnections: 4,
  });
  opened.push(() => listener.close());
  const arrived = once(listener.http2Server, 'session');
  const client = http2.connect(`http://${listener.address}`);
  opened.push(() => client.destroy());
  const [settings] = await once(client, 'remoteSettings');
  const [session] = (await arrived) as [http2.ServerHttp2Session]; // what Node documents for this event
  expect(settings.initialWindowSize).toBe(16 << 20);
  expect(session.state.localWindowSize).toBe(16 << 20);
  expect(session.state.effectiveLocalWindowSize).toBe(16 << 20);
});

test('other users of http2 get the window they would have had, before, meanwhile and afterwards', () => {
  const before = http2.createServer;
  const { http2Server } = withReceiveWindow(RECEIVE_WINDOW_BYTES, () => http2.createServer({}));
  http2Server.close();
  expect(http2.createServer).toBe(before);
  expect(() =>
    withReceiveWindow(1, () => {
      throw new Error('failed');
    }),
  ).toThrow('failed');
  expect(http2.createServer).toBe(before);
});

test('a grpc-js that no longer creates its server in that call is noticed', () => {
  expect(() => withReceiveWindow(1, () => undefined)).toThrow(/receive window cannot be set/);
});

test('health is NOT_SERVING until the coordinator says otherwise, for each service and for all', async () => {
  const { server } = await serve();
  const channel = openChannel(server.address);
  opened.push(() => channel.close());
  const { Check } = healthService;
  assert.ok(Check);
  const health = async (service: string): Promise<unknown> => {
    const request = Check.requestSerialize({ service });
    const bytes = await channel.unary({ ...trainingMethods.session, path: Check.path }, request, 2000);
    return (Check.responseDeserialize(bytes) as { status: string }).status; // health.proto
  };
  for (const service of ['', TRAINING_SERVICE, RUN_SERVICE]) expect(await health(service)).toBe('NOT_SERVING');
  server.setServing(true);
  for (const service of ['', TRAINING_SERVICE, RUN_SERVICE]) expect(await health(service)).toBe('SERVING');
  server.setServing(false);
  expect(await health('')).toBe('NOT_SERVING');
  expect(await health(LIVENESS_SERVICE)).toBe('SERVING'); // not ready, and no reason to be ended
});

test('a method that does not exist says that the versions differ', async () => {
  const { server } = await serve();
  const channel = openChannel(server.address);
  opened.push(() => channel.close());
  const unknown = { ...trainingMethods.session, path: '/ropeteam.v9.TrainingService/Session' };
  await expect(channel.unary(unknown, Buffer.alloc(0), 2000)).rejects.toMatchObject({
    code: 'WORKER.PROTOCOL_MISMATCH',
  });
});

/** One gRPC call by hand: the bytes of its body as they are, the trailers it ends with. */
async function rawCall(address: string, path: string, body: Buffer): Promise<http2.IncomingHttpHeaders> {
  const session = http2.connect(`http://${address}`);
  try {
    const headers = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' };
    const stream = session.request(headers);
    const end = new Promise<http2.IncomingHttpHeaders>((resolve, reject) => {
      stream.on('response', (answer) => {
        if (answer['grpc-status'] !== undefined) resolve(answer);
      });
      stream.on('trailers', resolve);
      stream.on('error', reject);
    });
    stream.resume();
    stream.end(body);
    return await end;
  } finally {
    session.destroy();
  }
}

function framed(message: Uint8Array, claimed = message.length, compressed = 0): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt8(compressed);
  prefix.writeUInt32BE(claimed, 1);
  return Buffer.concat([prefix, message]);
}

const session = trainingMethods.session.path;
const heartbeat = sessionRequest.encode({ heartbeat: { residentBytes: 1 } });

test.each([
  ['bytes that are no message', session, framed(Buffer.from('ffffffffff', 'hex')), 'DATA_LOSS', 15],
  ['a first message that is no hello', session, framed(heartbeat), 'FAILED_PRECONDITION', 9],
  ['an empty message', session, framed(Buffer.alloc(0)), 'INVALID_ARGUMENT', 3],
  [
    'a hello with a broken field',
    session,
    framed(sessionRequest.encode({ hello: { protocolVersion: PROTOCOL_VERSION, workerId: '\u001b[31m' } })),
    'INVALID_ARGUMENT',
    3,
  ],
  ['a length of 3.9 GB', session, framed(heartbeat, 0xe8000000), 'RESOURCE_EXHAUSTED', 8],
  ['5 MB', session, framed(Buffer.alloc(5 << 20)), 'RESOURCE_EXHAUSTED', 8],
  ['compressed garbage', session, framed(heartbeat, heartbeat.length, 1), 'INTERNAL or UNIMPLEMENTED', undefined],
  ['no message for a unary call', '/ropeteam.v1.RunService/StopRun', Buffer.alloc(0), 'UNIMPLEMENTED', 12],
  ['garbage for a unary call', '/ropeteam.v1.RunService/StopRun', framed(Buffer.from('0aff', 'hex')), 'DATA_LOSS', 15],
  ['garbage for a watch', '/ropeteam.v1.RunService/WatchRun', framed(Buffer.from('0aff', 'hex')), 'DATA_LOSS', 15],
  [
    'a split that is none',
    trainingMethods.fetchShard.path,
    framed(Buffer.from('0a0161', 'hex')),
    'INVALID_ARGUMENT',
    3,
  ],
])('%s ends the call with a status and leaves the server alive', async (_what, path, body, _name, code) => {
  const { server, coordinator } = await serve();
  const trailers = await rawCall(server.address, path, body);
  if (code === undefined) expect(Number(trailers['grpc-status'])).toBeGreaterThan(0);
  else expect(trailers['grpc-status']).toBe(String(code));
  expect(coordinator.sessions).toEqual([]);
  await expectAlive(server.address);
});

test('a worker that says nothing after connecting is let go', async () => {
  const { server } = await serve({ silenceMs: 100 });
  const client = http2.connect(`http://${server.address}`);
  opened.push(() => client.destroy());
  const stream = client.request({
    ':method': 'POST',
    ':path': session,
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  stream.on('error', () => stream.destroy());
  stream.resume();
  await once(stream, 'close');
  await expectAlive(server.address);
});

test.each([
  ['HTTP/1.1', 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'],
  ['a TLS hello', Buffer.from('16030100c8010000c40303', 'hex')],
  ['noise', Buffer.from(Array.from({ length: 4096 }, (_, index) => (index * 167) & 255))],
])('%s on the port closes that connection and nothing else', async (_what, bytes) => {
  const { server } = await serve();
  const [host, port] = server.address.split(':');
  const socket = connect(Number(port), host);
  socket.on('error', () => socket.destroy());
  socket.resume();
  socket.write(bytes);
  await once(socket, 'close');
  await expectAlive(server.address);
});

test('the bytes on the wire are counted in both directions', async () => {
  const { server, coordinator } = await serve();
  const worker = await connectCoordinator({
    address: server.address,
    hello: exampleHello('worker-1'),
    signal: new AbortController().signal,
    handler: { message: () => undefined, closed: () => undefined },
  });
  const before = server.wireBytes();
  worker.send({ kind: 'draining', reason: 'x'.repeat(4000) });
  await coordinator.until(() => coordinator.messages.length > 0);
  expect(server.wireBytes().received - before.received).toBeGreaterThan(4000);
  expect(before.sent).toBeGreaterThan(0);
  const open = server.wireBytes();
  await worker[Symbol.asyncDispose]();
  await coordinator.until(() => coordinator.ends.length === 1);
  expect(server.wireBytes().received).toBeGreaterThanOrEqual(open.received);
});

test('more calls than allowed on one connection wait, and the connection survives', async () => {
  const { server } = await serve();
  const client = http2.connect(`http://${server.address}`);
  opened.push(() => client.destroy());
  const [settings] = await once(client, 'remoteSettings');
  expect(settings.maxConcurrentStreams).toBe(64);
});

async function expectAlive(address: string): Promise<void> {
  const client = connectClient(address);
  try {
    expect(await client.list()).toHaveLength(1);
  } finally {
    client.close();
  }
}
