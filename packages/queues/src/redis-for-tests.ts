/** A Redis of a test's own, found the way the product finds it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RedisHandle, resolveRedis } from './redis/resolve-redis.js';

/** The first is what this machine has or may fetch; the second is the last resort. */
export type TestEngine = 'native' | 'javascript';

export async function startTestRedis(engine: TestEngine): Promise<RedisHandle> {
  const folder = await temporaryFolder('ropeteam-redis-');
  const handle = await resolveRedis({
    allowFetch: engine === 'native',
    cacheDirectory: engine === 'native' ? join(homedir(), '.cache', 'ropeteam') : folder.path,
    dataDirectory: join(folder.path, 'data'),
    onNotice: () => undefined,
    ...(engine === 'native' ? {} : { searchPath: folder.path }),
  });
  return {
    ...handle,
    async [Symbol.asyncDispose]() {
      await handle[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

export interface TemporaryFolder extends AsyncDisposable {
  readonly path: string;
}

export async function temporaryFolder(prefix: string): Promise<TemporaryFolder> {
  const path = await mkdtemp(join(tmpdir(), prefix));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** Is a process of this id there? */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
