import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runId } from '#training';
import { durableFiles, isDurableName } from './durable-files.js';
import { createRunFolder } from './run-folder.js';

test('what vouches for something is read after it, and what tells of something before it', async () => {
  const root = await mkdtemp(join(tmpdir(), 'ropeteam-durable-'));
  const folder = await createRunFolder(root, runId('one'));
  try {
    for (const step of [4, 8, 12]) {
      await writeFile(join(folder.checkpointsPath, `step-${String(step).padStart(8, '0')}.safetensors`), '');
    }
    await writeFile(join(folder.checkpointsPath, 'step-00000016.safetensors.tmp'), '');
    await writeFile(join(folder.uploadsPath, '0-rows.csv'), '');
    const names: string[] = [];
    for await (const { name, path } of durableFiles(folder)) {
      names.push(name);
      expect(path).toBe(join(folder.path, name));
    }
    expect(names).toEqual([
      'submission.json',
      'events.ndjson',
      'job.yaml',
      'uploads/0-rows.csv',
      'checkpoints/step-00000008.safetensors',
      'checkpoints/step-00000012.safetensors',
      'ledger.ndjson',
      'model/model.safetensors',
      'model/model.json',
      'rollbacks.json',
      'fence',
    ]);
    expect(names.every(isDurableName)).toBe(true);
  } finally {
    await rm(root, { recursive: true });
  }
});

test('no name of a durable file leads out of the run’s folder', () => {
  const others = [
    '',
    '..',
    '../fence',
    '/etc/passwd',
    'uploads/../fence',
    'uploads/0-a/b',
    'uploads/0-..\\b',
    'data/info.json',
  ];
  expect(others.filter(isDurableName)).toEqual([]);
});
