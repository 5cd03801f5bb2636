/** Private copies of a Redis server in the user's cache folder. Complete or not there: a copy is moved in as a whole. */
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { isAbsolute, join, normalize } from 'node:path';
import { isAtLeast } from './redis-info.js';
import { askProgram, type RedisProgram } from './redis-program.js';

/** Raised when the layout of a copy changes; older layouts are then simply not seen. */
const LAYOUT = 'redis-v1';
const MANIFEST = 'copy.json';
const ABANDONED_AFTER_MS = 60 * 60 * 1000;

/** What `copy.json` says of the copy beside it. Paths are relative to the copy's folder. */
export interface CopyManifest {
  readonly program: string;
  readonly libraryFolders: readonly string[];
  /** Name and version of the packages it was taken from. */
  readonly packages: readonly string[];
}

/** The newest private copy that runs on this machine. */
export async function findCachedProgram(cacheDirectory: string): Promise<RedisProgram | undefined> {
  const root = join(cacheDirectory, LAYOUT);
  if (!(await isOwnFolder(root))) return undefined;
  let newest: RedisProgram | undefined;
  for (const entry of await readdir(root)) {
    if (entry.startsWith('.')) continue;
    const program = await readCopy(join(root, entry));
    if (program !== undefined && (newest === undefined || isAtLeast(program.version, newest.version))) newest = program;
  }
  return newest;
}

/**
 * Makes a copy in a folder of its own beside the cache, then moves it in under `name`.
 * Two processes may do it at once: one move succeeds, the other's folder is thrown away and the first one's is used.
 */
export async function addCopy(
  cacheDirectory: string,
  make: (folder: string) => Promise<{ readonly name: string; readonly manifest: CopyManifest }>,
): Promise<RedisProgram> {
  const root = join(cacheDirectory, LAYOUT);
  await mkdir(root, { recursive: true, mode: 0o700 });
  if (!(await isOwnFolder(root))) throw new Error(`${root} can be written by others: no program is run from there`);
  await removeAbandoned(root);
  const temporary = await mkdtemp(join(root, '.fetching-'));
  try {
    const { name, manifest } = await make(temporary);
    await writeFile(join(temporary, MANIFEST), `${JSON.stringify(manifest, undefined, 2)}\n`);
    return { ...(await moveIn(temporary, join(root, name))), source: 'fetched' };
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/** Gives a finished copy its name, unless one of that name is there and runs. */
async function moveIn(temporary: string, folder: string): Promise<RedisProgram> {
  if (await moved(temporary, folder)) return runningCopy(folder);
  const present = await readCopy(folder);
  if (present !== undefined) return present;
  // It no longer runs, for example because a library of the system went: make way. Never removed under its own name,
  // where between looking and removing it might have become somebody else's good copy.
  const aside = `${temporary}-replaced`;
  try {
    await rename(folder, aside);
    await moved(temporary, folder);
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
  return runningCopy(folder);
}

/** False when the name is taken. */
async function moved(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOTEMPTY' || code === 'EEXIST') return false;
    throw error;
  }
}

async function runningCopy(folder: string): Promise<RedisProgram> {
  const program = await readCopy(folder);
  if (program === undefined) throw new Error(`the copy in ${folder} does not run on this machine`);
  return program;
}

async function readCopy(folder: string): Promise<RedisProgram | undefined> {
  const manifest = await readManifest(join(folder, MANIFEST));
  if (manifest === undefined) return undefined;
  const program = await askProgram(
    join(folder, manifest.program),
    'cache',
    manifest.libraryFolders.map((relative) => join(folder, relative)),
  );
  return 'refusedBecause' in program ? undefined : program;
}

async function readManifest(file: string): Promise<Pick<CopyManifest, 'program' | 'libraryFolders'> | undefined> {
  try {
    const value: unknown = JSON.parse(await readFile(file, 'utf8'));
    if (typeof value !== 'object' || value === null) return undefined;
    const { program, libraryFolders }: Partial<Record<keyof CopyManifest, unknown>> = value;
    if (typeof program !== 'string' || !Array.isArray(libraryFolders)) return undefined;
    const folders = libraryFolders.filter((entry) => typeof entry === 'string');
    return [program, ...folders].every(staysInside) ? { program, libraryFolders: folders } : undefined;
  } catch {
    return undefined; // no copy, or the rest of one: as if it were not there, the next fetch replaces it
  }
}

const staysInside = (path: string): boolean => !isAbsolute(path) && !normalize(path).startsWith('..');

/** A program is only run from a folder that no other user could have put it into. */
async function isOwnFolder(folder: string): Promise<boolean> {
  const entry = await stat(folder).catch(() => undefined);
  if (entry === undefined || !entry.isDirectory()) return false;
  return entry.uid === process.getuid?.() && (entry.mode & 0o022) === 0;
}

/** Folders of fetches that were killed half way. */
async function removeAbandoned(root: string): Promise<void> {
  for (const entry of await readdir(root)) {
    if (!entry.startsWith('.fetching-')) continue;
    const folder = join(root, entry);
    const { mtimeMs } = await stat(folder).catch(() => ({ mtimeMs: Date.now() }));
    if (Date.now() - mtimeMs > ABANDONED_AFTER_MS) await rm(folder, { recursive: true, force: true });
  }
}
