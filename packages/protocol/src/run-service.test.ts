import { strict as assert } from 'node:assert';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type CoordinatorHandlers, RopeteamError, type RunId, runId, type SplitName } from '#training';
import { openChannel } from './channel.js';
import { type CoordinatorServerOptions, startCoordinatorServer } from './coordinator-server.js';
import { connectCoordinator } from './coordinator-session.js';
import { runMethods, stopRunRequest, submitRunRequest } from './proto-definitions.js';
import { exampleHello, exampleSummary, recordingCoordinator } from './recording-coordinator.js';
import { connectClient } from './run-client.js';

let folder = '';
let uploadsDirectory = '';
const opened: (() => unknown)[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ropeteam-protocol-'));
  uploadsDirectory = join(folder, 'uploads');
  await mkdir(uploadsDirectory);
});
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
  await rm(folder, { recursive: true });
});

async function serve(overrides: Partial<CoordinatorHandlers> = {}, options: Partial<CoordinatorServerOptions> = {}) {
  const coordinator = recordingCoordinator({ overrides });
  const server = await startCoordinatorServer({
    host: '127.0.0.1',
    port: 0,
    handlers: coordinator.handlers,
    uploadsDirectory,
    drainMs: 500,
    ...options,
  });
  opened.push(() => server.close());
  const client = connectClient(server.address, { connectDeadlineMs: 2000 });
  opened.push(() => client.close());
  return { coordinator, server, client };
}

test('the list of runs comes out as it went in, absent fields included', async () => {
  const { submittedAt, runPath } = exampleSummary;
  const queued = {
    run: 'a',
    job: 'Größe',
    state: 'queued',
    step: 0,
    steps: 0,
    submittedAt,
    runPath,
    waitingFor: 'b',
  } as const;
  const finished = { ...exampleSummary, state: 'finished', weightsSha256: 'ab'.repeat(32), loss: 1e-300 } as const;
  const { client } = await serve({ listRuns: () => Promise.resolve([queued, finished]) });
  expect(await client.list()).toEqual([queued, finished]);
});

test('stopping a run names it and the reason, and an unknown run is RUN.UNKNOWN', async () => {
  const asked: [RunId, string][] = [];
  const { client } = await serve({
    stop: (run, reason) => {
      asked.push([run, reason]);
      if (run === 'digits-7f3a') return Promise.resolve({ ...exampleSummary, state: 'stopping' });
      return Promise.reject(new RopeteamError('RUN.UNKNOWN', { run }, `there is no run ${run}`));
    },
  });
  expect((await client.stop(runId('digits-7f3a'), 'Ctrl-C')).state).toBe('stopping');
  await expect(client.stop(runId('other'), '')).rejects.toMatchObject({ code: 'RUN.UNKNOWN', facts: { run: 'other' } });
  expect(asked).toEqual([
    ['digits-7f3a', 'Ctrl-C'],
    ['other', ''],
  ]);
});

test('a run id that is none is refused by the name of its field before the coordinator sees it', async () => {
  const { server } = await serve({ stop: () => Promise.reject(new Error('must not be asked')) });
  const channel = openChannel(server.address);
  opened.push(() => channel.close());
  const call = channel.unary(runMethods.stopRun, stopRunRequest.encode({ runId: '../etc', reason: '' }), 2000);
  await expect(call).rejects.toMatchObject({ code: 'USAGE.ARGUMENT', facts: { argument: 'runId' } });
});

test('an error with many problems arrives with as many as fit, and its own message', async () => {
  const problem = (index: number) =>
    new RopeteamError('CONFIG.RANGE', { key: `train.${index}` }, `train.${index} is out of range `.repeat(10));
  const problems = Array.from({ length: 500 }, (_, index) => problem(index));
  const { client } = await serve({
    submit: () => Promise.reject(new RopeteamError('CONFIG.SEVERAL', { count: 500 }, '500 problems', { problems })),
  });
  const failure = await client
    .submit({ jobText: 'x', jobFile: 'job.yaml', files: [] })
    .catch((error: unknown) => error);
  assert.ok(failure instanceof RopeteamError);
  expect(failure).toMatchObject({ code: 'CONFIG.SEVERAL', message: '500 problems', facts: { count: 500 } });
  expect(failure.problems.length).toBeGreaterThan(5);
  expect(failure.problems[0]).toMatchObject({ code: 'CONFIG.RANGE', facts: { key: 'train.0' } });
});

test('a message with half a character in it does not harm the server', async () => {
  const { client } = await serve({
    listRuns: () => Promise.reject(new RopeteamError('RUN.FAILED', { run: 'x' }, `cut here: ${'😀'.slice(0, 1)}`)),
  });
  await expect(client.list()).rejects.toMatchObject({ code: 'RUN.FAILED' });
  await expect(client.list()).rejects.toMatchObject({ code: 'RUN.FAILED' });
});

test('a bug in a handler is reported to the log and not to the caller', async () => {
  const failures: unknown[] = [];
  const { client } = await serve(
    { listRuns: () => Promise.reject(new TypeError('secret detail')) },
    { onUnexpectedError: (error, method) => failures.push([method, error]) },
  );
  await expect(client.list()).rejects.toMatchObject({
    code: 'WIRE.STATUS',
    message: expect.not.stringContaining('secret'),
  });
  expect(failures).toEqual([['listRuns', new TypeError('secret detail')]]);
});

test('nobody there is COORDINATOR.UNREACHABLE with the address and what to do', async () => {
  const { server } = await serve();
  await server.close();
  const client = connectClient(server.address, { connectDeadlineMs: 100 });
  opened.push(() => client.close());
  await expect(client.list()).rejects.toMatchObject({
    code: 'COORDINATOR.UNREACHABLE',
    facts: { address: server.address },
    hint: expect.stringContaining('--coordinator'),
  });
});

test('a call that is not answered in time ends at its deadline', async () => {
  const { server } = await serve({ listRuns: () => new Promise(() => undefined) });
  const client = connectClient(server.address, { answerDeadlineMs: 100 });
  opened.push(() => client.close());
  await expect(client.list()).rejects.toMatchObject({ code: 'COORDINATOR.UNREACHABLE' });
});

test('a submission of several MiB arrives intact, under names that cannot leave the folder', async () => {
  const { client, coordinator } = await serve();
  const data = Buffer.from(Uint32Array.from({ length: (5 << 20) / 4 + 1 }, (_, index) => index * 2654435761).buffer);
  await writeFile(join(folder, 'big.csv'), data);
  await writeFile(join(folder, 'empty.csv'), '');
  const summary = await client.submit({
    jobText: 'apiVersion: ropeteam/v1 # ☃',
    jobFile: 'job.yaml',
    runId: 'mine',
    files: [
      { path: '../../data/big file.csv', absolutePath: join(folder, 'big.csv') },
      { path: 'empty.csv', absolutePath: join(folder, 'empty.csv') },
    ],
  });
  expect(summary).toEqual(exampleSummary);
  const [submission] = coordinator.submissions;
  assert.ok(submission);
  expect(submission).toMatchObject({ jobText: 'apiVersion: ropeteam/v1 # ☃', jobFile: 'job.yaml', runId: 'mine' });
  expect(submission.files.map(({ path, bytes }) => [path, bytes])).toEqual([
    ['../../data/big file.csv', data.length],
    ['empty.csv', 0],
  ]);
  const [big, empty] = submission.files;
  assert.ok(big && empty);
  expect(Buffer.compare(await readFile(big.storedAt), data)).toBe(0);
  expect(big.storedAt.startsWith(`${uploadsDirectory}/`)).toBe(true);
  expect(big.storedAt.endsWith('/0-big_file.csv')).toBe(true);
  expect(await readFile(empty.storedAt)).toHaveLength(0);
});

test('a submission without files leaves no folder', async () => {
  const { client, coordinator } = await serve();
  await client.submit({ jobText: 'x', jobFile: 'job.yaml', files: [] });
  expect(coordinator.submissions).toEqual([{ jobText: 'x', jobFile: 'job.yaml', files: [] }]);
  expect(await readdir(uploadsDirectory)).toEqual([]);
});

test('a refused submission leaves nothing behind', async () => {
  await writeFile(join(folder, 'data.csv'), 'a,b\n1,2\n');
  const { client } = await serve({
    submit: () => Promise.reject(new RopeteamError('RUN.EXISTS', { run: 'mine' }, 'the run mine exists')),
  });
  const files = [{ path: 'data.csv', absolutePath: join(folder, 'data.csv') }];
  const submitting = client.submit({ jobText: 'x', jobFile: 'job.yaml', runId: 'mine', files });
  await expect(submitting).rejects.toMatchObject({ code: 'RUN.EXISTS' });
  expect(await readdir(uploadsDirectory)).toEqual([]);
});

test('an upload above the limit is refused while it is being sent', async () => {
  await writeFile(join(folder, 'data.csv'), Buffer.alloc(8 << 20));
  const { client } = await serve({}, { limits: { maxUploadBytes: 4 << 20 } });
  const files = [{ path: 'data.csv', absolutePath: join(folder, 'data.csv') }];
  const submitting = client.submit({ jobText: 'x', jobFile: 'job.yaml', files });
  await expect(submitting).rejects.toMatchObject({ code: 'DATA.LIMIT', facts: { file: 'data.csv', limit: 4 << 20 } });
  expect(await readdir(uploadsDirectory)).toEqual([]);
});

test('a local file that cannot be read is DATA.FILE, and the coordinator keeps nothing of the submission', async () => {
  const { client, coordinator } = await serve();
  const absolutePath = join(folder, 'missing.csv');
  const submitting = client.submit({
    jobText: 'x',
    jobFile: 'job.yaml',
    files: [{ path: 'missing.csv', absolutePath }],
  });
  await expect(submitting).rejects.toMatchObject({ code: 'DATA.FILE', facts: { file: absolutePath } });
  expect(coordinator.submissions).toEqual([]);
});

const begin = (path: string, bytes: number) => ({ fileBegin: { path, bytes } });
const chunk = (text: string, crc32?: number) => ({
  fileChunk: { payload: Buffer.from(text), crc32: crc32 ?? { abc: 0x352441c2 }[text] ?? 0 },
});
const beginWeights = (path: string) => ({ initialWeightsBegin: { path, bytes: 0 } });
const header = { header: { jobText: 'x', jobFile: 'job.yaml' } };
const oneFile = { header: { ...header.header, files: 1 } };

test.each([
  ['no header', [begin('a', 3), chunk('abc')], 'header'],
  ['nothing at all', [], 'header'],
  ['two headers', [header, header], 'part'],
  ['a chunk before a file', [header, chunk('abc')], 'part'],
  ['an empty job', [{ header: { jobText: '', jobFile: '' } }], 'header.jobText'],
  ['a bad run id', [{ header: { jobText: 'x', runId: 'A B' } }], 'header.runId'],
  ['more bytes than announced', [header, begin('a', 2), chunk('abc')], 'fileChunk'],
  ['fewer bytes than announced', [header, begin('a', 4), chunk('abc')], 'fileChunk'],
  ['the next file too early', [header, begin('a', 4), chunk('abc'), begin('b', 0)], 'fileChunk'],
  ['one path twice', [header, begin('a', 3), chunk('abc'), begin('a', 0)], 'fileBegin.path'],
  ['a NUL in a path', [header, begin('a\0', 0)], 'fileBegin.path'],
  ['weights to start from twice', [header, beginWeights('a'), beginWeights('b')], 'initialWeightsBegin.path'],
  ['a description without weights', [oneFile, { initialModelBegin: { path: 'm', bytes: 0 } }], 'initialModelBegin'],
])('a submission with %s is refused by name and leaves nothing behind', async (_what, messages, argument) => {
  const { server, coordinator } = await serve();
  const failure = await submitRaw(server.address, messages.map(submitRunRequest.encode));
  expect(failure).toMatchObject({ details: expect.stringContaining(argument), code: 3 });
  expect(coordinator.submissions).toEqual([]);
  expect(await readdir(uploadsDirectory)).toEqual([]);
});

test('a chunk that does not match its checksum is refused as corrupt', async () => {
  const { server } = await serve();
  const messages = [header, begin('a', 3), chunk('abc', 0x352441c3)];
  expect(await submitRaw(server.address, messages.map(submitRunRequest.encode))).toMatchObject({ code: 15 });
});

test('an uploader that goes away half-way leaves nothing behind', async () => {
  const { server } = await serve({}, { onUnexpectedError: (error) => assert.fail(String(error)) });
  const channel = openChannel(server.address);
  opened.push(() => channel.close());
  const { path, requestSerialize, responseDeserialize } = runMethods.submitRun;
  const call = channel.client.makeClientStreamRequest(path, requestSerialize, responseDeserialize, () => undefined);
  for (const message of [header, begin('a', 6), chunk('abc')]) call.write(submitRunRequest.encode(message));
  await appears(async () => (await readdir(uploadsDirectory)).length === 1);
  call.cancel();
  await appears(async () => (await readdir(uploadsDirectory)).length === 0);
});

test.each([0, 1, 3 * 1024 * 1024 + 17])('a shard of %d bytes arrives as it is', async (bytes) => {
  const shard = Uint8Array.from({ length: bytes }, (_, index) => index * 31);
  const asked: [RunId, SplitName, number][] = [];
  const { server } = await serve({
    readShard: (run, split, index) => {
      asked.push([run, split, index]);
      return Promise.resolve(shard);
    },
  });
  const session = await joined(server.address);
  const received = await session.fetchShard(runId('digits'), 'validation', 9, new AbortController().signal);
  expect(Buffer.compare(received, shard)).toBe(0);
  expect(asked).toEqual([['digits', 'validation', 9]]);
});

test('a shard that cannot be had is the error of the coordinator, and an abort is the abort', async () => {
  const { server } = await serve();
  const session = await joined(server.address);
  const fetching = session.fetchShard(runId('digits'), 'train', 1, new AbortController().signal);
  await expect(fetching).rejects.toMatchObject({ code: 'DATA.SHARD', facts: { shard: 'digits/train-1' } });
  const reason = new Error('no longer needed');
  await expect(session.fetchShard(runId('digits'), 'train', 1, AbortSignal.abort(reason))).rejects.toBe(reason);
});

async function joined(address: string) {
  const session = await connectCoordinator({
    address,
    hello: exampleHello('worker-1'),
    signal: new AbortController().signal,
    handler: { message: () => undefined, closed: () => undefined },
  });
  opened.push(async () => await session[Symbol.asyncDispose]());
  return session;
}

/** Sends what no client of ours would and returns the status. */
function submitRaw(address: string, messages: readonly Buffer[]): Promise<unknown> {
  const channel = openChannel(address);
  opened.push(() => channel.close());
  const { path, requestSerialize, responseDeserialize } = runMethods.submitRun;
  return new Promise((resolve) => {
    const settled = (error: unknown, response: unknown) => resolve(error ?? response);
    const call = channel.client.makeClientStreamRequest(path, requestSerialize, responseDeserialize, settled);
    for (const message of messages) call.write(message);
    call.end();
  });
}

/** Looks again after each turn of the event loop: for what leaves no event, like a folder that goes away. */
async function appears(condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 5000;
  while (!(await condition())) assert.ok(Date.now() < deadline, 'it did not happen');
}
