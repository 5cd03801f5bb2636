/** A folder of a test's own to run the command in: where its runs go, where its temporary files go, what it left. */
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, vi } from 'vitest';
import type { RunningCommand } from './command.js';

export interface Workspace extends AsyncDisposable {
  readonly path: string;
  /** For `--out`; made by the command, not here. */
  readonly runs: string;
  /** Environment that keeps the command's temporary files in this folder. */
  readonly variables: Readonly<Record<string, string>>;
  /** Everything the command made outside of `runs`. */
  leftOver(): Promise<readonly string[]>;
}

export async function openWorkspace(): Promise<Workspace> {
  const path = await mkdtemp(join(tmpdir(), 'ropeteam-e2e-'));
  const temporary = join(path, 'tmp');
  await mkdir(temporary);
  return {
    path,
    runs: join(path, 'runs'),
    variables: { TMPDIR: temporary },
    leftOver: () => readdir(temporary),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}

/** No process that the command started is alive, and none of its temporary files is there. */
export async function expectNothingLeft(command: RunningCommand, workspace: Workspace): Promise<void> {
  // A killed process needs a moment to be gone; one that was forgotten stays.
  await vi.waitFor(async () => expect(await command.offspring()).toEqual([]), { timeout: 20_000 });
  expect(await workspace.leftOver()).toEqual([]);
}
