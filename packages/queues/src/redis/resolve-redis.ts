/** Which Redis to use: the user's own, one on this machine, a private copy, or as a last resort one in JavaScript. */
import { Redis } from 'ioredis';
import { RopeteamError } from '#training';
import { atMost } from '../deadline.js';
import { checkRedis } from './check-redis.js';
import { canFetchDebianPackage, distributionName, fetchDebianRedis } from './debian-package.js';
import { startJavascriptServer } from './javascript-server.js';
import { type PrivateServer, startPrivateServer } from './private-server.js';
import { findCachedProgram } from './redis-cache.js';
import { findProgramsOnPath, type RedisProgram, type RefusedProgram } from './redis-program.js';
import { maskPassword, parseRedisUrl } from './redis-url.js';

export type RedisSource = 'url' | 'path' | 'cache' | 'fetched' | 'javascript';

/** A Redis that answers. Disposing it stops the server if it was started here. */
export interface RedisHandle extends AsyncDisposable {
  /** With the password: for clients, never for a log. */
  readonly url: string;
  /** With the password masked. */
  readonly displayUrl: string;
  readonly engine: string;
  readonly version: string;
  readonly source: RedisSource;
  /** Of a server that was started here. */
  readonly pid?: number;
  /** Only of a server that was started here: nobody else's is ever emptied or killed. */
  readonly own?: OwnRedis;
}

/** What may be done to a Redis that nobody else uses, to see who misses it. */
export interface OwnRedis {
  /** FLUSHALL. @throws when it doesn't answer within 3 s */
  empty(): Promise<void>;
  /** SIGKILL, and an empty one at the same address. Absent: this make cannot come back there. */
  readonly restart?: () => Promise<void>;
}

const EMPTY_DEADLINE_MS = 3000;

export interface FindRedisOptions {
  /** The user's own Redis: used or refused, never replaced by another. */
  readonly url?: string;
  /** May a private copy be downloaded from the distribution's archive? */
  readonly allowFetch: boolean;
  /** The user's cache folder for this program, for example `~/.cache/ropeteam`. */
  readonly cacheDirectory: string;
  readonly signal?: AbortSignal;
  /** Folders to look for programs in; the PATH when left out. */
  readonly searchPath?: string;
}

export interface ResolveRedisOptions extends FindRedisOptions {
  /** Working folder of a server started here; made when missing. Nothing in it outlives the server. */
  readonly dataDirectory: string;
  /** One line for a person: what is fetched, what is worse than it could be. */
  readonly onNotice: (line: string) => void;
}

/** What `resolveRedis` would do. */
export type RedisFinding =
  | { readonly kind: 'url'; readonly displayUrl: string; readonly engine: string; readonly version: string }
  | {
      readonly kind: 'program';
      readonly source: 'path' | 'cache';
      readonly path: string;
      readonly engine: string;
      readonly version: string;
      readonly refused: readonly RefusedProgram[];
    }
  | { readonly kind: 'fetch'; readonly distribution: string; readonly refused: readonly RefusedProgram[] }
  | { readonly kind: 'javascript'; readonly hint: string; readonly refused: readonly RefusedProgram[] };

/** Says what would be used, starts nothing and fetches nothing. @throws like `checkRedis` for a Redis named by the user. */
export async function findRedis(options: FindRedisOptions): Promise<RedisFinding> {
  if (options.url !== undefined) {
    const { engine, version } = await checkRedis(options.url, options.signal);
    return { kind: 'url', displayUrl: maskPassword(options.url), engine, version };
  }
  const { usable, refused } = await installedPrograms(options);
  const [program] = usable;
  if (program !== undefined) {
    const { path, engine, version } = program;
    return { kind: 'program', source: program.source === 'path' ? 'path' : 'cache', path, engine, version, refused };
  }
  if (options.allowFetch && (await canFetchDebianPackage(searchPathOf(options)))) {
    return { kind: 'fetch', distribution: await distributionName(), refused };
  }
  return { kind: 'javascript', hint: installHint(), refused };
}

/**
 * A Redis to use, checked and answering.
 * @throws USAGE.ARGUMENT, REDIS.UNREACHABLE, REDIS.VERSION, REDIS.EVICTION_POLICY for the user's own;
 * REDIS.NOT_FOUND when not even the last resort would start.
 */
export async function resolveRedis(options: ResolveRedisOptions): Promise<RedisHandle> {
  if (options.url !== undefined) return useOwnRedis(options.url, options.signal);
  const failures: string[] = [];
  const attempt = async (start: () => Promise<RedisHandle>): Promise<RedisHandle | undefined> => {
    try {
      return await start();
    } catch (error) {
      options.signal?.throwIfAborted();
      failures.push(firstLine(error));
      options.onNotice(firstLine(error));
      return undefined;
    }
  };
  const { usable, refused } = await installedPrograms(options);
  for (const { path, refusedBecause } of refused) {
    failures.push(`${path}: ${refusedBecause}`);
    options.onNotice(`not using ${path}: ${refusedBecause}`);
  }
  for (const program of usable) {
    const handle = await attempt(() => startProgram(program, options));
    if (handle !== undefined) return handle;
  }
  if (options.allowFetch && (await canFetchDebianPackage(searchPathOf(options)))) {
    const handle = await attempt(() => fetchAndStart(options));
    if (handle !== undefined) return handle;
  }
  options.onNotice(
    `WARNING: no Redis found, using the embedded JavaScript Redis: for development only, 5 to 20 times slower, nothing is kept. ${installHint()}`,
  );
  const handle = await attempt(() =>
    checked(() => startJavascriptServer(options.signal), 'javascript', options.signal),
  );
  if (handle !== undefined) return handle;
  throw new RopeteamError(
    'REDIS.NOT_FOUND',
    { tried: failures.join('; ') },
    `no Redis to use: ${failures.join('; ')}`,
    {
      hint: `${installHint()}, or name one with --redis-url`,
    },
  );
}

async function useOwnRedis(url: string, signal: AbortSignal | undefined): Promise<RedisHandle> {
  const { display } = parseRedisUrl(url);
  const { engine, version } = await checkRedis(url, signal);
  return { url, displayUrl: display, engine, version, source: 'url', [Symbol.asyncDispose]: leaveRunning };
}

/** The user's own server goes on without us. */
const leaveRunning = (): Promise<void> => Promise.resolve();

async function installedPrograms(
  options: FindRedisOptions,
): Promise<{ readonly usable: readonly RedisProgram[]; readonly refused: readonly RefusedProgram[] }> {
  const onPath = await findProgramsOnPath(searchPathOf(options));
  const cached = await findCachedProgram(options.cacheDirectory);
  return {
    usable: [...onPath.filter((found) => 'version' in found), ...(cached === undefined ? [] : [cached])],
    refused: onPath.filter((found) => 'refusedBecause' in found),
  };
}

async function fetchAndStart(options: ResolveRedisOptions): Promise<RedisHandle> {
  const distribution = await distributionName();
  options.onNotice(
    `fetching redis-server (1.4 MB) from the ${distribution} archive into ${options.cacheDirectory}; set ROPETEAM_NO_FETCH=1 to forbid`,
  );
  const { cacheDirectory, signal } = options;
  const program = await fetchDebianRedis({ cacheDirectory, signal, searchPath: searchPathOf(options) });
  return startProgram(program, options);
}

function startProgram(program: RedisProgram, options: ResolveRedisOptions): Promise<RedisHandle> {
  const { dataDirectory, signal } = options;
  return checked(() => startPrivateServer(program, dataDirectory, signal), program.source, signal);
}

/** Starts a server and asks it who it is; stops it again if it cannot say. */
async function checked(
  start: () => Promise<PrivateServer>,
  source: Exclude<RedisSource, 'url'>,
  signal: AbortSignal | undefined,
): Promise<RedisHandle> {
  const server = await start();
  try {
    const { engine, version, pid = server.pid } = await checkRedis(server.url, signal);
    return {
      url: server.url,
      displayUrl: maskPassword(server.url),
      engine,
      version,
      source,
      ...(pid === undefined ? {} : { pid }),
      own: {
        empty: () => emptyServer(server.url),
        ...(server.restart === undefined ? {} : { restart: server.restart }),
      },
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
}

async function emptyServer(url: string): Promise<void> {
  const client = new Redis(url, { lazyConnect: true, retryStrategy: () => null, enableReadyCheck: false });
  client.on('error', () => undefined); // the command fails with it
  try {
    await atMost(
      EMPTY_DEADLINE_MS,
      client.connect().then(() => client.flushall()),
    );
  } finally {
    client.disconnect();
  }
}

const searchPathOf = (options: FindRedisOptions): string => options.searchPath ?? process.env.PATH ?? '';

function installHint(): string {
  if (process.platform === 'darwin') return 'Install one with: brew install valkey';
  return 'Install one with your package manager, for example: sudo apt-get install redis-server';
}

function firstLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.split('\n', 1)[0] ?? message;
}
