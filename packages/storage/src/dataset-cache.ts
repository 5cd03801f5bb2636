/**
 * Prepared data sets that the next run finds again, by what their files hold and how they were prepared.
 *
 * An entry is a folder that appears whole, by a rename. A run links its files into its own folder: what is removed here is
 * not taken from anybody, whoever removes it and when.
 */
import { createHash, randomUUID } from 'node:crypto';
import { link, mkdir, readdir, rename, rm, stat, statfs, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type DatasetInfo, RopeteamError, windowsOf } from '#training';
import { errorCodeOf } from './atomic-file.js';
import { type PrepareOptions, prepareDataset } from './prepare-dataset.js';
import { INFO_FILE, openPreparedDataset, type PreparedDataset, wholeDataset } from './prepared-dataset.js';
import { shardFileName } from './shard-file.js';
import { checkUnchanged, hashSource, lookAtSources, type SourceState } from './source-files.js';

export interface DatasetCache {
  readonly directory: string;
  /** Of all entries; the ones not used for longest go. 0: nothing is kept. */
  readonly maxBytes: number;
}

export interface CachedPreparation extends PrepareOptions {
  readonly cache: DatasetCache;
  /** `all`: every byte of what is found is checked, however much that is. */
  readonly check?: 'all';
}

export interface CachedDataset {
  readonly dataset: PreparedDataset;
  /** It had been prepared before. */
  readonly reused: boolean;
}

/** Raised when the same files and the same spec give other shards. */
const PREPARATION = 'ropeteam-preparation/2';
const HASHES = '.hashes';
const MAKING = '.making-';
const ABANDONED_MS = 24 * 3_600_000;

/**
 * As `prepareDataset`, but what an earlier run prepared of the same files is taken instead.
 * @throws RopeteamError DATA.CHANGED when a file is written to while it is read
 */
export async function prepareCached(options: CachedPreparation): Promise<CachedDataset> {
  const { cache, directory, spec, signal } = options;
  const sources = await lookAtSources(spec, (path) => options.resolve(path));
  const prepare = async (into: string): Promise<PreparedDataset> => {
    const dataset = await prepareDataset({ ...options, directory: into });
    await checkUnchanged(sources);
    return dataset;
  };
  if (cache.maxBytes === 0) return { dataset: await prepare(directory), reused: false };
  await mkdir(cache.directory, { recursive: true });
  const key = await keyOf(options, sources, join(cache.directory, HASHES), signal);
  const found = await findEntry(key, options);
  if (found !== undefined) return { dataset: found, reused: true };

  const making = join(cache.directory, `${MAKING}${process.pid}-${randomUUID()}`);
  try {
    const { info } = await prepare(making);
    if (bytesOf(info) > cache.maxBytes || !(await linkFiles(making, info, directory))) {
      await rm(directory, { recursive: true, force: true });
      await moveFolder(making, directory, prepare);
    } else await keep(making, join(cache.directory, `${key}-${cutOf(info)}`), cache);
    return { dataset: await openPreparedDataset(directory), reused: false };
  } finally {
    await rm(making, { recursive: true, force: true });
  }
}

async function keyOf(
  { spec, seed }: PrepareOptions,
  sources: readonly SourceState[],
  memory: string,
  signal: AbortSignal | undefined,
): Promise<string> {
  const files: string[] = [];
  for (const source of sources) files.push(await hashSource(source, memory, signal));
  return createHash('sha256').update(JSON.stringify({ PREPARATION, spec, seed, files })).digest('hex').slice(0, 40);
}

/** How the training split is cut into shards: part of an entry's name, for the job may ask for another. */
function cutOf({ shards }: DatasetInfo): number {
  const first = shards.find(({ split }) => split === 'train');
  return first === undefined ? 0 : first.end - first.begin;
}

async function findEntry(key: string, options: CachedPreparation): Promise<PreparedDataset | undefined> {
  const { cache, directory, order, check } = options;
  for (const name of await readdir(cache.directory)) {
    if (!name.startsWith(`${key}-`)) continue;
    const entry = join(cache.directory, name);
    const dataset = await wholeDataset(entry, check);
    if (dataset === undefined) {
      await rm(entry, { recursive: true, force: true }); // damaged: made again below
      continue;
    }
    const { info } = dataset;
    const windows = order === undefined ? undefined : windowsOf(order, info).windows;
    if (windows !== undefined && windows.blockRows !== cutOf(info)) continue;
    if (!(await linkFiles(entry, info, directory))) continue;
    const now = new Date();
    await utimes(join(entry, INFO_FILE), now, now).catch(ignoreMissing);
    return openPreparedDataset(directory);
  }
  return undefined;
}

/** Whether all files of a prepared data set are in `into` too now: not if somebody removes them, or on another disk. */
async function linkFiles(from: string, info: DatasetInfo, into: string): Promise<boolean> {
  await rm(into, { recursive: true, force: true });
  await mkdir(into, { recursive: true });
  // The description last: it says that the others are there.
  const names = [...info.shards.map(({ split, index }) => shardFileName(split, index)), INFO_FILE];
  try {
    for (const name of names) await link(join(from, name), join(into, name));
    return true;
  } catch (error) {
    if (['ENOENT', 'EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP', 'ENOSYS'].includes(errorCodeOf(error) ?? '')) return false;
    throw error;
  }
}

/** Where nothing can be linked the run has it alone; on another disk it is made there once more. */
async function moveFolder(
  from: string,
  into: string,
  prepare: (into: string) => Promise<PreparedDataset>,
): Promise<void> {
  await mkdir(dirname(into), { recursive: true });
  try {
    await rename(from, into);
  } catch (error) {
    if (errorCodeOf(error) !== 'EXDEV') throw error;
    await prepare(into);
  }
}

async function keep(making: string, entry: string, cache: DatasetCache): Promise<void> {
  try {
    await rename(making, entry);
  } catch (error) {
    // Somebody else was faster: theirs is the same.
    if (errorCodeOf(error) !== 'ENOTEMPTY' && errorCodeOf(error) !== 'EEXIST') throw error;
  }
  await trimCache(cache, entry);
}

/** Removes what was not used for longest until the rest is small enough, also beside what is free on the disk. */
async function trimCache({ directory, maxBytes }: DatasetCache, except: string): Promise<void> {
  const entries: { readonly path: string; readonly bytes: number; readonly usedMs: number }[] = [];
  for (const name of await readdir(directory)) {
    const path = join(directory, name);
    if (name.startsWith(MAKING)) await removeAbandoned(path);
    if (name.startsWith('.')) continue;
    try {
      const { info } = await openPreparedDataset(path);
      const { mtimeMs } = await stat(join(path, INFO_FILE));
      entries.push({ path, bytes: bytesOf(info), usedMs: mtimeMs });
    } catch (error) {
      const isGone =
        errorCodeOf(error) === 'ENOENT' || (error instanceof RopeteamError && error.code === 'STORAGE.CORRUPT');
      if (!isGone) throw error;
      await rm(path, { recursive: true, force: true });
    }
  }
  let total = entries.reduce((sum, { bytes }) => sum + bytes, 0);
  // Checkpoints need the disk more than the cache does.
  const { bavail, bsize } = await statfs(directory);
  const limit = Math.min(maxBytes, (total + bavail * bsize) / 2);
  for (const { path, bytes } of entries.toSorted((a, b) => a.usedMs - b.usedMs)) {
    if (total <= limit) return;
    if (path === except) continue;
    await rm(path, { recursive: true, force: true });
    total -= bytes;
  }
}

/** What somebody was making when it died; those at work touch their folder with every shard. */
async function removeAbandoned(path: string): Promise<void> {
  const status = await stat(path).catch(ignoreMissing);
  if (status === undefined || Date.now() - status.mtimeMs < ABANDONED_MS) return;
  await rm(path, { recursive: true, force: true });
}

const bytesOf = ({ shards }: DatasetInfo): number => shards.reduce((sum, { bytes }) => sum + bytes, 0);

function ignoreMissing(error: unknown): void {
  if (errorCodeOf(error) !== 'ENOENT') throw error;
}
