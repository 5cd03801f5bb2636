/** `rollbacks.json`: how often a run went back to an earlier step. Written before anything of what is undone is touched. */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type LedgerRecord, RopeteamError } from '#training';
import { errorCodeOf, syncFolder, writeFileAtomically } from './atomic-file.js';
import { listCheckpoints } from './checkpoint.js';
import type { RunFolder } from './run-folder.js';

export const ROLLBACKS_NAME = 'rollbacks.json';

export interface Rollback {
  /** The step that was not finite. */
  readonly step: number;
  /** Committed steps the run went on from. */
  readonly to: number;
  /** Under which it happened: what this fence and those below wrote of later steps is undone. */
  readonly fence: number;
}

/** Oldest first; none where the run never went back. @throws RopeteamError STORAGE.CORRUPT */
export async function readRollbacks(folder: RunFolder): Promise<readonly Rollback[]> {
  const path = pathOf(folder);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    if (errorCodeOf(cause) === 'ENOENT') return [];
    throw cause;
  }
  const found = parse(text);
  if (found === undefined)
    throw new RopeteamError('STORAGE.CORRUPT', { file: path }, `${path} is not a list of rollbacks`);
  return found;
}

/** Adds one, durably. */
export async function addRollback(folder: RunFolder, rollback: Rollback): Promise<readonly Rollback[]> {
  const rollbacks = [...(await readRollbacks(folder)), rollback];
  await writeFileAtomically(pathOf(folder), [new TextEncoder().encode(`${JSON.stringify(rollbacks)}\n`)]);
  return rollbacks;
}

/** The records that stand, in order: behind the first that a rollback has undone there is nothing. */
export function standing(records: readonly LedgerRecord[], rollbacks: readonly Rollback[]): readonly LedgerRecord[] {
  const undone = records.findIndex(({ step, fence }) => rollbacks.some((one) => step >= one.to && fence <= one.fence));
  return undone < 0 ? records : records.slice(0, undone);
}

/** Deletes checkpoints of more steps than this: a rollback has undone them. A crash half way is made good by the next call. */
export async function dropCheckpointsBeyond(folder: RunFolder, steps: number): Promise<void> {
  const beyond = (await listCheckpoints(folder)).filter(({ step }) => step > steps);
  for (const { name } of beyond) await rm(join(folder.checkpointsPath, name), { force: true });
  if (beyond.length > 0) await syncFolder(folder.checkpointsPath);
}

function pathOf(folder: RunFolder): string {
  return join(folder.path, ROLLBACKS_NAME);
}

function parse(text: string): readonly Rollback[] | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) && value.every(isRollback) ? value : undefined;
  } catch (cause) {
    if (cause instanceof SyntaxError) return undefined;
    throw cause;
  }
}

function isRollback(value: unknown): value is Rollback {
  if (typeof value !== 'object' || value === null) return false;
  const { step, to, fence } = value as Record<string, unknown>; // an object: any of its fields may be looked at
  return [step, to, fence].every((each) => Number.isSafeInteger(each) && Number(each) >= 0);
}
