import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { runId } from '#training';
import { listArtifacts, openArtifact } from './artifacts.js';
import { createRunFolder, type RunFolder } from './run-folder.js';

const opened: string[] = [];
afterEach(async () => {
  for (const path of opened.splice(0)) await rm(path, { recursive: true, force: true });
});

async function folderWith(files: Readonly<Record<string, string>>): Promise<RunFolder> {
  const root = await mkdtemp(join(tmpdir(), 'ropeteam-artifacts-'));
  opened.push(root);
  const folder = await createRunFolder(root, runId('r'));
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder.path, name), text);
  return folder;
}

test('lists what is there, newest checkpoints first, and nothing else of the folder', async () => {
  const folder = await folderWith({
    'job.yaml': 'name: r\n',
    'submission.json': '{}',
    fence: '1\n',
    'checkpoints/step-00000010.safetensors': 'not whole',
    'checkpoints/step-00000200.safetensors': '',
    'checkpoints/step-00000300.safetensors.tmp': '',
    'model/model.json': '{}',
  });
  const found = await listArtifacts(folder);
  expect(found.map(({ name, kind, bytes, step }) => [name, kind, bytes, step])).toEqual([
    ['checkpoints/step-00000200.safetensors', 'checkpoint', 0, 200],
    ['checkpoints/step-00000010.safetensors', 'checkpoint', 9, 10],
    ['model/model.json', 'model', 2, undefined],
    ['job.yaml', 'record', 8, undefined],
  ]);
});

test('gives exactly the bytes a file has when it is opened', async () => {
  const folder = await folderWith({ 'ledger.ndjson': 'one\n' });
  await using file = await openArtifact(folder, 'ledger.ndjson');
  await writeFile(join(folder.path, 'ledger.ndjson'), 'one\ntwo\n');
  const parts: Uint8Array[] = [];
  for await (const part of file?.read() ?? []) parts.push(part);
  expect([file?.bytes, Buffer.concat(parts).toString()]).toEqual([4, 'one\n']);
});

test.each([
  'submission.json',
  'fence',
  '../r/job.yaml',
  './job.yaml',
  'model/../job.yaml',
  'model%2fmodel.json',
  '/etc/passwd',
  'job.yaml\0',
  'job.yaml/',
  'checkpoints',
  'checkpoints/step-1.safetensors',
  'checkpoints/step-00000010.safetensors.tmp',
  '',
])('has nothing of the name %j', async (name) => {
  const folder = await folderWith({ 'job.yaml': 'x', 'submission.json': '{}', 'model/model.json': '{}' });
  expect(await openArtifact(folder, name)).toBeUndefined();
});

test('follows no link, of a file or of a folder', async () => {
  const folder = await folderWith({});
  const elsewhere = await mkdtemp(join(tmpdir(), 'ropeteam-elsewhere-'));
  opened.push(elsewhere);
  await writeFile(join(elsewhere, 'model.json'), 'secret');
  await symlink(join(elsewhere, 'model.json'), join(folder.path, 'job.yaml'));
  await rm(folder.modelPath, { recursive: true });
  await symlink(elsewhere, folder.modelPath);
  expect(await openArtifact(folder, 'job.yaml')).toBeUndefined();
  expect(await openArtifact(folder, 'model/model.json')).toBeUndefined();
  expect(await listArtifacts(folder)).toEqual([]);
});
