import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { runId } from '#training';
import { checkAuditLog, openAuditLog } from './audit-log.js';

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

async function logOfThree(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ropeteam-audit-'));
  folders.push(folder);
  const path = join(folder, 'audit.ndjson');
  const caller = { peer: '10.0.0.7:4711', role: 'submitter', fingerprint: 'ab'.repeat(32) } as const;
  {
    await using log = await openAuditLog(path);
    log.append({ caller, call: 'submitRun', subject: runId('digits-1'), outcome: 'done' }, new Date(0));
    log.append({ caller, call: 'session', outcome: 'AUTH.ROLE' }, new Date(1));
  }
  await using log = await openAuditLog(path);
  log.append({ caller: { peer: '10.0.0.8:1' }, call: 'stopRun', outcome: 'RUN.UNKNOWN' }, new Date(2));
  return path;
}

test('the chain goes on over restarts, and is whole', async () => {
  const path = await logOfThree();
  const finding = await checkAuditLog(path);
  expect(finding).toMatchObject({ records: 3 });
  expect(finding.broken).toBeUndefined();
  const lines = (await readFile(path, 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(lines[0]).toMatchObject({ call: 'submitRun', subject: 'digits-1', outcome: 'done', role: 'submitter' });
  expect(lines[2].previous).toBe(lines[1].hash);
  expect(lines[2].hash).toBe(finding.head);
});

const forgeries: readonly (readonly [string, (lines: string[]) => string[], number])[] = [
  ['a line that was changed', (lines) => lines.map((line) => line.replace('digits-1', 'digits-2')), 1],
  ['a line that was taken out', (lines) => lines.toSpliced(1, 1), 2],
  ['a line that was added', (lines) => lines.toSpliced(1, 0, lines[0] ?? ''), 2],
  ['two lines in another order', ([a = '', b = '', c = '']) => [a, c, b], 2],
  ['a line that is none', (lines) => lines.toSpliced(2, 1, '{}'), 3],
];

test.each(forgeries)('%s is found', async (_, forge, line) => {
  const path = await logOfThree();
  const lines = (await readFile(path, 'utf8')).trimEnd().split('\n');
  await writeFile(path, `${forge(lines).join('\n')}\n`);
  expect((await checkAuditLog(path)).broken?.line).toBe(line);
});
