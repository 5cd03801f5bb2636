// The OpenBLAS that the tests of the kernel `blas` need: the system's, else the distribution's package, fetched without
// root into the user's cache and unpacked there. apt checks signatures and hashes as always; nothing is installed.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

const PACKAGE = 'libopenblas0-pthread';
const FILE = 'libopenblas.so.0';
const DEADLINE_MS = 120_000;

/**
 * Environment for whoever runs the tests; empty when the system has the library or none can be had (and then it says so).
 * @param isInstalled does the system have one?
 */
export function openblasEnvironment(isInstalled, environment = process.env) {
  if (isInstalled || environment.ROPETEAM_BLAS_LIBRARY) return {};
  const cache = join(environment.XDG_CACHE_HOME || join(homedir(), '.cache'), 'ropeteam', 'openblas-v1');
  try {
    if (!existsSync(cache)) {
      if (environment.ROPETEAM_NO_FETCH) throw new Error('ROPETEAM_NO_FETCH forbids to fetch one');
      fetchInto(cache);
    }
    return environmentOf(cache, environment);
  } catch (error) {
    console.error(`\n! OpenBLAS is not there and could not be fetched: ${error.message}`);
    console.error(`  fix: apt-get install ${PACKAGE}. Until then the kernel "blas" is not tested.`);
    return {};
  }
}

/** The library by its file, and the libraries it needs in turn by the folders the linker is told to look into. */
function environmentOf(folder, environment) {
  const files = readdirSync(folder, { recursive: true }).map((path) => join(folder, path));
  const library = files.find((path) => path.endsWith(`/${FILE}`) && statSync(path).isFile());
  if (library === undefined) throw new Error(`${folder} holds no ${FILE}; remove that folder`);
  const folders = new Set(files.filter((path) => /\.so(\.\d+)*$/.test(path)).map(dirname));
  if (environment.LD_LIBRARY_PATH) folders.add(environment.LD_LIBRARY_PATH);
  return { ROPETEAM_BLAS_LIBRARY: library, LD_LIBRARY_PATH: [...folders].join(':') };
}

function fetchInto(cache) {
  mkdirSync(dirname(cache), { recursive: true });
  const work = mkdtempSync(join(dirname(cache), '.fetching-openblas-'));
  try {
    const [state, downloads, unpacked] = ['state', 'downloads', 'unpacked'].map((name) => join(work, name));
    for (const folder of [join(state, 'lists/partial'), join(work, 'cache/archives/partial'), downloads, unpacked]) {
      mkdirSync(folder, { recursive: true });
    }
    // The system's own hooks are none of our business; under root apt would fetch as a user who may not enter here.
    const configuration = join(work, 'apt.conf');
    const hooks = ['APT::Update::Pre-Invoke', 'APT::Update::Post-Invoke', 'APT::Update::Post-Invoke-Success'];
    writeFileSync(configuration, [...hooks, 'DPkg::Post-Invoke'].map((hook) => `#clear ${hook};\n`).join(''));
    const settings = [`Dir::State=${state}`, `Dir::Cache=${join(work, 'cache')}`, 'Debug::NoLocking=true'];
    const apt = (...words) =>
      run('apt-get', downloads, [
        ...['-qq', '-c', configuration],
        ...[...settings, 'APT::Sandbox::User=root', 'Acquire::Retries=1'].flatMap((setting) => ['-o', setting]),
        ...words,
      ]);
    const updating = attempt(() => apt('update'));
    try {
      // Asked what an installation would add, apt names the missing libraries itself: no list of ours that could age.
      const plan = apt('--simulate', '--no-install-recommends', 'install', PACKAGE);
      const libraries = [...plan.matchAll(/^Inst (lib\S+)/gm)].map(([, name]) => name);
      apt('download', ...new Set([PACKAGE, ...libraries]));
    } catch (error) {
      // One dead source among several fails the update and still leaves the others' lists: only then it matters.
      throw updating ?? error;
    }
    for (const file of readdirSync(downloads)) run('dpkg', downloads, ['-x', file, unpacked]);
    renameSync(unpacked, cache);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** What `work` failed with, if it did. */
function attempt(work) {
  try {
    work();
    return undefined;
  } catch (error) {
    return error;
  }
}

function run(program, cwd, words) {
  const env = { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' };
  const done = spawnSync(program, words, { cwd, env, timeout: DEADLINE_MS, encoding: 'utf8' });
  if (done.status === 0) return done.stdout;
  throw new Error(done.error?.message ?? (done.stderr.trim().split('\n').at(-1) || `${program} failed`));
}
