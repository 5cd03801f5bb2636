/** A submitted job in its run's folder: what a coordinator needs to begin, or begin again, without asking anybody. */
import { open, readFile, rename, rm, rmdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Submission, UploadedFile } from '#training';
import { failpoint, RopeteamError } from '#training';
import { errorCodeOf, syncFolder, writeError, writeFileAtomically } from './atomic-file.js';
import type { RunFolder } from './run-folder.js';

const FORMAT = 'ropeteam-submission/1';

export interface KeptSubmission extends Omit<Submission, 'runId'> {
  /** ISO 8601. */
  readonly submittedAt: string;
  /** Files that were not uploaded are below this folder, on the coordinator's machine. */
  readonly dataRoot?: string;
}

/**
 * Moves the files of a submission into the run's folder and writes it down. When it resolves, all of it survives a crash.
 * @throws RopeteamError STORAGE.WRITE
 */
export async function keepSubmission(folder: RunFolder, submission: KeptSubmission): Promise<KeptSubmission> {
  const { jobText, jobFile, submittedAt, files, initFrom, dataRoot } = submission;
  const uploads = new Set([...files, ...Object.values(initFrom ?? {})].map(({ storedAt }) => dirname(storedAt)));
  let number = 0;
  const keep = async (file: UploadedFile): Promise<UploadedFile> => {
    // Readers tell formats by the extension, which a number in front leaves alone.
    const storedAt = join(folder.uploadsPath, `${number++}-${basename(file.storedAt)}`);
    await rename(file.storedAt, storedAt);
    await using stored = await open(storedAt, 'r+');
    await stored.sync();
    return { ...file, storedAt };
  };
  try {
    const kept: UploadedFile[] = [];
    for (const file of files) kept.push(await keep(file));
    const weights = initFrom === undefined ? undefined : await keep(initFrom.weights);
    const model = initFrom?.model === undefined ? undefined : await keep(initFrom.model);
    await syncFolder(folder.uploadsPath);
    failpoint('after-upload-kept');
    const from = weights === undefined ? {} : { initFrom: { weights, ...(model === undefined ? {} : { model }) } };
    const place = dataRoot === undefined ? {} : { dataRoot };
    const result: KeptSubmission = { jobText, jobFile, submittedAt, files: kept, ...place, ...from };
    // Names alone: the folder may be moved.
    const text = JSON.stringify({ format: FORMAT, ...result }, (key, value: unknown) =>
      key === 'storedAt' ? basename(String(value)) : value,
    );
    await writeFileAtomically(folder.submissionPath, [new TextEncoder().encode(`${text}\n`)]);
    await syncFolder(dirname(folder.path));
    failpoint('after-submission-kept');
    for (const upload of uploads) await rmdir(upload);
    return result;
  } catch (error) {
    throw error instanceof RopeteamError ? error : writeError(folder.path, error);
  }
}

/** What was submitted; undefined where the folder has none. @throws RopeteamError STORAGE.CORRUPT */
export async function readSubmission(folder: RunFolder): Promise<KeptSubmission | undefined> {
  const path = folder.submissionPath;
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (errorCodeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const { format, ...kept } = JSON.parse(text, (key, value: unknown) =>
      key === 'storedAt' ? join(folder.uploadsPath, String(value)) : value,
    ) as KeptSubmission & { readonly format: unknown }; // we wrote it: see `keepSubmission`
    if (format === FORMAT) return kept;
  } catch (cause) {
    throw new RopeteamError('STORAGE.CORRUPT', { file: path }, `${path} is not JSON`, { cause });
  }
  throw new RopeteamError('STORAGE.CORRUPT', { file: path }, `${path} is not of the format ${FORMAT}`);
}

/** Removes what only a run that may go on needs: its prepared data, and the files it was submitted with. */
export async function forgetInputs(folder: RunFolder): Promise<void> {
  for (const path of [folder.dataPath, folder.uploadsPath]) await rm(path, { recursive: true, force: true });
}
