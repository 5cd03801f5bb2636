import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RopeteamError } from '#training';
import { readJobFile } from './read-job-file.js';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ropeteam-job-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

async function refusal(path: string): Promise<RopeteamError> {
  try {
    await readJobFile(path);
  } catch (error) {
    if (error instanceof RopeteamError) return error;
    throw error;
  }
  throw new Error('the file was read');
}

const put = async (name: string, bytes: string | Uint8Array): Promise<string> => {
  const path = join(folder, name);
  await writeFile(path, bytes);
  return path;
};

test('a job file is read as it is, under the name it was given', async () => {
  const path = await put('job.yaml', '\uFEFFname: größe\r\n');
  expect(await readJobFile(path)).toEqual({ text: 'name: größe\r\n', file: path });
});

test('for a missing file the nearest name in its folder is suggested', async () => {
  await put('job.yaml', '');
  const error = await refusal(join(folder, 'jbo.yaml'));
  expect([error.code, error.hint]).toEqual(['CONFIG.FILE', `did you mean ${join(folder, 'job.yaml')}?`]);
  expect(error.message).toMatch(/there is no file/);
});

test('for a folder the job file in it is suggested', async () => {
  await put('job.yaml', '');
  const error = await refusal(folder);
  expect(error.message).toMatch(/is a folder/);
  expect(error.hint).toBe(`did you mean ${join(folder, 'job.yaml')}?`);
});

test.each([
  ['standard input', '-', /standard input/],
  ['an address', 'https://example.org/job.yaml', /an address/],
  ['a path through a file', '/dev/null/job.yaml', /there is no file/],
  ['a device', '/dev/zero', /not a regular file/],
])('%s is refused by name', async (_what, path, words) => {
  expect((await refusal(path)).message).toMatch(words);
});

test('a FIFO is refused at once instead of waiting for a writer', async () => {
  const path = join(folder, 'pipe');
  execFileSync('mkfifo', [path]);
  expect((await refusal(path)).message).toMatch(/not a regular file/);
});

test.each([
  ['utf16le.yaml', Buffer.from('\uFEFFname: x', 'utf16le'), /UTF-16/, /UTF-8/],
  ['utf16-without-mark.yaml', Buffer.from('name: x', 'utf16le'), /UTF-16/, /UTF-8/],
  ['latin1.yaml', Buffer.from('name: größe', 'latin1'), /not UTF-8/, /UTF-8/],
  ['binary.yaml', Uint8Array.of(1, 2, 3, 0, 5), /binary/, /job\.yaml/],
  ['job.yaml.gz', Uint8Array.of(0x1f, 0x8b, 8, 0), /gzip/, /unpack/],
  ['data.csv', new Uint8Array(300 * 1024).fill(65), /300 KiB long; a job file has at most 256 KiB/, /not the data/],
])('%s is refused for what it is', async (name, bytes, words, hint) => {
  const error = await refusal(await put(name, bytes));
  expect(error.message).toMatch(words);
  expect(error.hint).toMatch(hint);
});
