/** `ropeteam coordinator` and `ropeteam worker`: one service in the foreground, as containers run it. */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { RopeteamError } from '#training';
import { type ServiceKind, scriptOf } from '../cluster/service-process.js';
import type { Context } from '../context.js';

/** Runs the service with our own terminal, hands every signal on, and returns its exit code. */
export async function runService(
  kind: ServiceKind,
  args: readonly string[],
  redisUrl: string | undefined,
  context: Context,
): Promise<number> {
  const { orderly, immediate } = context.interrupts;
  const url = redisUrl ?? context.environment.redisUrl;
  const environment = { ...context.environment.forServices, ...(url === undefined ? {} : { ROPETEAM_REDIS_URL: url }) };
  const child = spawn(process.execPath, ['--enable-source-maps', scriptOf(kind), ...args], {
    env: environment,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    // Out of the terminal's group: a signal then comes once, from here, whoever sent it to us.
    detached: true,
  });
  const terminate = (): void => void child.kill('SIGTERM');
  const kill = (): void => void child.kill('SIGKILL');
  const killAtExit = (): void => void child.kill('SIGKILL');
  orderly.addEventListener('abort', terminate, { once: true });
  immediate.addEventListener('abort', kill, { once: true });
  process.once('exit', killAtExit);
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once('exit', (code, signal) => resolve(signal === null ? (code ?? 1) : 128 + constants.signals[signal]));
      child.once('error', (cause) =>
        reject(
          new RopeteamError(
            'ENVIRONMENT.PROCESS',
            { process: kind },
            `${kind} could not be started: ${cause.message}`,
            {
              hint: 'check that this user may start processes (ulimit -u)',
              cause,
            },
          ),
        ),
      );
    });
  } finally {
    orderly.removeEventListener('abort', terminate);
    immediate.removeEventListener('abort', kill);
    process.off('exit', killAtExit);
  }
}
