/**
 * The folder of one run: `job.yaml`, `events.ndjson`, `ledger.ndjson`, `checkpoints/`, `model/`, and until it is over for
 * good `submission.json` with the files of `uploads/`, and `data/`.
 */
import { mkdir, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Fence, RunId } from '#training';
import { fence as checkedFence, failpoint, isRunId, RopeteamError } from '#training';
import { errorCodeOf, writeError, writeFileAtomically } from './atomic-file.js';

/** The file that holds the highest fence taken. */
export const FENCE_NAME = 'fence';

export interface RunFolder {
  readonly run: RunId;
  readonly path: string;
  readonly jobPath: string;
  readonly eventsPath: string;
  readonly ledgerPath: string;
  readonly checkpointsPath: string;
  readonly modelPath: string;
  /** Shard files of the prepared data set. */
  readonly dataPath: string;
  /** What was submitted: the record, and the files that came with it. */
  readonly submissionPath: string;
  readonly uploadsPath: string;
}

/**
 * Makes the folder of a new run.
 * @param options.orphan `reuse`: also one in which nothing was written down yet
 * @throws RopeteamError RUN.EXISTS when there is one of that name, STORAGE.WRITE
 */
export async function createRunFolder(
  root: string,
  run: RunId,
  { orphan = 'refuse' }: { readonly orphan?: 'refuse' | 'reuse' } = {},
): Promise<RunFolder> {
  const folder = pathsOf(root, run);
  try {
    await mkdir(root, { recursive: true });
    await mkdir(folder.path).catch(async (cause: unknown) => {
      // A crash left it between its making and the writing down of what was submitted: nobody was told of that run.
      const reusable = orphan === 'reuse' && errorCodeOf(cause) === 'EEXIST' && (await isEmptyHanded(folder));
      if (!reusable) throw cause;
    });
    await makeInnerFolders(folder);
  } catch (cause) {
    if (errorCodeOf(cause) !== 'EEXIST') throw writeError(folder.path, cause);
    throw new RopeteamError('RUN.EXISTS', { run }, `there is already a run ${run} in ${root}`, {
      cause,
      hint: 'choose another --run-id',
    });
  }
  return folder;
}

/** The folders within one of a run, where a copy that came back has none: object storage knows no empty ones. */
export async function makeInnerFolders({
  checkpointsPath,
  modelPath,
  dataPath,
  uploadsPath,
}: RunFolder): Promise<void> {
  for (const path of [checkpointsPath, modelPath, dataPath, uploadsPath]) await mkdir(path, { recursive: true });
}

async function isEmptyHanded({ submissionPath, eventsPath, jobPath }: RunFolder): Promise<boolean> {
  for (const path of [submissionPath, eventsPath, jobPath]) {
    if ((await stat(path).catch((error: unknown) => errorCodeOf(error))) !== 'ENOENT') return false;
  }
  return true;
}

/** The folder of a run that was made before. @throws RopeteamError RUN.UNKNOWN */
export async function openRunFolder(root: string, run: RunId): Promise<RunFolder> {
  const folder = pathsOf(root, run);
  const status = await stat(folder.path).catch(async (cause: unknown) => {
    throw await unknownRun(root, run, cause);
  });
  if (!status.isDirectory()) throw await unknownRun(root, run, undefined);
  return folder;
}

/**
 * Whether runs can go into a folder, which may not be there yet. Writes nothing.
 * @throws RopeteamError USAGE.ARGUMENT when it is a file, or lies below one
 */
export async function checkRunsFolder(root: string): Promise<void> {
  const isFolder = await stat(root).then(
    (found) => found.isDirectory(),
    (error: unknown) => errorCodeOf(error) !== 'ENOTDIR', // what else is wrong is told when it is made
  );
  if (isFolder) return;
  const message = `runs cannot go into ${root}: it is a file, or lies below one`;
  throw new RopeteamError('USAGE.ARGUMENT', { argument: '--out' }, message, { hint: 'name a folder with --out' });
}

/** Every folder below `root` that may be one of a run, by its name alone. */
export async function listRunFolders(root: string): Promise<readonly RunFolder[]> {
  const entries = await readdir(root, { withFileTypes: true });
  return entries.flatMap((entry) => {
    return entry.isDirectory() && isRunId(entry.name) ? [pathsOf(root, entry.name)] : []; // others are somebody else's
  });
}

/**
 * Takes a fence for a coordinator that starts to write: `wanted`, or one more than any fence taken before, whichever is
 * larger. Kept in the folder itself, so that it also rises when Redis has forgotten everything.
 */
export async function takeFence(folder: RunFolder, wanted: Fence): Promise<Fence> {
  const taken = checkedFence(Math.max(wanted, (await currentFence(folder)) + 1));
  await writeFileAtomically(fencePath(folder), [new TextEncoder().encode(`${taken}\n`)]);
  failpoint('after-fence');
  return taken;
}

/** Refuses a writer whose place another coordinator has taken. @throws RopeteamError COORD.FENCED */
export async function checkFence(folder: RunFolder, held: number): Promise<void> {
  const current = await currentFence(folder);
  if (held >= current) return;
  throw new RopeteamError(
    'COORD.FENCED',
    { held, current },
    `fence ${held} may no longer write to ${folder.path}: another coordinator holds fence ${current}`,
    { hint: 'nothing is to be done: the run goes on there' },
  );
}

/** The highest fence that was taken in this folder; -1 before the first. @throws RopeteamError STORAGE.CORRUPT */
export async function currentFence(folder: RunFolder): Promise<number> {
  let text: string;
  try {
    text = await readFile(fencePath(folder), 'utf8');
  } catch (cause) {
    if (errorCodeOf(cause) === 'ENOENT') return -1;
    throw cause;
  }
  if (/^\d{1,15}\n$/.test(text)) return Number(text);
  throw new RopeteamError('STORAGE.CORRUPT', { file: fencePath(folder) }, `${fencePath(folder)} does not hold a fence`);
}

function fencePath(folder: RunFolder): string {
  return join(folder.path, FENCE_NAME);
}

function pathsOf(root: string, run: RunId): RunFolder {
  const path = join(root, run);
  return {
    run,
    path,
    jobPath: join(path, 'job.yaml'),
    eventsPath: join(path, 'events.ndjson'),
    ledgerPath: join(path, 'ledger.ndjson'),
    checkpointsPath: join(path, 'checkpoints'),
    modelPath: join(path, 'model'),
    dataPath: join(path, 'data'),
    submissionPath: join(path, 'submission.json'),
    uploadsPath: join(path, 'uploads'),
  };
}

const MOST_NAMED = 8;

async function unknownRun(root: string, run: RunId, cause: unknown): Promise<RopeteamError> {
  const names = await listRunFolders(root).then(
    (folders) => folders.map((folder) => folder.run),
    () => [], // no folder, no runs
  );
  const more = names.length > MOST_NAMED ? `, … (${names.length})` : '';
  const hint =
    names.length === 0
      ? 'there is none: name the folder of a run, for example runs/digits-1'
      : `the runs there are ${names.slice(0, MOST_NAMED).join(', ')}${more}`;
  return new RopeteamError('RUN.UNKNOWN', { run }, `there is no run ${run} in ${root}`, { cause, hint });
}
