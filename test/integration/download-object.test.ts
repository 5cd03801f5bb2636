import { createHash, createHmac, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type DownloadOptions, downloadObject } from '#objects';
import { BUCKET, CREDENTIALS, type ObjectStorage, startObjectStorage } from '../support/object-storage.js';

const BYTES = randomBytes(1_000_003);
const URL_OF_IT = `s3://${BUCKET}/folder one/samples+1.csv`;

let storage: ObjectStorage;
let directory: string;
beforeAll(async () => {
  storage = await startObjectStorage();
  directory = await mkdtemp(join(tmpdir(), 'ropeteam-download-'));
  await storage.put('folder one/samples+1.csv', BYTES);
});
afterAll(async () => {
  await storage[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

function fetched(url: string, change: Partial<DownloadOptions> = {}): Promise<string> {
  const options = { endpoint: storage.endpoint, region: 'us-east-1', credentials: CREDENTIALS, firstWaitMs: 1 };
  return downloadObject(url, directory, { ...options, signal: new AbortController().signal, ...change });
}

test('an object is a file with its bytes and its name, in one piece or many', async () => {
  const path = await fetched(URL_OF_IT);
  expect(path.endsWith('/samples+1.csv')).toBe(true);
  expect((await readFile(path)).equals(BYTES)).toBe(true);
  await rm(path);
  expect((await readFile(await fetched(URL_OF_IT, { pieceBytes: 70_000 }))).equals(BYTES)).toBe(true);
});

test('a connection that breaks again and again is gone on with, from the byte it broke at', async () => {
  await rm(await fetched(URL_OF_IT));
  const before = storage.cuts;
  storage.failAfter(150_000);
  const path = await fetched(URL_OF_IT, { endpoint: storage.frail });
  expect((await readFile(path)).equals(BYTES)).toBe(true);
  expect(storage.cuts - before).toBeGreaterThan(5);
  // What is there already is asked about and not fetched, which would be seven cuts; the connection may be at its end.
  const cuts = storage.cuts;
  expect(await fetched(URL_OF_IT, { endpoint: storage.frail })).toBe(path);
  expect(storage.cuts - cuts).toBeLessThanOrEqual(1);
  storage.failAfter(Number.POSITIVE_INFINITY);
});

test('a connection that never gets anywhere is given up, and leaves no file', async () => {
  await storage.put('unlucky.csv', BYTES);
  storage.failAfter(0);
  const url = `s3://${BUCKET}/unlucky.csv`;
  await expect(fetched(url, { endpoint: storage.frail })).rejects.toMatchObject({
    code: 'STORAGE.OBJECT',
    message: expect.stringMatching(/cannot be read: .*, 6 times in a row/),
  });
  storage.failAfter(Number.POSITIVE_INFINITY);
  const names = (await readdir(directory, { recursive: true })).filter((name) => name.includes('unlucky'));
  expect(names).toEqual([]);
});

test.each([
  ['a bucket that is not there', 's3://other/x.csv', {}, 'is in a bucket that does not exist'],
  ['an object that is not there', `s3://${BUCKET}/x.csv`, {}, 'does not exist'],
  ['an unknown key', URL_OF_IT, { credentials: { ...CREDENTIALS, accessKeyId: 'who' } }, 'may not be read'],
  ['nobody there', URL_OF_IT, { endpoint: 'http://127.0.0.1:1' }, 'cannot be read: '],
])('%s is said at once and in words', async (_what, url, change, words) => {
  const message: unknown = expect.stringContaining(`${url} ${words}`);
  await expect(fetched(url, change)).rejects.toMatchObject({ code: 'STORAGE.OBJECT', message });
});

test('what is no address of an object is refused', async () => {
  for (const url of ['s3://rows', 's3://rows/', 's3://rows/a/../b', 's3://Rows_/a'])
    await expect(fetched(url)).rejects.toMatchObject({ code: 'CONFIG.TYPE' });
});

/** A storage that lies: what it says of an object and what it sends differ. */
async function lying<Result>(
  answer: (response: ServerResponse, first: boolean) => void,
  use: (endpoint: string) => Promise<Result>,
): Promise<Result> {
  const server = createServer((request, response) => answer(response, request.headers.range === 'bytes=0-0'));
  return serving(server, use);
}

async function serving<Result>(server: Server, use: (endpoint: string) => Promise<Result>): Promise<Result> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const bound = server.address();
  try {
    return await use(`http://127.0.0.1:${typeof bound === 'object' ? bound?.port : ''}`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

const etag = `"${createHash('md5').update('12345678').digest('hex')}"`;
const send = (response: ServerResponse, range: string, body: string, tag = etag): void => {
  response.writeHead(206, { etag: tag, 'content-range': range }).end(body);
};

test.each<[string, (response: ServerResponse, first: boolean) => void, RegExp]>([
  [
    'truncated for good',
    (response, first) => send(response, 'bytes 0-0/8', first ? '1' : ''),
    /the answer ended at byte 0 of 8, 6 times/,
  ],
  [
    'longer than it is said to be',
    (response, first) => send(response, 'bytes 0-0/8', first ? '1' : '123456789'),
    /more bytes came/,
  ],
  [
    'of other bytes than its checksum',
    (response, first) => send(response, 'bytes 0-0/8', first ? '1' : '12345679'),
    /has not the MD5/,
  ],
  [
    'changed meanwhile',
    (response, first) => (first ? send(response, 'bytes 0-0/8', '1') : send(response, '', '12345678', '"other"')),
    /was changed while it was read/,
  ],
  [
    'replaced meanwhile, as If-Match finds out',
    (response, first) => (first ? send(response, 'bytes 0-0/8', '1') : response.writeHead(412).end()),
    /was changed while it was read/,
  ],
  ['empty', (response) => response.writeHead(416).end(), /is empty/],
])('an object that is %s is refused, and no file stays', async (_what, answer, message) => {
  const own = await mkdtemp(join(tmpdir(), 'ropeteam-lying-'));
  const options = { region: 'us-east-1', credentials: CREDENTIALS, firstWaitMs: 1 };
  const { signal } = new AbortController();
  const asked = lying(answer, (endpoint) => downloadObject('s3://rows/x.csv', own, { ...options, endpoint, signal }));
  await expect(asked).rejects.toMatchObject({ code: 'STORAGE.OBJECT', message: expect.stringMatching(message) });
  expect((await readdir(own, { recursive: true })).filter((name) => name.includes('.csv'))).toEqual([]);
  await rm(own, { recursive: true });
});

test('requests are signed by the secret, as the other end computes it again', async () => {
  const seen: boolean[] = [];
  const server = createServer((request, response) => {
    seen.push(request.headers.authorization?.endsWith(`Signature=${signatureOf(request, 'hush')}`) === true);
    send(response, 'bytes 0-0/8', request.headers.range === 'bytes=0-0' ? '1' : '12345678');
  });
  await serving(server, async (endpoint) => {
    const own = { endpoint, credentials: { accessKeyId: 'me', secretAccessKey: 'hush' } };
    await fetched('s3://rows/a folder/x+y=ü(1).csv', own);
    await rm(await fetched('s3://rows/a folder/x+y=ü(1).csv', own));
  });
  expect(seen).toEqual([true, true, true]);
});

test('a refusal is told by its name, without the secret and what it was for', async () => {
  const body =
    '<Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>me</AWSAccessKeyId><StringToSign>it</StringToSign></Error>';
  const server = createServer((_request, response) =>
    response.writeHead(403, { 'content-type': 'application/xml' }).end(body),
  );
  await serving(server, async (endpoint) => {
    const credentials = { accessKeyId: 'me', secretAccessKey: 'hush' };
    const wrong: unknown = await fetched('s3://rows/x.csv', { endpoint, credentials }).catch((error: unknown) => error);
    expect(wrong).toMatchObject({
      code: 'STORAGE.OBJECT',
      message: 's3://rows/x.csv may not be read: the storage answered 403 SignatureDoesNotMatch',
      hint: expect.stringContaining('credentials'),
    });
    expect(inspect(wrong, { depth: 9 })).not.toMatch(/hush|StringToSign/);
    await expect(fetched('s3://rows/x.csv', { endpoint, credentials: undefined })).rejects.toMatchObject({
      hint: expect.stringContaining('AWS_SHARED_CREDENTIALS_FILE'),
    });
  });
});

test('a storage that is busy is asked again, and the wait ends when the run does', async () => {
  let asked = 0;
  const busy = (response: ServerResponse, first: boolean): void => {
    if (asked++ < 2) response.writeHead(503).end();
    else send(response, 'bytes 0-0/8', first ? '1' : '12345678');
  };
  const own = await mkdtemp(join(tmpdir(), 'ropeteam-busy-'));
  const options = { region: 'us-east-1', credentials: undefined };
  const path = await lying(busy, (endpoint) =>
    downloadObject('s3://rows/x.csv', own, {
      ...options,
      endpoint,
      firstWaitMs: 1,
      signal: new AbortController().signal,
    }),
  );
  expect(await readFile(path, 'utf8')).toBe('12345678');
  const stop = new AbortController();
  const waiting = lying(
    (response) => {
      response.writeHead(503).end();
      stop.abort(new Error('stopped'));
    },
    (endpoint) =>
      downloadObject('s3://rows/y.csv', own, { ...options, endpoint, firstWaitMs: 1e6, signal: stop.signal }),
  );
  await expect(waiting).rejects.toThrow('stopped');
  await rm(own, { recursive: true });
});

/** Signature version 4 by Amazon's description of it, over a request that came in. */
function signatureOf({ method, url = '', headers }: IncomingMessage, secret: string): string {
  const [, day = '', region = '', names = ''] =
    /Credential=[^/]+\/(\d+)\/([\w-]+)\/s3\/aws4_request, ?SignedHeaders=([\w;-]+)/.exec(headers.authorization ?? '') ??
    [];
  const signed = names.split(';').map((name) => `${name}:${String(headers[name]).trim()}\n`);
  const path = url.split('?')[0];
  const canonical = [method, path, '', signed.join(''), names, headers['x-amz-content-sha256']].join('\n');
  const scope = `${day}/${region}/s3/aws4_request`;
  const digest = createHash('sha256').update(canonical).digest('hex');
  const toSign = ['AWS4-HMAC-SHA256', headers['x-amz-date'], scope, digest].join('\n');
  const keyed = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();
  const key = [day, region, 's3', 'aws4_request'].reduce<string | Buffer>(keyed, `AWS4${secret}`);
  return keyed(key, toSign).toString('hex');
}
