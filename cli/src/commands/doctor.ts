/** `ropeteam doctor`: is this machine ready to train? Each finding comes with what to do about it. */
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Context } from '../context.js';
import { DEFAULT_HTTP_PORT, DEFAULT_PORT } from '../default-ports.js';
import { untilAborted } from '../interrupts.js';
import {
  checkClock,
  checkCores,
  checkDisk,
  checkKernels,
  checkLimits,
  checkMemory,
  checkNode,
  checkPorts,
  checkRedis,
  type Finding,
} from '../machine-checks.js';
import type { Paint } from '../terminal.js';
import { alignColumns } from '../text-columns.js';

export interface DoctorOptions {
  readonly out: string;
  readonly redisUrl?: string;
  readonly json: boolean;
}

/** Something must be mended before training: the environment lacks it. */
const EXIT_NOT_READY = 3;

/** Runs every check, prints what they found, and returns the exit code: 3 when one of them is a ✗. */
export async function doctor(options: DoctorOptions, context: Context): Promise<number> {
  const { environment, terminal, interrupts } = context;
  const redisUrl = options.redisUrl ?? environment.redisUrl;
  const named = redisUrl === undefined ? {} : { redisUrl };
  const built = await stat(fileURLToPath(import.meta.url));
  const beside = Promise.all([
    checkNode(process.versions.node),
    checkCores(),
    checkMemory(),
    checkLimits(),
    checkDisk(resolve(context.directory, options.out)),
    checkPorts([DEFAULT_PORT, DEFAULT_HTTP_PORT]),
    checkRedis({ environment, signal: interrupts.orderly, ...named }),
    checkClock(Date.now(), built.mtimeMs),
  ]);
  // The kernels last and alone: their speed is only worth saying when nothing else runs.
  const findings = [
    ...(await untilAborted(beside, interrupts.orderly)),
    ...(await checkKernels(environment.blasLibrary)),
  ];
  if (options.json) terminal.result(JSON.stringify({ ready: isReady(findings), checks: findings }));
  else terminal.result(renderFindings(findings, terminal.paintResult));
  return isReady(findings) ? 0 : EXIT_NOT_READY;
}

export function renderFindings(findings: readonly Finding[], paint: Paint): string {
  const marks = { ok: paint('green', '✓'), warning: paint('yellow', '!'), problem: paint('red', '✗') } as const;
  const rows = alignColumns(findings.map(({ subject, found }) => [subject, found]));
  const lines = findings.flatMap(({ status, fix }, index) => [
    `${marks[status]} ${rows[index] ?? ''}`,
    ...(fix === undefined ? [] : [`    fix: ${fix}`]),
  ]);
  const problems = findings.filter(({ status }) => status === 'problem').length;
  const verdict = problems === 0 ? 'This machine is ready to train.' : `To be mended first: ${problems} (marked ✗).`;
  return [...lines, '', verdict].join('\n');
}

function isReady(findings: readonly Finding[]): boolean {
  return findings.every(({ status }) => status !== 'problem');
}
