/** The files of a run's folder from which it can go on elsewhere, in an order in which they can be copied while it trains. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCodeOf } from './atomic-file.js';
import { listCheckpoints } from './checkpoint.js';
import { MODEL_FILES } from './model-file.js';
import { ROLLBACKS_NAME } from './rollbacks.js';
import { FENCE_NAME, type RunFolder } from './run-folder.js';

export interface DurableFile {
  /** Below the run's folder, with `/`. */
  readonly name: string;
  readonly path: string;
  /** `grows`: appended to while it keeps its inode. `whole`: replaced by another, never written to. */
  readonly kind: 'grows' | 'whole';
}

/** The newest, and one to fall back on. */
const CHECKPOINTS = 2;
const FIXED = ['submission.json', 'job.yaml', 'events.ndjson', 'ledger.ndjson', ROLLBACKS_NAME, FENCE_NAME] as const;
const MODEL = Object.values(MODEL_FILES).map((name) => `model/${name}`);
const CHECKPOINT = /^checkpoints\/step-\d{8,16}\.safetensors$/;
/** As `keepSubmission` names them: a number, and the last part of a name. */
const UPLOAD = /^uploads\/\d{1,9}-[^/\\\0]+$/;

/** Whether a run's folder may hold a durable file of this name; no such name leads out of the folder. */
export function isDurableName(name: string): boolean {
  const fixed: readonly string[] = [...FIXED, ...MODEL];
  return fixed.includes(name) || CHECKPOINT.test(name) || UPLOAD.test(name);
}

/**
 * Names each file when its turn has come to be read. A copy made in this order is a folder that a coordinator might have left
 * when it died: events come first, so that none tells of a model or checkpoint that is not in the copy; checkpoints before the
 * ledger, which vouches for the steps in them; rollbacks and fence last, for what they undo must not stand without them.
 * Prepared rows are left out: they are made again from the submission.
 */
export async function* durableFiles(folder: RunFolder): AsyncGenerator<DurableFile> {
  const file = (name: string, kind: DurableFile['kind'] = 'whole'): DurableFile => {
    return { name, path: join(folder.path, name), kind };
  };
  yield file('submission.json');
  yield file('events.ndjson', 'grows');
  yield file('job.yaml');
  for (const name of await namesIn(folder.uploadsPath)) {
    if (UPLOAD.test(`uploads/${name}`)) yield file(`uploads/${name}`);
  }
  const checkpoints = (await namesIn(folder.checkpointsPath)).length === 0 ? [] : await listCheckpoints(folder);
  for (const { name } of checkpoints.slice(-CHECKPOINTS)) yield file(`checkpoints/${name}`);
  yield file('ledger.ndjson', 'grows');
  for (const name of MODEL) yield file(name);
  yield file(ROLLBACKS_NAME);
  yield file(FENCE_NAME);
}

async function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch((error: unknown) => {
    if (errorCodeOf(error) === 'ENOENT') return [];
    throw error;
  });
}
