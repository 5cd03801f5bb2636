import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { submitRunRequest } from './proto-definitions.js';
import { receiveSubmission } from './uploads.js';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ropeteam-uploads-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** A submission as it is on the wire: a data file, weights of the same name, and the description beside them. */
async function* submission(): AsyncGenerator<Buffer, void, undefined> {
  yield submitRunRequest.encode({ header: { jobText: 'x', jobFile: 'job.yaml', files: 3 } });
  const parts = { fileBegin: 'same.name', initialWeightsBegin: 'same.name', initialModelBegin: 'model.json' };
  for (const [begins, path] of Object.entries(parts)) {
    const payload = Buffer.from(`bytes of ${begins}`);
    yield submitRunRequest.encode({ [begins]: { path, bytes: payload.length } });
    yield submitRunRequest.encode({ fileChunk: { payload, crc32: crc32(payload) } });
  }
}

test('weights to start from arrive as what they are, beside a data file of the same name', async () => {
  const received = await receiveSubmission(submission(), folder, { maxFiles: 3, maxBytes: 1000 });
  const { files, initFrom } = received.submission;
  expect(files.map(({ path }) => path)).toEqual(['same.name']);
  expect([initFrom?.weights.path, initFrom?.model?.path]).toEqual(['same.name', 'model.json']);
  const stored = [...files, ...Object.values(initFrom ?? {})].map(({ storedAt }) => readFile(storedAt, 'utf8'));
  expect(await Promise.all(stored)).toEqual([
    'bytes of fileBegin',
    'bytes of initialWeightsBegin',
    'bytes of initialModelBegin',
  ]);
  await received.discard();
  expect(await readdir(folder)).toEqual([]);
});

test.each([
  ['files', { maxFiles: 2, maxBytes: 1000 }],
  ['bytes', { maxFiles: 3, maxBytes: 50 }],
])('they count towards the limit on %s', async (_what, limits) => {
  await expect(receiveSubmission(submission(), folder, limits)).rejects.toMatchObject({ code: 'DATA.LIMIT' });
  expect(await readdir(folder)).toEqual([]);
});
