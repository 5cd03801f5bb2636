/** What earlier versions wrote, read by this one: `scripts/write-golden.mjs` made it, once a version. */
import { spawnSync } from 'node:child_process';
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadCheckpoint, loadModel, readLedger } from '#storage';
import type { FinishedEvent } from './support/cluster.js';
import { CHECKOUT, runCommand } from './support/command.js';
import { openWorkspace, type Workspace } from './support/workspace.js';

interface Expected {
  readonly weightsSha256: string;
  readonly optimizerSha256: string;
  readonly steps: number;
  readonly test: Readonly<Record<string, number>>;
}

const GOLDEN = join(CHECKOUT, 'test/golden');
const BUF = join(dirname(createRequire(import.meta.url).resolve('@bufbuild/buf/package.json')), 'bin/buf');
const DEADLINE_MS = 120_000;

let workspace: Workspace;
beforeAll(async () => {
  workspace = await openWorkspace();
});
afterAll(() => workspace[Symbol.asyncDispose]());

/** Runs a command that must succeed. */
async function ropeteam(...words: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runCommand(words, workspace.variables);
  expect(code, stdout + stderr).toBe(0);
  return stdout;
}

const lastEvent = (stdout: string): FinishedEvent =>
  JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as FinishedEvent;

function buf(...words: readonly string[]): { readonly code: number | null; readonly output: string } {
  const { status, stdout, stderr } = spawnSync(BUF, [...words], { cwd: CHECKOUT, encoding: 'utf8' });
  return { code: status, output: stdout + stderr };
}

describe.each(readdirSync(GOLDEN))('version %s', (version) => {
  const folder = join(GOLDEN, version);
  const expected = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as Expected;
  const { weightsSha256, optimizerSha256, steps, test: quality } = expected;

  test(
    'its job file trains to the same bits',
    async () => {
      const out = ['--out', join(workspace.runs, version)];
      const last = lastEvent(await ropeteam('train', join(folder, 'job.yaml'), ...out, '--workers', '2', '--json'));
      expect(last).toMatchObject({ weightsSha256, optimizerSha256, steps, test: quality });
    },
    DEADLINE_MS,
  );

  test(
    'a run it did not finish is taken up again and ends in the same bits',
    async () => {
      const run = join(workspace.path, `killed-${version}`, 'golden');
      cpSync(join(folder, 'killed'), run, { recursive: true });
      const before = readFileSync(join(run, 'events.ndjson'), 'utf8');
      const last = lastEvent(await ropeteam('resume', run, '--json'));
      expect(last).toMatchObject({ weightsSha256, optimizerSha256, steps, test: quality });
      expect(readFileSync(join(run, 'events.ndjson'), 'utf8').startsWith(before)).toBe(true);
      expect(readFileSync(join(run, 'events.ndjson'), 'utf8')).toContain('"event":"run_resumed"');
      await ropeteam('verify', run);
    },
    DEADLINE_MS,
  );

  test(
    'its finished run is proven, steps computed again included',
    async () => {
      const told = JSON.parse(
        await ropeteam('verify', join(folder, 'finished'), '--recompute', '6', '--data', folder, '--json'),
      ) as { readonly checks: readonly { readonly outcome: string }[] };
      expect(told.checks.filter(({ outcome }) => outcome !== 'held')).toEqual([]);
      expect(await readLedger(join(folder, 'finished/ledger.ndjson'))).toHaveLength(steps);
      for (const name of readdirSync(join(folder, 'finished/checkpoints'))) {
        expect(await loadCheckpoint(join(folder, 'finished/checkpoints', name))).toBeDefined();
      }
    },
    DEADLINE_MS,
  );

  test(
    'its model predicts the same rows',
    async () => {
      expect(await loadModel(join(folder, 'finished/model'))).toBeDefined();
      const predicted = await ropeteam('predict', join(folder, 'finished/model'), '--input', join(folder, 'rows.csv'));
      expect(predicted).toBe(readFileSync(join(folder, 'predictions.csv'), 'utf8'));
    },
    DEADLINE_MS,
  );

  test('its messages are understood: no field of the protocol changed its number, type or name', () => {
    expect(buf('breaking', 'proto', '--against', join(folder, 'proto.binpb'))).toEqual({ code: 0, output: '' });
  });

  test('a changed field would be found', () => {
    const copy = join(workspace.path, `proto-${version}`);
    cpSync(join(CHECKOUT, 'proto'), copy, { recursive: true });
    const file = join(copy, 'ropeteam/v1/training_service.proto');
    const text = readFileSync(file, 'utf8');
    const changed = text.replace(/^( {2})(?:u?int(?:32|64)) (\w+ = \d+;)/m, '$1string $2');
    expect(changed).not.toBe(text);
    writeFileSync(file, changed);
    expect(buf('breaking', copy, '--against', join(folder, 'proto.binpb'))).toMatchObject({ code: 100 });
  });
});

test('the protocol is written as the linter of protobuf wants it', () => {
  expect(buf('lint', 'proto')).toEqual({ code: 0, output: '' });
});

test('this version has its golden files', () => {
  const { version } = JSON.parse(readFileSync(join(CHECKOUT, 'package.json'), 'utf8')) as { readonly version: string };
  expect(readdirSync(GOLDEN)).toContain(version);
});
