/** Redis server programs on this machine: where they are and whether they run. */
import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { LEAST_REDIS_VERSION } from './check-redis.js';
import { isAtLeast } from './redis-info.js';

const run = promisify(execFile);

/** An executable that was asked for its version and answered. */
export interface RedisProgram {
  readonly path: string;
  readonly engine: string;
  readonly version: string;
  readonly source: 'path' | 'cache' | 'fetched';
  /** Folders with the shared libraries it brings along, for LD_LIBRARY_PATH. */
  readonly libraryFolders: readonly string[];
}

/** A program that cannot serve, and why: kept for the error and for `doctor`. */
export interface RefusedProgram {
  readonly path: string;
  readonly refusedBecause: string;
}

const SERVER_NAMES = ['redis-server', 'valkey-server'];

/** Every redis-server, then every valkey-server, in the order of the search path. */
export async function findProgramsOnPath(searchPath: string): Promise<readonly (RedisProgram | RefusedProgram)[]> {
  const found: (RedisProgram | RefusedProgram)[] = [];
  for (const name of SERVER_NAMES) {
    const path = await findExecutable(name, searchPath);
    if (path !== undefined) found.push(await askProgram(path, 'path', []));
  }
  return found;
}

/** The first executable file of this name on the search path. */
export async function findExecutable(name: string, searchPath: string): Promise<string | undefined> {
  for (const folder of searchPath.split(delimiter)) {
    if (folder === '') continue;
    const path = join(folder, name);
    if (await isExecutable(path)) return path;
  }
  return undefined;
}

/** Runs `PROGRAM --version`: proves that it runs at all, libraries included, and tells engine and version. */
export async function askProgram(
  path: string,
  source: RedisProgram['source'],
  libraryFolders: readonly string[],
): Promise<RedisProgram | RefusedProgram> {
  const [command = path, ...prefix] = commandLine({ path, libraryFolders });
  try {
    const { stdout } = await run(command, [...prefix, '--version'], { timeout: 5000 });
    const match = /^(\w+) server v=(\d+\.\d+\.\d+)/i.exec(stdout);
    if (match === null) return { path, refusedBecause: `"--version" answered ${JSON.stringify(stdout.slice(0, 80))}` };
    const [, name = '', version = ''] = match;
    // Every Valkey (7.2 and later) has what is needed; only Redis has versions that are too old.
    if (!isAtLeast(version, LEAST_REDIS_VERSION)) {
      return { path, refusedBecause: `version ${version} is older than ${LEAST_REDIS_VERSION}` };
    }
    return { path, engine: name.toLowerCase(), version, source, libraryFolders };
  } catch (error) {
    return { path, refusedBecause: `"--version" failed: ${error instanceof Error ? error.message : String(error)}` };
  }
}

/** The command that runs a program with its own libraries; `env` replaces itself, so the process id stays the same. */
export function commandLine(program: Pick<RedisProgram, 'path' | 'libraryFolders'>): readonly string[] {
  if (program.libraryFolders.length === 0) return [program.path];
  return ['env', `LD_LIBRARY_PATH=${program.libraryFolders.join(':')}`, program.path];
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false; // not there or not ours to run: the next folder may have it
  }
}
