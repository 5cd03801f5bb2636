import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import {
  type CoordinatorMessage,
  type CoordinatorSession,
  FRAME_BYTES,
  fence,
  type GradientFrame,
  RopeteamError,
  runId,
  step,
} from '#training';
import { type CoordinatorServerOptions, startCoordinatorServer } from './coordinator-server.js';
import { connectCoordinator } from './coordinator-session.js';
import { damagingRelay } from './damaging-relay.fixture.js';
import { encodeGradientFrame, encodeWeights } from './frames.js';
import { exampleHello, examplePlan, type RecordingCoordinator, recordingCoordinator } from './recording-coordinator.js';

const run = runId('digits-7f3a');
const opened: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

async function serverFor(coordinator: RecordingCoordinator, options: Partial<CoordinatorServerOptions> = {}) {
  const server = await startCoordinatorServer({
    host: '127.0.0.1',
    port: 0,
    handlers: coordinator.handlers,
    uploadsDirectory: '/nonexistent',
    drainMs: 500,
    ...options,
  });
  opened.push(() => server.close());
  return server;
}

async function relayTo(address: string) {
  const relay = await damagingRelay(address);
  opened.push(() => relay.close());
  return relay;
}

/** A worker that writes down what it hears. */
async function worker(address: string, name: string, hear: (message: CoordinatorMessage) => void = () => undefined) {
  const messages: CoordinatorMessage[] = [];
  let tellClosed: (reason: string) => void = () => undefined;
  const closed = new Promise<string>((resolve) => {
    tellClosed = resolve;
  });
  let tellNext: (() => void) | undefined;
  const session = await connectCoordinator({
    address,
    hello: exampleHello(name),
    signal: new AbortController().signal,
    handler: {
      message: (message) => {
        hear(message);
        messages.push(message);
        tellNext?.();
      },
      closed: (reason) => tellClosed(reason),
    },
  });
  opened.push(async () => await session[Symbol.asyncDispose]());
  const until = async (condition: () => boolean) => {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        tellNext = resolve;
      });
    }
  };
  return { session, messages, closed, until };
}

test('a worker is welcomed first, hears what the coordinator sent while it joined, and sees no other session', async () => {
  const coordinator = recordingCoordinator({
    joined: (session) => session.send({ kind: 'run-started', plan: examplePlan }),
  });
  const { address } = await serverFor(coordinator, { silenceMs: 800 });
  let session: CoordinatorSession | undefined;
  const heardWith: (CoordinatorSession | undefined)[] = [];
  const one = await worker(address, 'worker-1', () => heardWith.push(session));
  session = one.session;
  await one.until(() => one.messages.length === 2);
  expect(one.messages).toEqual([
    { kind: 'welcome', coordinator: 'coordinator', heartbeatMs: 200, silenceMs: 800 },
    { kind: 'run-started', plan: examplePlan },
  ]);
  expect(heardWith[1], 'the caller had its session when the second message came').toBe(one.session);
  expect(coordinator.sessions.map(({ hello }) => hello)).toEqual([exampleHello('worker-1')]);
});

test('messages of a worker arrive in order', async () => {
  const coordinator = recordingCoordinator();
  const { address } = await serverFor(coordinator);
  const { session } = await worker(address, 'worker-1');
  const sent = Array.from(
    { length: 50 },
    (_, index) => ({ kind: 'job-taken', itemId: `i${index}`, token: 't' }) as const,
  );
  for (const message of sent) session.send(message);
  await coordinator.until(() => coordinator.messages.length >= sent.length);
  expect(coordinator.messages.filter(({ kind }) => kind === 'job-taken')).toEqual(sent);
});

test('a refused worker gets the very error the coordinator threw', async () => {
  const reason = new RopeteamError(
    'WORKER.KERNEL_MISMATCH',
    { expected: 'wasm-simd128/1', found: 'js/1' },
    'the run computes with wasm-simd128/1 — ☃',
    { hint: 'Start the worker with --kernel wasm.' },
  );
  const coordinator = recordingCoordinator({
    joined: () => {
      throw reason;
    },
  });
  const { address } = await serverFor(coordinator);
  const refused = await worker(address, 'worker-1').catch((error: unknown) => error);
  assert.ok(refused instanceof RopeteamError);
  const { code, facts, message, hint } = refused;
  expect({ code, facts, message, hint }).toEqual({
    code: reason.code,
    facts: reason.facts,
    message: reason.message,
    hint: reason.hint,
  });
  expect(coordinator.ends).toEqual([]);
});

test('a worker of another protocol version is refused with both versions', async () => {
  const coordinator = recordingCoordinator();
  const { address } = await serverFor(coordinator);
  const attempt = connectCoordinator({
    address,
    hello: { ...exampleHello('worker-1'), protocolVersion: 99 },
    signal: new AbortController().signal,
    handler: { message: () => undefined, closed: () => undefined },
  });
  await expect(attempt).rejects.toMatchObject({
    code: 'WORKER.PROTOCOL_MISMATCH',
    facts: { expected: 'protocol 2', found: 'protocol 99' },
  });
  expect(coordinator.sessions).toEqual([]);
});

test('nobody there is COORDINATOR.UNREACHABLE with the address, at the deadline', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const bound = server.address();
  assert.ok(bound !== null && typeof bound === 'object');
  const address = `127.0.0.1:${bound.port}`;
  server.close();
  await once(server, 'close');
  const attempt = connectCoordinator({
    address,
    hello: exampleHello('worker-1'),
    signal: new AbortController().signal,
    handler: { message: () => undefined, closed: () => undefined },
    connectDeadlineMs: 100,
  });
  await expect(attempt).rejects.toMatchObject({ code: 'COORDINATOR.UNREACHABLE', facts: { address } });
});

test('an address that is not host:port is refused before anything connects', async () => {
  for (const address of ['localhost', 'http://localhost:7233', '127.0.0.1:0', '127.0.0.1:99999', 'a b:1']) {
    await expect(worker(address, 'worker-1')).rejects.toMatchObject({
      code: 'COORDINATOR.ADDRESS',
      facts: { address },
    });
  }
});

test('one encoding of the weights reaches three workers bit for bit', async () => {
  const coordinator = recordingCoordinator();
  const { address } = await serverFor(coordinator);
  const workers = await Promise.all(['a', 'b', 'c'].map((name) => worker(address, name)));
  const weights = Float32Array.from({ length: (5 << 20) / 4 + 3 }, (_, index) => Math.fround(Math.sin(index)));
  const encoded = encodeWeights({ run, fence: fence(1), version: step(4) }, weights);
  for (const session of coordinator.sessions) session.sendWeights(encoded);
  for (const one of workers) {
    const frames = () => one.messages.flatMap((message) => (message.kind === 'weights-frame' ? [message.frame] : []));
    await one.until(() => frames().length === encoded.frames.length);
    const received = new Uint8Array(weights.byteLength);
    for (const frame of frames()) received.set(frame.payload, frame.offset);
    expect(Buffer.compare(received, new Uint8Array(weights.buffer))).toBe(0);
  }
});

test('a gradient of 32 MiB arrives whole although its memory is overwritten as soon as it was handed over', async () => {
  const length = (32 << 20) / 4;
  const received = new Uint8Array(4 * length);
  let arrived = 0;
  const coordinator = recordingCoordinator({
    received: (message) => {
      if (message.kind !== 'gradient-frame') return;
      received.set(message.frame.payload, message.frame.offset);
      arrived += message.frame.payload.length;
    },
  });
  const { address } = await serverFor(coordinator);
  const { session } = await worker(address, 'worker-1');
  const gradient = new Float32Array(new SharedArrayBuffer(4 * length));
  for (let index = 0; index < length; index++) gradient[index] = index;
  const expected = Buffer.from(new Uint8Array(gradient.buffer)); // a copy
  await session.sendGradient({ run, fence: fence(1), step: step(0), block: { begin: 0, end: 4 } }, gradient);
  gradient.fill(Number.NaN);
  session.send({ kind: 'draining', reason: 'the last message' });
  await coordinator.until(() => coordinator.messages.some(({ kind }) => kind === 'draining'));
  expect(arrived).toBe(received.length);
  expect(Buffer.compare(received, expected)).toBe(0);
});

test('a frame that was damaged on its way ends the session with WIRE.CORRUPT, and the next one begins anew', async () => {
  const coordinator = recordingCoordinator();
  const { address } = await serverFor(coordinator);
  const relay = await relayTo(address);
  const { session, closed } = await worker(relay.address, 'worker-1');
  relay.damageNext(exampleGradientFrame.payload);
  await session.sendGradient(exampleGradientFrame, new Float32Array(exampleGradientFrame.payload.slice().buffer));
  await expect(closed).resolves.toMatch(/CRC-32/);
  await coordinator.until(() => coordinator.ends.length === 1);
  expect(coordinator.ends[0]?.reason).toMatch(/CRC-32/);
  expect(coordinator.messages.filter(({ kind }) => kind === 'gradient-frame')).toEqual([]);
  await worker(address, 'worker-1');
  expect(coordinator.sessions).toHaveLength(2);
});

test('a gradient that cannot be sent rejects once the session is gone', async () => {
  const coordinator = recordingCoordinator({ received: (_message, session) => session.close('enough') });
  const { address } = await serverFor(coordinator);
  const { session, closed } = await worker(address, 'worker-1');
  const key = { run, fence: fence(1), step: step(0), block: { begin: 0, end: 4 } };
  const sending = session.sendGradient(key, new Float32Array((64 << 20) / 4));
  await expect(sending).rejects.toMatchObject({ code: 'COORDINATOR.UNREACHABLE' });
  await expect(closed).resolves.toBe('enough');
  await expect(session.sendGradient(key, new Float32Array(1))).rejects.toMatchObject({
    code: 'COORDINATOR.UNREACHABLE',
  });
});

test('a worker that leaves is told apart from one that is lost', async () => {
  const coordinator = recordingCoordinator();
  const { address } = await serverFor(coordinator);
  const { session } = await worker(address, 'worker-1');
  await session[Symbol.asyncDispose]();
  await coordinator.until(() => coordinator.ends.length === 1);
  expect(coordinator.ends).toEqual([{ worker: 'worker-1', reason: 'the worker left', detectedInMs: 0 }]);
});

test('a connection that breaks is a lost worker at once, on both sides', async () => {
  const coordinator = recordingCoordinator();
  const { address } = await serverFor(coordinator, { silenceMs: 60_000 });
  const relay = await relayTo(address);
  const { closed } = await worker(relay.address, 'worker-1');
  relay.cut();
  await coordinator.until(() => coordinator.ends.length === 1);
  expect(coordinator.ends).toEqual([{ worker: 'worker-1', reason: 'the connection was lost', detectedInMs: 0 }]);
  await expect(closed).resolves.toMatch(/lost the connection/);
});

test('a worker that falls silent is lost after the agreed time, and so is a coordinator', async () => {
  const coordinator = recordingCoordinator();
  const { address } = await serverFor(coordinator, { silenceMs: 300 });
  const relay = await relayTo(address);
  const { closed } = await worker(relay.address, 'worker-1');
  await coordinator.until(() => coordinator.messages.some(({ kind }) => kind === 'heartbeat'));
  relay.pause();
  await coordinator.until(() => coordinator.ends.length === 1);
  expect(coordinator.ends[0]?.reason).toMatch(/^silent for \d+ ms$/);
  expect(coordinator.ends[0]?.detectedInMs).toBeGreaterThanOrEqual(300);
  await expect(closed).resolves.toMatch(/^silent for \d+ ms$/);
});

test('heartbeats keep an idle session open', async () => {
  const coordinator = recordingCoordinator();
  const { address } = await serverFor(coordinator, { silenceMs: 300 });
  await worker(address, 'worker-1');
  const beats = () => coordinator.messages.filter(({ kind }) => kind === 'heartbeat');
  await coordinator.until(() => beats().length >= 8); // 8 × 75 ms: twice the silence
  expect(coordinator.ends).toEqual([]);
  for (const beat of beats()) assert.ok(beat.kind === 'heartbeat' && beat.residentBytes > 1 << 20);
});

test('a worker that reads nothing is dropped instead of filling memory', async () => {
  const coordinator = recordingCoordinator();
  const { address } = await serverFor(coordinator, { silenceMs: 60_000, limits: { maxQueuedBytes: 1 << 20 } });
  const relay = await relayTo(address);
  await worker(relay.address, 'worker-1');
  relay.pause();
  const weights = new Float32Array((16 * FRAME_BYTES) / 4);
  for (let version = 0; version < 8; version++) {
    coordinator.sessions[0]?.sendWeights(encodeWeights({ run, fence: fence(1), version: step(version) }, weights));
  }
  await coordinator.until(() => coordinator.ends.length === 1);
  expect(coordinator.ends[0]?.reason).toMatch(/does not keep up/);
});

test('a handler that fails ends its session, is reported, and tells the worker nothing of it', async () => {
  const failures: unknown[] = [];
  const coordinator = recordingCoordinator({
    received: () => {
      throw new TypeError('secret detail');
    },
  });
  const { address } = await serverFor(coordinator, { onUnexpectedError: (error) => failures.push(error) });
  const { session, closed } = await worker(address, 'worker-1');
  session.send({ kind: 'draining', reason: 'test' });
  expect(await closed).not.toMatch(/secret/);
  expect(failures).toEqual([new TypeError('secret detail')]);
});

test('closing the server says goodbye to workers and frees its port', async () => {
  const coordinator = recordingCoordinator();
  const server = await serverFor(coordinator, { drainMs: 20_000 });
  const { closed } = await worker(server.address, 'worker-1');
  const startedAt = performance.now();
  await server.close();
  expect(performance.now() - startedAt, 'nobody had to be cut off').toBeLessThan(10_000);
  await expect(closed).resolves.toBe('the coordinator is shutting down');
  const port = Number(server.address.split(':')[1]);
  await serverFor(recordingCoordinator(), { port });
});

test('a port that is taken is COORDINATOR.ADDRESS', async () => {
  const { address } = await serverFor(recordingCoordinator());
  const port = Number(address.split(':')[1]);
  await expect(serverFor(recordingCoordinator(), { port })).rejects.toMatchObject({ code: 'COORDINATOR.ADDRESS' });
});

test('aborting ends a session at once', async () => {
  const coordinator = recordingCoordinator();
  const { address } = await serverFor(coordinator);
  const abort = new AbortController();
  let closed: (reason: string) => void = () => undefined;
  const reason = new Promise<string>((resolve) => {
    closed = resolve;
  });
  const handler = { message: () => undefined, closed: (why: string) => closed(why) };
  await connectCoordinator({ address, hello: exampleHello('worker-1'), signal: abort.signal, handler });
  abort.abort(new Error('second SIGTERM'));
  await expect(reason).resolves.toMatch(/second SIGTERM/);
  await coordinator.until(() => coordinator.ends.length === 1);
});

const exampleGradientFrame: GradientFrame = {
  run,
  fence: fence(1),
  step: step(3),
  block: { begin: 0, end: 2 },
  offset: 0,
  totalBytes: 64,
  payload: Uint8Array.from({ length: 64 }, (_, index) => 100 + index),
};

test('the example frame is what its own encoder makes of it', () => {
  expect(encodeGradientFrame(exampleGradientFrame).includes(Buffer.from(exampleGradientFrame.payload))).toBe(true);
});
