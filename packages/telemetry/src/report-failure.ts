import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { limitReached } from '#limits';
import { exitCodeOf, fromEnvelope, RopeteamError, toEnvelope } from '#training';
import type { Logger } from './logger.js';
import { packageVersion } from './package-version.js';
import { withoutSecrets } from './secrets.js';

/** An error nobody foresaw (EX_SOFTWARE of sysexits.h): whoever supervises the process may start it again. */
const EXIT_UNFORESEEN = 70;
/** A process that is started again and again does not fill the disk with them. */
const MOST_REPORTS = 20;

/** Ends this process on an error: says why on stderr, and to the process that started this one. Exit code by the error's area. */
export function endWithFailure(error: unknown): void {
  const known = knownError(error);
  const hint = known?.hint === undefined ? '' : ` (${known.hint})`;
  process.stderr.write(`${known === undefined ? String(error) : `${known.code}: ${known.message}${hint}`}\n`);
  const exit = (): never => process.exit(known === undefined ? EXIT_UNFORESEEN : exitCodeOf(known.code));
  if (known === undefined || process.send === undefined) exit();
  else process.send({ event: 'failed', error: toEnvelope(known) }, exit);
}

/** What users can make something of: a limit of the system that is behind it, else the error itself where it has a code. */
export function knownError(error: unknown): RopeteamError | undefined {
  const limit = limitReached(error);
  if (limit !== undefined) return fromEnvelope(limit, error);
  return error instanceof RopeteamError ? error : undefined;
}

/**
 * An error that nobody caught, or a promise nobody waited for, ends this process at once: what it holds in memory may be
 * wrong, and what is on the disk is all that the next one needs. The log has the whole error, stderr one line.
 * @param reportsFolder gets the error as a file of its own; absent: the log alone has it
 */
export function endOnUnforeseen(log: Logger, reportsFolder?: string): void {
  process.on('uncaughtException', (error, origin) => {
    if (knownError(error) !== undefined) return endWithFailure(error);
    log.error('unforeseen_error', { origin, error });
    const report = reportsFolder === undefined ? '' : `; ${reportIn(reportsFolder, origin, error)}`;
    process.stderr.write(`unforeseen error: ${String(error).split('\n', 1)[0]}${report}\n`);
    process.exit(EXIT_UNFORESEEN);
  });
}

/** Writes the report and returns where it is, in words. Synchronous: there is no later. */
function reportIn(folder: string, origin: string, error: unknown): string {
  const time = new Date().toISOString();
  const path = join(folder, `${time.replaceAll(/[:.]/g, '-')}-${process.pid}.json`);
  const { rss, heapUsed } = process.memoryUsage();
  const facts = {
    ...{ time, origin, version: packageVersion(), node: process.version, platform: process.platform, pid: process.pid },
    ...{ uptimeSeconds: process.uptime(), residentBytes: rss, heapBytes: heapUsed, error },
  };
  try {
    mkdirSync(folder, { recursive: true });
    for (const old of readdirSync(folder)
      .sort()
      .slice(0, 1 - MOST_REPORTS))
      rmSync(join(folder, old));
    writeFileSync(path, `${JSON.stringify(withoutSecrets(facts), undefined, 2)}\n`, { mode: 0o600 });
    return `report: ${path}`;
  } catch (cause) {
    return `no report: ${String(cause)}`;
  }
}
