/** A job file as the user names it, checked here before anything is started or sent. */
import { dirname, resolve } from 'node:path';
import { formatJob, parseJob, readJobFile } from '#job';
import { resolveInside } from '#storage';
import type { JobSpec } from '#training';

export interface JobInput {
  readonly job: JobSpec;
  /** What is submitted: the file as written, or the whole effective job where the command line changed something. */
  readonly text: string;
  readonly file: string;
  /** Data files: as the job writes them, and where they are. */
  readonly files: readonly { readonly path: string; readonly absolutePath: string }[];
}

export interface JobOverrides {
  /** `--set train.epochs=3`, in the order given. */
  readonly set: readonly string[];
  /** `--seed 5` is `--set train.seed=5`. */
  readonly seed?: number;
}

/** Reads and checks a job file with the command line's changes applied. @throws RopeteamError CONFIG.* with frames, DATA.OUTSIDE_ROOT, DATA.FILE */
export async function loadJob(path: string, directory: string, overrides: JobOverrides): Promise<JobInput> {
  const { text: written } = await readJobFile(path);
  const changes = [...overrides.set, ...(overrides.seed === undefined ? [] : [`train.seed=${overrides.seed}`])];
  const job = parseJob(written, path, changes);
  // A job file may come from anybody: it names files of its own folder, and what is uploaded is only those.
  const root = resolve(directory, dirname(path));
  const files: { path: string; absolutePath: string }[] = [];
  for (const one of dataPaths(job)) files.push({ path: one, absolutePath: await resolveInside(root, one) });
  return { job, text: changes.length === 0 ? written : formatJob(job), file: path, files };
}

/** Every file a job names, as it names them. */
export function dataPaths({ data }: JobSpec): readonly string[] {
  const splits = [data.split.validation, data.split.test].flatMap((split) =>
    split.kind === 'file' ? [split.path] : [],
  );
  return [...new Set([data.source, ...splits])];
}
