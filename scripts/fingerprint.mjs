// Tells whether dist/ was built from the sources that are here, so that a build is neither forgotten nor repeated.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Everything a build reads. A deleted file changes the fingerprint too: its path is part of it. */
const SOURCES = [
  'packages',
  'services',
  'cli',
  'test',
  'bench',
  'deploy',
  'docs/reference',
  'scripts/build.mjs',
  'tsconfig.json',
  'package-lock.json',
];

export function sourceFingerprint(root) {
  const hash = createHash('sha256');
  for (const path of SOURCES.flatMap((source) => filesUnder(fileURLToPath(root), source))) {
    const { size, mtimeMs } = statSync(join(fileURLToPath(root), path));
    hash.update(`${path} ${size} ${mtimeMs}\n`);
  }
  return hash.digest('hex');
}

export function isCurrentBuild(root) {
  const stamp = new URL('dist/.fingerprint', root);
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === sourceFingerprint(root);
}

export function markBuilt(root, fingerprint) {
  writeFileSync(new URL('dist/.fingerprint', root), fingerprint);
}

/** Files below `path`, relative to `root`, sorted; none when it does not exist. */
export function filesUnder(root, path) {
  if (!existsSync(join(root, path))) return [];
  if (statSync(join(root, path)).isFile()) return [path];
  return readdirSync(join(root, path), { withFileTypes: true })
    .filter((entry) => entry.name !== 'node_modules')
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => (entry.isDirectory() ? filesUnder(root, join(path, entry.name)) : [join(path, entry.name)]));
}
