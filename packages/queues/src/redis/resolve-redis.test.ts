import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Redis } from 'ioredis';
import { expect, test, vi } from 'vitest';
import { isAlive, startTestRedis, type TemporaryFolder, temporaryFolder } from '../redis-for-tests.js';
import { findExecutable } from './redis-program.js';
import { findRedis, type ResolveRedisOptions, resolveRedis } from './resolve-redis.js';

const PATH = process.env.PATH ?? '';
const realServer = await findExecutable('redis-server', PATH);
const isLinux = process.platform === 'linux';
const needsServer = test.skipIf(realServer === undefined); // reason: no redis-server is installed on this machine

interface Place {
  readonly options: ResolveRedisOptions;
  readonly notices: string[];
  /** Folder on the search path. */
  readonly bin: string;
}

/** A search path of one empty folder, an empty cache, no fetching. */
async function emptyPlace(folder: TemporaryFolder): Promise<Place> {
  const bin = join(folder.path, 'bin');
  await mkdir(bin);
  const notices: string[] = [];
  return {
    bin,
    notices,
    options: {
      allowFetch: false,
      cacheDirectory: join(folder.path, 'cache'),
      dataDirectory: join(folder.path, 'data "quoted"'),
      searchPath: bin,
      onNotice: (line) => notices.push(line),
    },
  };
}

async function addProgram(bin: string, name: string, script: string): Promise<void> {
  await writeFile(join(bin, name), `#!/bin/sh\n${script}\n`);
  await chmod(join(bin, name), 0o755);
}

needsServer('a Redis of our own is emptied, and killed and replaced by an empty one at the same address', async () => {
  await using folder = await temporaryFolder('ropeteam-resolve-');
  const { options, bin } = await emptyPlace(folder);
  await symlink(realServer ?? '', join(bin, 'redis-server'));
  await using handle = await resolveRedis(options);
  const client = new Redis(handle.url);
  client.on('error', () => undefined); // while it is gone
  try {
    await client.set('kept', 'here');
    await handle.own?.empty();
    expect(await client.dbsize()).toBe(0);
    await client.set('kept', 'again');
    const before = /process_id:(\d+)/.exec(await client.info('server'))?.[1];
    await handle.own?.restart?.();
    expect(await client.dbsize()).toBe(0);
    expect(/process_id:(\d+)/.exec(await client.info('server'))?.[1]).not.toBe(before);
    expect(isAlive(Number(before))).toBe(false);
  } finally {
    client.disconnect();
  }
});

async function ping(url: string): Promise<string> {
  const client = new Redis(url, { retryStrategy: () => null });
  client.on('error', () => undefined); // the command below fails with it
  try {
    return await client.ping();
  } finally {
    client.disconnect();
  }
}

needsServer('redis-server on the path is started with a password and ends with its handle', async () => {
  await using folder = await temporaryFolder('ropeteam-resolve-');
  const { options, bin, notices } = await emptyPlace(folder);
  await symlink(realServer ?? '', join(bin, 'redis-server'));
  expect(await findRedis(options)).toMatchObject({ kind: 'program', source: 'path', engine: 'redis' });
  const handle = await resolveRedis(options);
  const pid = handle.pid ?? 0;
  try {
    expect(handle).toMatchObject({ source: 'path', engine: 'redis' });
    expect(await ping(handle.url)).toBe('PONG');
    const { password, host } = new URL(handle.url);
    expect(password.length).toBeGreaterThan(20);
    await expect(ping(`redis://${host}`)).rejects.toThrow();
    expect(handle.displayUrl).not.toContain(password);
    if (isLinux) {
      // Nobody who lists the processes of this machine may read it.
      expect(await readFile(`/proc/${pid}/cmdline`, 'utf8')).not.toContain(password);
    }
    expect(await readdir(options.dataDirectory)).toEqual([]);
    expect(notices).toEqual([]);
  } finally {
    await handle[Symbol.asyncDispose]();
  }
  await expect.poll(() => isAlive(pid)).toBe(false);
  expect(await readdir(options.dataDirectory)).toEqual([]);
});

needsServer('valkey-server is used when there is no redis-server', async () => {
  await using folder = await temporaryFolder('ropeteam-resolve-');
  const { options, bin } = await emptyPlace(folder);
  await addProgram(
    bin,
    'valkey-server',
    `[ "$1" = --version ] && { echo "Valkey server v=8.1.1 sha=0"; exit; }; exec ${realServer} "$@"`,
  );
  expect(await findRedis(options)).toMatchObject({ kind: 'program', engine: 'valkey', version: '8.1.1' });
  await using handle = await resolveRedis(options);
  expect(handle.source).toBe('path');
});

test('a program that is too old, one that is no Redis and one that dies are named and passed over', async () => {
  await using folder = await temporaryFolder('ropeteam-resolve-');
  const { options, bin, notices } = await emptyPlace(folder);
  await addProgram(bin, 'redis-server', 'echo "Redis server v=5.0.14 sha=0"');
  await addProgram(
    bin,
    'valkey-server',
    '[ "$1" = --version ] && echo "Valkey server v=8.1.1" || { echo "no heap"; exit 3; }',
  );
  await using handle = await resolveRedis(options);
  expect(handle.source).toBe('javascript');
  expect(notices[0]).toMatch(/redis-server: version 5\.0\.14 is older than 6\.2\.0/);
  expect(notices[1]).toMatch(/valkey-server ended before it was ready \(exit code 3\)/);
  await addProgram(bin, 'redis-server', 'echo hello');
  const finding = await findRedis(options);
  expect(finding).toMatchObject({ refused: [{ refusedBecause: expect.stringContaining('hello') }] });
});

needsServer('a port that was taken in between is answered by another one', async () => {
  await using folder = await temporaryFolder('ropeteam-resolve-');
  const { options, bin, notices } = await emptyPlace(folder);
  const once = join(folder.path, 'once');
  await addProgram(
    bin,
    'redis-server',
    `[ "$1" = --version ] || [ -e ${once} ] || { : > ${once}; echo "bind: Address already in use"; exit 1; }; exec ${realServer} "$@"`,
  );
  await using handle = await resolveRedis(options);
  expect(handle.source).toBe('path');
  expect((await stat(once)).isFile()).toBe(true);
  expect(notices).toEqual([]);
});

test('without any other the embedded JavaScript Redis is used, says so loudly, and is local and locked', async () => {
  await using folder = await temporaryFolder('ropeteam-resolve-');
  const { options, notices } = await emptyPlace(folder);
  expect(await findRedis(options)).toMatchObject({ kind: 'javascript' });
  const handle = await resolveRedis(options);
  expect(notices.join()).toMatch(/^WARNING: .*JavaScript Redis: for development only/);
  expect(handle).toMatchObject({ source: 'javascript', engine: 'js-redis-server' });
  expect(await ping(handle.url)).toBe('PONG');
  await expect(ping(`redis://${new URL(handle.url).host}`)).rejects.toThrow();
  if (isLinux) {
    const port = Number(new URL(handle.url).port).toString(16).toUpperCase().padStart(4, '0');
    const listening = (await readFile('/proc/net/tcp', 'utf8'))
      .split('\n')
      .filter((line) => line.includes(`:${port} `));
    expect(listening.every((line) => line.includes(`0100007F:${port}`))).toBe(true);
  }
  await handle[Symbol.asyncDispose]();
  await expect.poll(() => isAlive(handle.pid ?? 0)).toBe(false);
});

test("the user's own Redis is used as it is, shown without its password, and left running", async () => {
  await using own = await startTestRedis('native');
  await using folder = await temporaryFolder('ropeteam-resolve-');
  const { options } = await emptyPlace(folder);
  const handle = await resolveRedis({ ...options, url: own.url });
  expect(handle).toMatchObject({ source: 'url', engine: own.engine, displayUrl: own.displayUrl });
  expect(await findRedis({ ...options, url: own.url })).toMatchObject({ kind: 'url', displayUrl: own.displayUrl });
  await handle[Symbol.asyncDispose]();
  expect(await ping(own.url)).toBe('PONG');
});

test("the user's own Redis is never replaced by another when it fails", async () => {
  await using folder = await temporaryFolder('ropeteam-resolve-');
  const { options } = await emptyPlace(folder);
  const failing = resolveRedis({ ...options, url: 'redis://127.0.0.1:1' });
  await expect(failing).rejects.toMatchObject({ code: 'REDIS.UNREACHABLE' });
});

test('an aborted start ends with the reason of its signal and leaves no server', async () => {
  await using folder = await temporaryFolder('ropeteam-resolve-');
  const { options, bin } = await emptyPlace(folder);
  const pidFile = join(folder.path, 'pid');
  await addProgram(
    bin,
    'redis-server',
    `[ "$1" = --version ] && { echo "Redis server v=7.0.0"; exit; }; echo $$ > ${pidFile}.new; mv ${pidFile}.new ${pidFile}; exec sleep 600`,
  );
  const control = new AbortController();
  const resolving = resolveRedis({ ...options, signal: control.signal });
  const pid = Number(await vi.waitFor(() => readFile(pidFile, 'utf8')));
  control.abort(new Error('no longer wanted'));
  await expect(resolving).rejects.toThrow('no longer wanted');
  await expect.poll(() => isAlive(pid)).toBe(false);
});

const engines = [
  ['native', realServer === undefined ? undefined : PATH],
  ['javascript', '/nonexistent'],
] as const;
for (const [engine, searchPath] of engines) {
  // reason: no redis-server is installed on this machine
  test.skipIf(searchPath === undefined)(`a ${engine} server is gone when its owner was killed outright`, async () => {
    await using folder = await temporaryFolder('ropeteam-resolve-');
    const { options } = await emptyPlace(folder);
    const owner = spawnOwner({ ...options, searchPath: searchPath ?? '' });
    const [line] = await once(createInterface(owner.stdout), 'line');
    const { pid, url }: { pid: number; url: string } = JSON.parse(String(line));
    expect(await ping(url)).toBe('PONG');
    owner.kill('SIGKILL');
    await once(owner, 'exit');
    await expect.poll(() => isAlive(pid), { timeout: 5000 }).toBe(false);
    await expect(ping(url)).rejects.toThrow();
  });
}

// reason for the skip: process groups are read from /proc
test.skipIf(realServer === undefined || !isLinux)(
  'an interrupt from the terminal does not reach the server before its owner has ended it',
  async () => {
    await using folder = await temporaryFolder('ropeteam-resolve-');
    const { options, bin } = await emptyPlace(folder);
    await symlink(realServer ?? '', join(bin, 'redis-server'));
    await using handle = await resolveRedis(options);
    const groupOf = async (pid: number): Promise<string | undefined> =>
      (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ')[2];
    expect(await groupOf(handle.pid ?? 0)).not.toBe(await groupOf(process.pid));
  },
);

/** A process of its own that starts a Redis, says which, and never ends it. */
function spawnOwner(options: ResolveRedisOptions) {
  const plain = JSON.stringify({ ...options, onNotice: undefined, signal: undefined });
  const script = `
    import { resolveRedis } from ${JSON.stringify(new URL('./resolve-redis.js', import.meta.url).href)};
    const { pid, url } = await resolveRedis({ ...${plain}, onNotice: () => undefined });
    console.log(JSON.stringify({ pid, url }));
    setInterval(() => undefined, 1000);`;
  return spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: ['ignore', 'pipe', 'inherit'] });
}
