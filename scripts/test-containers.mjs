// `npm run test:containers`: builds the image, then really runs the rendered manifests in containers and trains in them.
// Everything happens in namespaces and a folder of its own: what is left of it when it ends is the cached base system.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildIfOld, CheckoutError, installIfMissing, root } from './checkout.mjs';
import { buildImages } from './container-image.mjs';

const PROGRAMS = ['buildah', 'podman', 'runc', 'catatonit', 'debootstrap', 'unshare', 'ip', 'tar', 'unzip'];
const PACKAGES = 'buildah podman runc catatonit containernetworking-plugins iptables debootstrap iproute2 unzip';
/** Of programs that keep state in fixed places: empty ones in the namespace, and nothing of it on this machine. */
const PRIVATE_PLACES = ['/run', '/var/lib/cni', '/var/lib/containers'];
const TESTS_DEADLINE_MS = 400_000;
const CGROUPS = '/sys/fs/cgroup';
const ENGINE_CGROUP = 'libpod_parent';

function main() {
  const reason = whyNot();
  if (reason !== undefined) {
    console.error(`! the tests of image and containers are skipped: ${reason}`);
    return;
  }
  installIfMissing();
  buildIfOld();
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'ropeteam');
  const folder = mkdtempSync(join(tmpdir(), 'ropeteam-containers-'));
  const startedAt = Date.now();
  const note = (text) => console.error(`── ${text} (${Math.round((Date.now() - startedAt) / 1000)} s)`);
  try {
    buildImages(cache, folder, note);
    note('running the tests in namespaces of their own');
    process.exitCode = runTests(folder);
    note('done');
  } finally {
    rmSync(folder, { recursive: true, force: true });
    removeEmptyCgroups();
  }
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  const left = mounts.filter((mount) => mount.includes(folder)).concat(existsSync(folder) ? [folder] : []);
  if (left.length > 0) throw new CheckoutError(`the tests of containers left something behind:\n${left.join('\n')}`, 1);
}

function whyNot() {
  if (process.platform !== 'linux') return 'they need Linux';
  if (process.getuid() !== 0) return 'they need root, for namespaces and mounts';
  const missing = PROGRAMS.filter((name) => spawnSync('sh', ['-c', `command -v ${name}`]).status !== 0);
  if (missing.length > 0) return `${missing.join(', ')} not installed. fix: apt-get install ${PACKAGES}`;
  if (spawnSync('unshare', NAMESPACES.concat('true')).status !== 0) return 'namespaces cannot be made here';
  return undefined;
}

const NAMESPACES = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];

/** When the first process of the namespaces ends, all containers, mounts and networks in them end with it. */
function runTests(folder) {
  const prepare = [
    'ip link set lo up',
    ...PRIVATE_PLACES.map((place) => `mkdir -p ${place} && mount -t tmpfs tmpfs ${place}`),
    'exec catatonit -- "$@"',
  ].join(' && ');
  const vitest = fileURLToPath(new URL('node_modules/vitest/vitest.mjs', root));
  const test = [process.execPath, vitest, 'run', 'dist/test/containers', ...process.argv.slice(2)];
  const done = spawnSync('unshare', [...NAMESPACES, 'sh', '-c', prepare, 'sh', ...test], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ROPETEAM_TEST_CONTAINERS: folder },
    timeout: TESTS_DEADLINE_MS,
    killSignal: 'SIGKILL',
  });
  return done.status ?? 1;
}

/** The engine leaves its empty cgroups, which belong to no namespace. One that somebody is in cannot be removed. */
function removeEmptyCgroups() {
  for (const controller of readdirSync(CGROUPS)) removeTree(join(CGROUPS, controller, ENGINE_CGROUP));
  removeTree(join(CGROUPS, ENGINE_CGROUP));
}

function removeTree(cgroup) {
  try {
    const children = readdirSync(cgroup, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    for (const { name } of children) removeTree(join(cgroup, name));
    rmdirSync(cgroup);
  } catch (error) {
    if (!['ENOENT', 'ENOTDIR', 'EBUSY'].includes(error.code)) throw error;
  }
}

try {
  main();
} catch (error) {
  console.error(error instanceof CheckoutError ? error.message : error);
  process.exitCode = error instanceof CheckoutError ? error.exitCode : 1;
}
