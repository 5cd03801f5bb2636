/** One run's copy in object storage: what is sent, what is left, what comes back, and to whom the folder belongs. */
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Bucket, fetchRun, openBucket, openRunCopy, type SourceFile, takeTerm } from '#objects';
import { type ObjectGate, openObjectGate } from '../support/object-gate.js';
import { BUCKET, CREDENTIALS, type ObjectStorage, startObjectStorage } from '../support/object-storage.js';

const RUN = 'digits-1';
const mayBe = (name: string): boolean => /^[a-z]+(\/[a-z]+)?\.[a-z]+$/.test(name);

let storage: ObjectStorage;
let gate: ObjectGate;
let directory: string;
let bucket: Bucket;
let cases = 0;
beforeAll(async () => {
  storage = await startObjectStorage();
  gate = await openObjectGate(storage.endpoint);
});
afterAll(async () => {
  await gate?.[Symbol.asyncDispose]();
  await storage?.[Symbol.asyncDispose]();
});
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ropeteam-copy-'));
  await mkdir(join(directory, 'model'));
  bucket = at(gate.endpoint, `folder-${cases++}`);
  return () => rm(directory, { recursive: true });
});

function at(endpoint: string, folder: string): Bucket {
  const options = { endpoint, region: 'us-east-1', credentials: CREDENTIALS, firstWaitMs: 1 };
  return openBucket(`s3://${BUCKET}/${folder}`, '--from', { ...options, signal: new AbortController().signal });
}

async function* files(...names: readonly string[]): AsyncGenerator<SourceFile> {
  for (const name of names)
    yield { name, path: join(directory, name), kind: name === 'events.log' ? 'grows' : 'whole' };
}

const objects = async (): Promise<readonly string[]> => await bucket.list(`${RUN}/`);

async function fetched(change: { readonly wanted?: (name: string) => boolean } = {}): Promise<readonly string[]> {
  const making = join(directory, '.making');
  await fetchRun(bucket, RUN, join(directory, 'back'), { mayBe, making, ...change });
  return (await readdir(join(directory, 'back'), { recursive: true })).sort();
}

test('a file that grows is sent a piece at a time, is put together again, and has few pieces', async () => {
  const copy = openRunCopy(bucket, RUN, await takeTerm(bucket), mayBe);
  const path = join(directory, 'events.log');
  await writeFile(path, '');
  let sent = 0;
  for (let line = 0; line < 40; line++) {
    await appendFile(path, `line ${String(line).padStart(4, '0')}\n`);
    sent += (await copy.update(files('events.log'))).bytes;
  }
  // 400 bytes; each is sent about as often as the count has binary digits.
  expect(sent).toBeLessThan(400 * 6);
  expect((await objects()).length).toBeLessThanOrEqual(1 + 6);
  await fetched();
  expect(await readFile(join(directory, 'back/events.log'), 'utf8')).toBe(await readFile(path, 'utf8'));
});

test('the next coordinator sends what is new, and deletes what nothing names', async () => {
  await writeFile(join(directory, 'events.log'), 'one\ntwo\nthree and more\n');
  await writeFile(join(directory, 'model/a.bin'), 'weights');
  const first = openRunCopy(bucket, RUN, await takeTerm(bucket), mayBe);
  await first.update(files('events.log', 'model/a.bin'));
  await rm(join(directory, 'model/a.bin'));
  await appendFile(join(directory, 'events.log'), 'four\n');
  const second = openRunCopy(bucket, RUN, await takeTerm(bucket), mayBe);
  expect(await second.update(files('events.log', 'model/a.bin'))).toEqual({ bytes: 5, again: false });
  expect((await objects()).filter((name) => name.endsWith('a.bin'))).toEqual([]);
  expect((await objects()).filter((name) => name.includes('manifest'))).toEqual([`${RUN}/manifest-00000002.json`]);
  expect(await second.update(files('events.log'))).toEqual({ bytes: 0, again: false });
  expect(await fetched()).toEqual(['events.log']);
});

test('an earlier coordinator neither names nor deletes anything once another has the folder', async () => {
  await writeFile(join(directory, 'job.yaml'), 'a');
  const term = await takeTerm(bucket);
  const copy = openRunCopy(bucket, RUN, term, mayBe);
  await copy.update(files('job.yaml'));
  const before = await objects();
  await takeTerm(bucket);
  await writeFile(join(directory, 'job.yaml'), 'b');
  await expect(copy.update(files('job.yaml'))).rejects.toMatchObject({
    code: 'COORD.FENCED',
    facts: { held: 1, current: 2 },
  });
  expect(await objects()).toEqual(before);
});

test('of coordinators that start at once each has a term of its own; without conditional writes one at the most keeps it', async () => {
  const terms = await Promise.all(Array.from({ length: 4 }, () => takeTerm(bucket)));
  expect(terms.map(({ number }) => number).sort()).toEqual([1, 2, 3, 4]);
  const plain = at(storage.endpoint, 'plain');
  const there = await Promise.all(Array.from({ length: 4 }, () => takeTerm(plain)));
  const kept = await Promise.allSettled(there.map((term) => term.check()));
  expect(kept.filter(({ status }) => status === 'fulfilled').length).toBeLessThanOrEqual(1);
});

test('a byte that was changed, an object that is missing, a name that leads elsewhere: nothing comes back', async () => {
  await writeFile(join(directory, 'job.yaml'), 'steps: 100');
  const copy = openRunCopy(bucket, RUN, await takeTerm(bucket), mayBe);
  await copy.update(files('job.yaml'));
  const piece = (await objects()).find((name) => name.endsWith('job.yaml')) ?? '';
  const manifest = `${RUN}/manifest-00000001.json`;
  const whole = (await bucket.get(manifest)) ?? new Uint8Array();
  const refused = async (words: string): Promise<void> => {
    const message: unknown = expect.stringContaining(words);
    await expect(fetched()).rejects.toMatchObject({ code: 'STORAGE.CORRUPT', message });
    await expect(readdir(join(directory, 'back'))).rejects.toMatchObject({ code: 'ENOENT' });
  };
  await bucket.put(piece, Buffer.from('steps: 999'));
  await refused('its SHA-256 does not match');
  await bucket.put(piece, Buffer.from('steps: 1000'));
  await refused('it has 11 bytes, not 10');
  await bucket.remove(piece);
  await refused('there is no such object');
  await bucket.put(manifest, Buffer.from(Buffer.from(whole).toString().replace('job.yaml', '../x.yaml')));
  await refused('its SHA-256 does not match');
  expect(await bucket.get('nothing')).toBeUndefined();
});

test('what is fetched while its objects are replaced is looked up again', async () => {
  await writeFile(join(directory, 'job.yaml'), 'a');
  const copy = openRunCopy(bucket, RUN, await takeTerm(bucket), mayBe);
  await copy.update(files('job.yaml'));
  let replaced: Promise<unknown> | undefined;
  gate.refuse((method, path) => {
    if (method !== 'GET' || !path.includes('job.yaml') || replaced !== undefined) return undefined;
    gate.open();
    replaced = writeFile(join(directory, 'job.yaml'), 'b').then(() => copy.update(files('job.yaml')));
    return 404;
  });
  const making = join(directory, '.making');
  const first = fetchRun(bucket, RUN, join(directory, 'back'), { mayBe, making });
  await first;
  await replaced;
  expect(['a', 'b']).toContain(await readFile(join(directory, 'back/job.yaml'), 'utf8'));
});

test('another run of the same name is refused, and its copy stays', async () => {
  await writeFile(join(directory, 'submission.json'), 'this');
  await openRunCopy(bucket, RUN, await takeTerm(bucket), mayBe).update(files('submission.json'));
  await writeFile(join(directory, 'submission.json'), 'that');
  const other = openRunCopy(bucket, RUN, await takeTerm(bucket), mayBe);
  await expect(other.update(files('submission.json'))).rejects.toMatchObject({ code: 'RUN.EXISTS' });
  expect(await fetched({ wanted: (name) => name.startsWith('submission') })).toEqual(['submission.json']);
  expect(await readFile(join(directory, 'back/submission.json'), 'utf8')).toBe('this');
});
