/** Runs that come back from object storage to a coordinator whose folder is empty. */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Bucket, fetchRun } from '#objects';
import { isDurableName, listRunFolders } from '#storage';
import type { Logger } from '#telemetry';
import { isRunId, RopeteamError } from '#training';

/** In the runs folder: what is being fetched. It is there until everything was, so that a crash in between is made good for. */
const MAKING = '.fetching';

/**
 * Brings back every run that storage has and the folder lacks, if the folder has none, or a fetching that did not end.
 * @param first awaited before anything is looked at there
 * @throws RopeteamError STORAGE.OBJECT when storage cannot be read; a damaged copy is passed over and logged
 */
export async function fetchRunsBack(
  bucket: Bucket,
  runsDirectory: string,
  log: Logger,
  first: () => Promise<void>,
): Promise<void> {
  const here = new Set((await listRunFolders(runsDirectory)).map(({ run }) => String(run)));
  const wasFetching = (await readdir(runsDirectory)).includes(MAKING);
  if (here.size > 0 && !wasFetching) return;
  await first();
  const making = join(runsDirectory, MAKING);
  await mkdir(making, { recursive: true });
  let whole = true;
  for (const run of (await bucket.folders()).filter((name) => isRunId(name) && !here.has(name))) {
    const begunAt = performance.now();
    try {
      const options = { mayBe: isDurableName, making: join(making, run) };
      const manifest = await fetchRun(bucket, run, join(runsDirectory, run), options);
      if (manifest === undefined) continue; // its first copy was never finished
      const { writtenAt, files } = manifest;
      const seconds = (performance.now() - begunAt) / 1000;
      log.info('run_fetched', { run, from: bucket.url, writtenAt, files: files.length, seconds });
    } catch (error) {
      if (!(error instanceof RopeteamError) || error.code !== 'STORAGE.CORRUPT') throw error;
      whole = false;
      log.error('run_not_fetched', { run, code: error.code, message: error.message });
    }
  }
  if (whole) await rm(making, { recursive: true, force: true });
}
