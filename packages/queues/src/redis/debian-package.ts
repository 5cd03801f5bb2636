/**
 * A Redis server out of the Debian or Ubuntu archive, without root and without touching the system: apt with lists,
 * cache and downloads of its own, packages unpacked but never installed. apt checks signatures and hashes as always.
 */
import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';
import { addCopy, type CopyManifest } from './redis-cache.js';
import { askProgram, findExecutable, type RedisProgram } from './redis-program.js';

const run = promisify(execFile);

/** For the slowest of the commands, the archive's index; all together took 3.3 s on a good line. */
const COMMAND_DEADLINE_MS = 60_000;

export interface FetchOptions {
  readonly cacheDirectory: string;
  readonly searchPath: string;
  readonly signal?: AbortSignal | undefined;
  /** More options for apt-get, after ours. */
  readonly aptOptions?: readonly string[];
}

export async function canFetchDebianPackage(searchPath: string): Promise<boolean> {
  return (await findTools(searchPath)) !== undefined;
}

interface Tools {
  readonly aptGet: string;
  readonly dpkg: string;
}

async function findTools(searchPath: string): Promise<Tools | undefined> {
  const [aptGet, dpkg] = await Promise.all(['apt-get', 'dpkg'].map((name) => findExecutable(name, searchPath)));
  return aptGet === undefined || dpkg === undefined ? undefined : { aptGet, dpkg };
}

/** The distribution's name for people: `Debian GNU/Linux`, `Ubuntu`. */
export async function distributionName(): Promise<string> {
  const text = await readFile('/etc/os-release', 'utf8').catch(() => '');
  return /^NAME="?([^"\n]+)"?$/m.exec(text)?.[1] ?? 'the distribution';
}

/** Fetches, unpacks, tries and caches the archive's redis-server. */
export async function fetchDebianRedis(options: FetchOptions): Promise<RedisProgram> {
  return addCopy(options.cacheDirectory, async (folder) => {
    // The program itself is in the second, the first only links to it.
    const packages = await unpackDebianPackages(folder, ['redis-server', 'redis-tools'], options);
    return describeCopy(folder, packages);
  });
}

/**
 * Unpacks packages of the archive into a folder, with every library the first of them needs that this machine lacks.
 * @returns the names of the package files
 */
export async function unpackDebianPackages(
  folder: string,
  names: readonly string[],
  options: Omit<FetchOptions, 'cacheDirectory'>,
): Promise<readonly string[]> {
  const work = join(folder, 'work');
  const apt = await privateApt(work, names[0] ?? '', options);
  const packages = await downloadPackages(apt, names);
  for (const file of packages) await apt.dpkg('-x', join(apt.downloads, file), folder);
  await rm(work, { recursive: true, force: true });
  return packages;
}

interface PrivateApt {
  readonly downloads: string;
  aptGet(...parameters: string[]): Promise<string>;
  dpkg(...parameters: string[]): Promise<string>;
}

async function privateApt(
  work: string,
  wanted: string,
  options: Omit<FetchOptions, 'cacheDirectory'>,
): Promise<PrivateApt> {
  const tools = await findTools(options.searchPath);
  if (tools === undefined) throw new Error('apt-get and dpkg are not both on the search path');
  const [state, cache, downloads] = [join(work, 'state'), join(work, 'cache'), join(work, 'downloads')];
  for (const folder of [join(state, 'lists/partial'), join(cache, 'archives/partial'), downloads]) {
    await mkdir(folder, { recursive: true });
  }
  // The system's own hooks (emptying the system's cache, refreshing desktop catalogues) are none of our business.
  const configuration = join(work, 'apt.conf');
  const hooks = ['APT::Update::Pre-Invoke', 'APT::Update::Post-Invoke', 'APT::Update::Post-Invoke-Success'];
  await writeFile(configuration, [...hooks, 'DPkg::Post-Invoke'].map((hook) => `#clear ${hook};\n`).join(''));
  const settings = [
    `Dir::State=${state}`,
    `Dir::Cache=${cache}`,
    'Debug::NoLocking=true',
    // Under root apt would fetch as user _apt, who may not enter this private folder.
    'APT::Sandbox::User=root',
    'Acquire::Languages=none',
    'Acquire::Retries=1',
    'Acquire::http::Timeout=15',
    'Acquire::https::Timeout=15',
    ...(options.aptOptions ?? []),
  ];
  const common = ['-qq', '-c', configuration, ...settings.flatMap((setting) => ['-o', setting])];
  const execute = async (command: string, parameters: readonly string[]): Promise<string> => {
    const env = { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' };
    const limits = { timeout: COMMAND_DEADLINE_MS, maxBuffer: 16 * 1024 * 1024, signal: options.signal };
    try {
      return (await run(command, parameters, { cwd: downloads, env, ...limits })).stdout;
    } catch (error) {
      throw new Error(`fetching ${wanted} failed: ${lastLine(error)}`, { cause: error });
    }
  };
  return {
    downloads,
    aptGet: (...parameters) => execute(tools.aptGet, [...common, ...parameters]),
    dpkg: (...parameters) => execute(tools.dpkg, parameters),
  };
}

/** What the command said last, which is what stopped it. */
function lastLine(error: unknown): string {
  const said = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
  return said.split('\n').at(-1) || (error instanceof Error ? error.message : String(error));
}

/** Downloads packages and every library the first needs that this machine lacks; returns the file names. */
async function downloadPackages(apt: PrivateApt, names: readonly string[]): Promise<readonly string[]> {
  // One dead source among several fails the update and still leaves the others' lists: what follows decides.
  const updating = await apt.aptGet('update').catch((error: unknown) => error);
  try {
    // Asked what an installation would add, apt names the missing packages itself: no list of ours that could age.
    const plan = await apt.aptGet('--simulate', '--no-install-recommends', 'install', ...names.slice(0, 1));
    const missing = [...plan.matchAll(/^Inst (\S+)/gm)].map(([, name = '']) => name);
    const libraries = missing.filter((name) => name.startsWith('lib') && !name.startsWith('libjs-'));
    await apt.aptGet('download', ...names, ...libraries);
  } catch (error) {
    throw updating instanceof Error ? updating : error;
  }
  return (await readdir(apt.downloads)).filter((file) => file.endsWith('.deb'));
}

async function describeCopy(
  folder: string,
  packages: readonly string[],
): Promise<{ readonly name: string; readonly manifest: CopyManifest }> {
  const path = join(folder, 'usr/bin/redis-server');
  const libraryFolders = await foldersWithLibraries(folder);
  const program = await askProgram(path, 'fetched', libraryFolders);
  if ('refusedBecause' in program) throw new Error(`the fetched redis-server does not run: ${program.refusedBecause}`);
  const file = packages.find((name) => name.startsWith('redis-server_')) ?? `redis-server_${program.version}`;
  return {
    name: file.replace(/\.deb$/, '').replaceAll(/[^A-Za-z0-9._~+-]/g, '-'),
    manifest: {
      program: relative(folder, path),
      libraryFolders: libraryFolders.map((entry) => relative(folder, entry)),
      packages,
    },
  };
}

async function foldersWithLibraries(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const libraries = entries.filter((entry) => /\.so(\.\d+)*$/.test(entry.name) && !entry.isDirectory());
  return [...new Set(libraries.map((entry) => entry.parentPath))];
}
