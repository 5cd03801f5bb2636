/** A job file as the user names it, checked here before anything is started or sent. */
import { randomBytes } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { formatJob, parseJob, readJobFile } from '#job';
import type { LocalFile, LocalSubmission } from '#protocol';
import { checkInitialWeights, expandSources, listInside, MODEL_FILES, resolveInside, sourceNames } from '#storage';
import { type DataSpec, isObjectUrl, type JobSpec, type RunId, runId, runIdPart } from '#training';

export interface JobInput {
  readonly job: JobSpec;
  /** What is submitted: the file as written, or the whole effective job where the command line changed something. */
  readonly text: string;
  readonly file: string;
  /** Folder of the job file, which its data files are in. */
  readonly root: string;
  /** The job's data, with the names of files instead of patterns. */
  readonly data: DataSpec;
  /** Data files: as the job writes them, and where they are. */
  readonly files: readonly LocalFile[];
  /** The weights to start from, and the description beside them if there is one. */
  readonly initFrom?: NonNullable<LocalSubmission['initFrom']>;
}

export interface JobOverrides {
  /** `--set train.epochs=3`, in the order given. */
  readonly set: readonly string[];
  /** `--seed 5` is `--set train.seed=5`. */
  readonly seed?: number;
  /** `--save-every 500` is `--set checkpoint.everySteps=500`. */
  readonly saveEvery?: number;
  /** `--init-from`: a safetensors file; relative to where the user is, not to the job. */
  readonly initFrom?: string;
}

/** Reads and checks a job file with the command line's changes applied. @throws RopeteamError CONFIG.* with frames, DATA.OUTSIDE_ROOT, DATA.FILE, MODEL.INIT */
export async function loadJob(path: string, directory: string, overrides: JobOverrides): Promise<JobInput> {
  const { text: written } = await readJobFile(path);
  const changes = changesOf(overrides);
  const job = parseJob(written, path, changes);
  // A job file may come from anybody: it names files of its own folder, and what is uploaded is only those.
  const root = resolve(directory, dirname(path));
  const files: { path: string; absolutePath: string }[] = [];
  const data = await expandSources(job.data, listInside(root), root);
  // Objects are the coordinator's to fetch.
  for (const one of sourceNames(data).filter((name) => !isObjectUrl(name)))
    files.push({ path: one, absolutePath: await resolveInside(root, one) });
  const initFrom =
    overrides.initFrom === undefined ? {} : { initFrom: await initialFiles(overrides.initFrom, directory) };
  return { job, text: changes.length === 0 ? written : formatJob(job), file: path, root, data, files, ...initFrom };
}

/** A name for a run that was given none: the job's, and digits that tell runs of it apart. */
export function newRunId({ job }: JobInput): RunId {
  return runId(`${runIdPart(job.name)}-${randomBytes(2).toString('hex')}`);
}

/** What is submitted of it. */
export function submissionOf(input: JobInput, run: string | undefined): LocalSubmission {
  const { text, file, files, initFrom } = input;
  return {
    jobText: text,
    jobFile: file,
    files,
    ...(run === undefined ? {} : { runId: run }),
    ...(initFrom === undefined ? {} : { initFrom }),
  };
}

function changesOf({ set, seed, saveEvery }: JobOverrides): readonly string[] {
  return [
    ...set,
    ...(seed === undefined ? [] : [`train.seed=${seed}`]),
    ...(saveEvery === undefined ? [] : [`checkpoint.everySteps=${saveEvery}`]),
  ];
}

/** A file that can't be one of weights is refused here, before anything is started or sent. */
async function initialFiles(path: string, directory: string): Promise<NonNullable<JobInput['initFrom']>> {
  const absolutePath = resolve(directory, path);
  const name = basename(absolutePath);
  await checkInitialWeights({ path: absolutePath, name: path });
  const weights = { path: name, absolutePath };
  const beside = join(dirname(absolutePath), MODEL_FILES.description);
  const isThere = await stat(beside).then(
    (status) => status.isFile(),
    () => false,
  );
  return isThere ? { weights, model: { path: MODEL_FILES.description, absolutePath: beside } } : { weights };
}
