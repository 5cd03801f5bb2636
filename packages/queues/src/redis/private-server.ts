/** A Redis server of our own on this machine: random password, free port, nothing kept, gone when its owner is gone. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { RopeteamError } from '#training';
import { atMost, DeadlinePassed, settlesWithin } from '../deadline.js';
import { commandLine, type RedisProgram } from './redis-program.js';
import { localRedisUrl } from './redis-url.js';
import { type EndOfProcess, type LogTail, tailOf, waitForEnd } from './server-process.js';

const READY_DEADLINE_MS = 10_000;
const END_DEADLINE_MS = 5000;
const PORT_TRIES = 5;

/**
 * Runs the server named by its arguments and ends it when its owner is gone.
 *
 * File 3 is one end of a socket whose other end only the owner holds. However the owner ends, SIGKILL included, the
 * kernel closes that end, `read` returns, and the server is killed by its number; it has nothing to save. The server
 * reads its configuration from file 0, so the password is in no command line and in no file.
 */
const GUARD = `
exec 4<&0
"$@" <&4 3<&- 4<&- 2>&1 &
server=$!
exec 4<&- </dev/null
( read -r _ <&3; kill -KILL "$server" ) 2>/dev/null &
watcher=$!
wait "$server"; status=$?
kill "$watcher" 2>/dev/null
exit "$status"
`;

/** A running private server, of whatever make. */
export interface PrivateServer extends AsyncDisposable {
  readonly url: string;
  /** Known where the server cannot tell it itself. */
  readonly pid?: number;
  /** Kills it and starts an empty one with the same port and password. */
  readonly restart?: () => Promise<void>;
}

/** @throws ENVIRONMENT.PROCESS with the end of the server's log when it does not come up within 10 s. */
export async function startPrivateServer(
  program: RedisProgram,
  dataDirectory: string,
  signal?: AbortSignal,
): Promise<PrivateServer> {
  await mkdir(dataDirectory, { recursive: true, mode: 0o700 });
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    const password = randomBytes(24).toString('base64url');
    const config = configuration(port, password, dataDirectory);
    const started = await startOnce(program, config, signal);
    if (started.kind === 'ready') {
      let { guard } = started;
      return {
        url: localRedisUrl(port, password),
        restart: async () => {
          await stop(guard);
          const again = await startOnce(program, config, undefined);
          if (again.kind === 'failed') throw failedToStart(program, again);
          guard = again.guard;
        },
        [Symbol.asyncDispose]: () => stop(guard),
      };
    }
    // Between our look and its bind somebody else took the port: look again, but not for ever.
    if (/already in use/i.test(started.log) && attempt < PORT_TRIES) continue;
    throw failedToStart(program, started);
  }
}

function failedToStart({ path }: RedisProgram, { reason, log }: Extract<Start, { kind: 'failed' }>): RopeteamError {
  return new RopeteamError(
    'ENVIRONMENT.PROCESS',
    { process: path },
    `${path} ${reason}; its log ends with:\n${log || '(nothing)'}`,
    { hint: 'name another Redis with --redis-url, or remove this one from the PATH' },
  );
}

type Start =
  | { readonly kind: 'ready'; readonly guard: Guard }
  | { readonly kind: 'failed'; readonly reason: string; readonly log: string };

interface Guard {
  readonly process: ChildProcess;
  /** Ending this ends the server. */
  readonly lifeline: Writable;
  readonly end: Promise<EndOfProcess>;
}

async function startOnce(program: RedisProgram, config: string, signal: AbortSignal | undefined): Promise<Start> {
  signal?.throwIfAborted();
  const child = spawn('sh', ['-c', GUARD, 'ropeteam-redis-guard', ...commandLine(program), '-'], {
    // A session of its own: Ctrl-C in the terminal goes to the owner, which ends the server when it is done with it.
    detached: true,
    stdio: ['pipe', 'pipe', 'ignore', 'pipe'],
  });
  // Node types the entries of a configured stdio as possibly absent; these three are pipes by the line above.
  const [input, output, , lifeline] = child.stdio as unknown as [Writable, Readable, null, Writable];
  const guard: Guard = { process: child, lifeline, end: waitForEnd(child) };
  const log = tailOf(output);
  // A server that ends early closes the pipe under this write; why it ended is told by its log and its exit.
  input.on('error', (error) => log.add(error.message));
  lifeline.on('error', (error) => log.add(error.message));
  input.end(config);
  const outcome = await readiness(guard, log, signal);
  if (outcome !== 'ready') {
    await stop(guard);
    signal?.throwIfAborted();
    return { kind: 'failed', reason: outcome, log: log.text() };
  }
  // Nothing of the server keeps the owner alive: an owner with nothing left to do ends, and the server with it.
  child.unref();
  for (const stream of [output, lifeline]) unref(stream);
  return { kind: 'ready', guard };
}

async function readiness(guard: Guard, log: LogTail, signal: AbortSignal | undefined): Promise<string> {
  const first = Promise.race([
    log.line(/Ready to accept connections/).then(() => 'ready'),
    guard.end.then(({ reason }) => `ended before it was ready (${reason})`),
  ]);
  try {
    return await atMost(READY_DEADLINE_MS, first, signal);
  } catch (error) {
    if (error instanceof DeadlinePassed) return `was not ready within ${READY_DEADLINE_MS / 1000} s`;
    return 'was not waited for';
  }
}

async function stop(guard: Guard): Promise<void> {
  guard.lifeline.destroy();
  if (await settlesWithin(END_DEADLINE_MS, guard.end)) return;
  if (guard.process.pid !== undefined) process.kill(-guard.process.pid, 'SIGKILL');
  await guard.end;
}

function configuration(port: number, password: string, directory: string): string {
  return [
    `port ${port}`,
    'bind 127.0.0.1',
    `requirepass ${password}`,
    'save ""',
    'appendonly no',
    'maxmemory-policy noeviction',
    'daemonize no',
    'logfile ""',
    `dir "${directory.replaceAll(/["\\]/g, '\\$&')}"`,
    '',
  ].join('\n');
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  if (address === null || typeof address === 'string') throw new Error('a TCP socket has no port');
  return address.port;
}

function unref(stream: Readable | Writable): void {
  // Pipes to a child are sockets, which have `unref`; the stream types do not say so.
  if ('unref' in stream && typeof stream.unref === 'function') stream.unref();
}
