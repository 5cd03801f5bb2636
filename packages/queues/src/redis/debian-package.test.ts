import { spawnSync } from 'node:child_process';
import { chmod, chown, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../redis-for-tests.js';
import { canFetchDebianPackage } from './debian-package.js';
import { addCopy, findCachedProgram } from './redis-cache.js';
import type { RedisProgram } from './redis-program.js';

const PATH = process.env.PATH ?? '';
const hasApt = await canFetchDebianPackage(PATH);
const NOBODY = 65534;

// reason for the skip: this machine has no apt-get and dpkg, so there is no archive to fetch from
test.skipIf(!hasApt)(
  'an ordinary user gets a copy from the archive with the libraries the machine lacks',
  async () => {
    await using folder = await temporaryFolder('ropeteam-fetch-');
    const cacheDirectory = join(folder.path, 'cache');
    await mkdir(cacheDirectory);
    const asRoot = process.getuid?.() === 0;
    for (const path of asRoot ? [folder.path, cacheDirectory] : []) await chown(path, NOBODY, NOBODY);
    // As on a machine where none of it was ever installed.
    const status = join(folder.path, 'status');
    await writeFile(
      status,
      withoutPackages(await readFile('/var/lib/dpkg/status', 'utf8'), /^(redis|libjemalloc|liblzf)/),
    );
    const options = { cacheDirectory, searchPath: PATH, aptOptions: [`Dir::State::status=${status}`] };
    const script = `
    import { fetchDebianRedis } from ${JSON.stringify(new URL('./debian-package.js', import.meta.url).href)};
    import { startPrivateServer } from ${JSON.stringify(new URL('./private-server.js', import.meta.url).href)};
    const program = await fetchDebianRedis(${JSON.stringify(options)});
    const server = await startPrivateServer(program, ${JSON.stringify(join(cacheDirectory, 'data'))});
    await server[Symbol.asyncDispose]();
    console.log(JSON.stringify({ user: process.getuid(), program }));`;
    const child = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
      cwd: cacheDirectory,
      env: { PATH },
      encoding: 'utf8',
      ...(asRoot ? { uid: NOBODY, gid: NOBODY } : {}),
    });
    const { user, program }: { user: number; program: RedisProgram } = JSON.parse(child.stdout || child.stderr);
    expect(user).not.toBe(0);
    expect(program).toMatchObject({ source: 'fetched', engine: 'redis' });
    const libraries = (await Promise.all(program.libraryFolders.map((entry) => readdir(entry)))).flat();
    expect(libraries.some((name) => name.startsWith('libjemalloc.so'))).toBe(true);
    const [copy = '', ...others] = await readdir(join(cacheDirectory, 'redis-v1'));
    expect(others).toEqual([]); // nothing half-made
    expect(await readdir(join(cacheDirectory, 'redis-v1', copy))).not.toContain('work'); // no archive lists
  },
  120_000,
);

test('of two copies made at once one is kept, whole, and both makers use it', async () => {
  await using folder = await temporaryFolder('ropeteam-fetch-');
  const make = async (version: string) =>
    addCopy(folder.path, async (path) => {
      await writeFile(join(path, 'redis'), `#!/bin/sh\necho "Redis server v=${version}"\n`, { mode: 0o755 });
      return { name: 'same', manifest: { program: 'redis', libraryFolders: [], packages: [] } };
    });
  const [first, second] = await Promise.all([make('7.0.1'), make('7.0.2')]);
  expect(second).toEqual(first);
  expect(await readdir(join(folder.path, 'redis-v1'))).toEqual(['same']);
  expect(await findCachedProgram(folder.path)).toEqual({ ...first, source: 'cache' });
  await writeFile(first.path, 'no longer a program');
  expect(await findCachedProgram(folder.path)).toBeUndefined();
  expect(await make('7.0.3')).toMatchObject({ version: '7.0.3', path: first.path });
});

test('a copy that could not be made leaves nothing behind', async () => {
  await using folder = await temporaryFolder('ropeteam-fetch-');
  const failing = addCopy(folder.path, () => Promise.reject(new Error('the archive is down')));
  await expect(failing).rejects.toThrow('the archive is down');
  expect(await readdir(join(folder.path, 'redis-v1'))).toEqual([]);
});

test('a cache folder that others can write into is not trusted', async () => {
  await using folder = await temporaryFolder('ropeteam-fetch-');
  const root = join(folder.path, 'redis-v1');
  await mkdir(join(root, 'planted'), { recursive: true });
  await writeFile(join(root, 'planted', 'redis'), '#!/bin/sh\necho "Redis server v=7.0.0"\n', { mode: 0o755 });
  await writeFile(join(root, 'planted', 'copy.json'), '{"program":"redis","libraryFolders":[],"packages":[]}');
  expect(await findCachedProgram(folder.path)).toMatchObject({ version: '7.0.0', source: 'cache' });
  await chmod(root, 0o777);
  expect(await findCachedProgram(folder.path)).toBeUndefined();
});

test('a manifest that is broken or points outside its copy is as good as none', async () => {
  await using folder = await temporaryFolder('ropeteam-fetch-');
  const copy = join(folder.path, 'redis-v1', 'copy');
  await mkdir(copy, { recursive: true });
  await writeFile(join(folder.path, 'outside'), '#!/bin/sh\necho "Redis server v=7.0.0"\n', { mode: 0o755 });
  for (const text of ['{', 'null', '[]', '{"program":"../../outside","libraryFolders":[]}', '{"program":1}']) {
    await writeFile(join(copy, 'copy.json'), text);
    expect(await findCachedProgram(folder.path), text).toBeUndefined();
  }
});

/** dpkg's list of installed packages, less those whose name matches. */
function withoutPackages(status: string, names: RegExp): string {
  const keeps = (stanza: string): boolean => !names.test(/^Package: (\S+)/m.exec(stanza)?.[1] ?? '');
  return status.split('\n\n').filter(keeps).join('\n\n');
}
