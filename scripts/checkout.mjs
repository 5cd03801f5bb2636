// Brings a checkout to the point where dist/ can be run: dependencies installed, sources built. Node only, no packages.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { isCurrentBuild } from './fingerprint.mjs';

/** The checkout's folder as a URL that ends in `/`. */
export const root = new URL('../', import.meta.url);

/** Told in one line; its exit code is the command's. */
export class CheckoutError extends Error {
  constructor(message, exitCode) {
    super(message);
    this.name = 'CheckoutError';
    this.exitCode = exitCode;
  }
}

/**
 * Runs `npm install` unless what the lock file asks for is there. Versions are compared, not file times: a fresh clone or
 * a change of branch moves times without changing anything. Never `npm ci`: it insists on packages of other platforms.
 */
export function installIfMissing() {
  const reason = whyInstall();
  if (reason === undefined) return;
  console.error(`ropeteam: installing dependencies (${reason}) …`);
  const npm = ['install', '--no-fund', '--no-audit', '--loglevel=error'];
  // Under `npm start` npm names its own script; outside of npm the one on PATH is used.
  const script = process.env.npm_execpath;
  const done =
    script !== undefined && /\.[cm]?js$/.test(script)
      ? spawnSync(process.execPath, [script, ...npm], { cwd: root, stdio: ['ignore', 2, 2] })
      : spawnSync('npm', npm, { cwd: root, stdio: ['ignore', 2, 2], shell: process.platform === 'win32' });
  if (done.signal !== null) throw new CheckoutError('ropeteam: interrupted during npm install', 130);
  if (done.status !== 0) {
    throw new CheckoutError(
      'ropeteam: npm install failed; its messages are above. Try it again by hand: npm install',
      3,
    );
  }
}

/** Builds dist/ unless it was built from exactly the sources that are here. */
export function buildIfOld() {
  if (isCurrentBuild(root)) return;
  console.error('ropeteam: building …');
  const done = spawnSync(process.execPath, ['scripts/build.mjs'], { cwd: root, stdio: ['ignore', 2, 2] });
  if (done.signal !== null) throw new CheckoutError('ropeteam: interrupted during the build', 130);
  if (done.status !== 0) throw new CheckoutError('ropeteam: the build failed; its messages are above', 1);
}

function whyInstall() {
  const read = (path) => JSON.parse(readFileSync(new URL(path, root), 'utf8'));
  if (!existsSync(new URL('node_modules/.package-lock.json', root))) return 'first run, about a minute';
  const wanted = read('package-lock.json').packages;
  const there = read('node_modules/.package-lock.json').packages;
  const manifest = read('package.json');
  for (const [kind, recorded] of Object.entries({
    dependencies: wanted[''].dependencies,
    devDependencies: wanted[''].devDependencies,
  })) {
    if (JSON.stringify(sorted(manifest[kind])) !== JSON.stringify(sorted(recorded))) return 'package.json changed';
  }
  for (const [path, { version, optional }] of Object.entries(wanted)) {
    // Optional packages are the binaries of other platforms: absent for a reason.
    if (path !== '' && optional !== true && there[path]?.version !== version) return `${path} is missing or old`;
  }
  return undefined;
}

const sorted = (record = {}) => Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1));
