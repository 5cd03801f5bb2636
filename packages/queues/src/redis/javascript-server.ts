/** The last resort: js-redis-server in a process of its own. Development only: slow, and nothing is kept. */
import { fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { RopeteamError } from '#training';
import { atMost, DeadlinePassed, settlesWithin } from '../deadline.js';
import type { PrivateServer } from './private-server.js';
import { localRedisUrl } from './redis-url.js';
import { tailOf, waitForEnd } from './server-process.js';

const READY_DEADLINE_MS = 15_000;
const END_DEADLINE_MS = 2000;

/** First message to the process. */
export interface JavascriptServerStart {
  readonly password: string;
}

/** Its answer. */
export interface JavascriptServerReady {
  readonly port: number;
}

/** @throws ENVIRONMENT.PROCESS when the process does not come up. */
export async function startJavascriptServer(signal?: AbortSignal): Promise<PrivateServer> {
  signal?.throwIfAborted();
  const password = randomBytes(24).toString('base64url');
  const child = fork(fileURLToPath(new URL('./javascript-server-process.js', import.meta.url)), [], {
    // A session of its own, away from the terminal's Ctrl-C. It ends when the channel to its owner closes.
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    execArgv: [],
  });
  const end = waitForEnd(child);
  const log = child.stderr === null ? undefined : tailOf(child.stderr);
  const start: JavascriptServerStart = { password };
  child.send(start);
  const stop = async (): Promise<void> => {
    if (child.connected) child.disconnect();
    if (!(await settlesWithin(END_DEADLINE_MS, end))) child.kill('SIGKILL');
    await end;
  };
  const first: Promise<unknown> = Promise.race([
    once(child, 'message').then(([message]: unknown[]) => message),
    end.then(({ reason }) => `ended before it was ready (${reason})`),
  ]);
  const outcome = await atMost(READY_DEADLINE_MS, first, signal).catch((error: unknown) =>
    error instanceof DeadlinePassed ? `was not ready within ${READY_DEADLINE_MS / 1000} s` : 'was not waited for',
  );
  if (typeof outcome !== 'object' || outcome === null || !('port' in outcome) || typeof outcome.port !== 'number') {
    await stop();
    signal?.throwIfAborted();
    throw new RopeteamError(
      'ENVIRONMENT.PROCESS',
      { process: 'js-redis-server' },
      `the embedded JavaScript Redis ${String(outcome)}; it said:\n${log?.text() || '(nothing)'}`,
    );
  }
  child.unref();
  child.channel?.unref();
  if (child.stderr !== null && 'unref' in child.stderr && typeof child.stderr.unref === 'function')
    child.stderr.unref();
  return {
    url: localRedisUrl(outcome.port, password),
    ...(child.pid === undefined ? {} : { pid: child.pid }),
    [Symbol.asyncDispose]: stop,
  };
}
