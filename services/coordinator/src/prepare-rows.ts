/** The rows of a run as shards on disk: those it had, those an earlier run prepared, or read from its files. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { downloadObject } from '#objects';
import {
  expandSources,
  listAmong,
  listInside,
  type PreparedDataset,
  prepareCached,
  readLedger,
  resolveInside,
  wholeDataset,
} from '#storage';
import { type DataSpec, describeFiles, isObjectUrl, RopeteamError } from '#training';
import type { RunEntry } from './run-book.js';
import type { RunContext } from './run-context.js';

const TELL_EVERY_MS = 1_000;

/** @throws RopeteamError DATA, CONFIG, STORAGE.WRITE; DATA.CHANGED when a run that goes on would do so on other rows */
export async function prepareRows(
  { configuration, log }: RunContext,
  entry: RunEntry,
  signal: AbortSignal,
): Promise<PreparedDataset> {
  const { job, folder, events } = entry;
  const begunAt = performance.now();
  const whole = entry.earlier === undefined ? undefined : await wholeDataset(folder.dataPath);
  if (whole !== undefined && (await otherRows(entry, whole)) === undefined) return whole;
  let toldAt = begunAt;
  const { dataset, reused } = await prepareCached({
    spec: await filesOf(entry, signal),
    order: job.train,
    seed: job.train.seed,
    resolve: (path) =>
      isObjectUrl(path) ? objectOf(path, entry, { configuration, log }, signal) : fileOf(entry, path),
    directory: folder.dataPath,
    cache: configuration.dataCache,
    // Something was wrong with what this run had, which may be the very same files.
    ...(entry.earlier === undefined ? {} : { check: 'all' as const }),
    signal,
    onProgress: (rows) => {
      const now = performance.now();
      if (now - toldAt < TELL_EVERY_MS) return;
      toldAt = now;
      events.append({ event: 'data_progressed', rows });
    },
  });
  const changed = await otherRows(entry, dataset);
  if (changed !== undefined) {
    // Else the next attempt would take them for the run's own.
    await rm(folder.dataPath, { recursive: true, force: true });
    throw changed;
  }
  const { shards, samples } = dataset.info;
  const told = {
    samples: samples.train + samples.validation + samples.test,
    bytes: shards.reduce((sum, { bytes }) => sum + bytes, 0),
    shards: shards.length,
    seconds: (performance.now() - begunAt) / 1000,
    reused,
  };
  events.append({ event: 'data_prepared', ...told });
  log.info('data_prepared', told);
  return dataset;
}

/** Why a run that has begun can't go on with these rows; undefined: they are what it was begun with. */
async function otherRows(
  { earlier, folder, job }: RunEntry,
  { info }: PreparedDataset,
): Promise<RopeteamError | undefined> {
  if (earlier?.begun !== true) return undefined;
  const [first] = await readLedger(folder.ledgerPath);
  const begunWith = first?.origin?.dataSha256;
  if (begunWith === undefined || begunWith === info.dataSha256) return undefined;
  const file = describeFiles(job.data.source);
  const message = `${file} is not what run ${folder.run} was begun with: the data have sha256 ${info.dataSha256}, not ${begunWith}`;
  return new RopeteamError('DATA.CHANGED', { file }, message, {
    hint: 'put the file back as it was and resume, or train it anew as another run',
  });
}

/** The job's data, with names for patterns: of what was uploaded with it, or else of the folder it was started for. */
function filesOf({ job, files, dataRoot }: RunEntry, signal: AbortSignal): Promise<DataSpec> {
  const uploaded = listAmong(files.map(({ path }) => path));
  const list = async (pattern: string): Promise<readonly string[]> => {
    const found = await uploaded(pattern);
    return found.length > 0 || dataRoot === undefined ? found : listInside(dataRoot, signal)(pattern);
  };
  return expandSources(job.data, list, dataRoot === undefined ? 'the files that came with the job' : 'the data folder');
}

/** Kept as an upload is, until the run is over for good. */
async function objectOf(
  url: string,
  { folder }: RunEntry,
  { configuration, log }: Pick<RunContext, 'configuration' | 'log'>,
  signal: AbortSignal,
): Promise<string> {
  const begunAt = performance.now();
  const path = await downloadObject(url, join(folder.uploadsPath, 'objects'), {
    ...configuration.objectStore(),
    signal,
  });
  log.info('object_fetched', { url, seconds: (performance.now() - begunAt) / 1000 });
  return path;
}

/** Where the bytes of a file that the job names are: uploaded with it, or below the folder it was started for. */
async function fileOf({ files, dataRoot }: RunEntry, path: string): Promise<string> {
  const file = files.find((candidate) => candidate.path === path);
  if (file !== undefined) return file.storedAt;
  if (dataRoot !== undefined) return resolveInside(dataRoot, path);
  const message = `the job names the file ${JSON.stringify(path)}, which was not uploaded with it`;
  throw new RopeteamError('DATA.FILE', { file: path }, message, {
    hint: 'submit the job with `ropeteam submit`, which uploads the files it names',
  });
}
