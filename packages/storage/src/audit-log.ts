/**
 * The audit log: who joined, submitted, stopped, resumed or was refused, one JSON object a line. Each line holds the hash of
 * the one before and its own over all the rest, so that a line that was changed, added or taken out is found.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { CallRecord } from '#training';
import { errorCodeOf, writeError } from './atomic-file.js';
import { completeLines, type LineLogOptions, openLineLog } from './line-log.js';

export interface AuditLog extends AsyncDisposable {
  append(record: CallRecord, time: Date): void;
}

export interface AuditFinding {
  readonly records: number;
  /** Hash of the last line: kept elsewhere, it proves that nothing was cut off the end. */
  readonly head: string;
  /** The first line that is not as it was written, counted from 1, and why. */
  readonly broken?: { readonly line: number; readonly why: string };
}

/** What the first line has in the place of a hash before it. */
const BEGINNING = '0'.repeat(64);

/** Opens `path` to append to, made when missing. @throws RopeteamError STORAGE.WRITE */
export async function openAuditLog(path: string, options: Pick<LineLogOptions, 'onError'> = {}): Promise<AuditLog> {
  const log = await openLineLog(path, options);
  // What is broken stays as it is, for `checkAuditLog` to find; the chain goes on from the last line, whatever it says.
  let { head } = await checkAuditLog(path);
  return {
    append: ({ caller, call, subject, outcome }, time) => {
      const { peer, role, fingerprint } = caller;
      const facts = { time: time.toISOString(), call, subject, outcome, peer, role, fingerprint };
      const unsigned = JSON.stringify({ ...facts, previous: head });
      head = hashOf(unsigned);
      log.append(`${unsigned.slice(0, -1)},"hash":"${head}"}`);
    },
    [Symbol.asyncDispose]: () => log[Symbol.asyncDispose](),
  };
}

/** Reads a whole log and follows its chain. @throws RopeteamError STORAGE.WRITE if it cannot be read */
export async function checkAuditLog(path: string): Promise<AuditFinding> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    if (errorCodeOf(cause) === 'ENOENT') return { records: 0, head: BEGINNING };
    throw writeError(path, cause);
  }
  const { lines } = completeLines(bytes);
  let head = BEGINNING;
  let broken: AuditFinding['broken'];
  for (const [index, line] of lines.entries()) {
    const text = Buffer.from(line).toString('utf8');
    const [, facts = '', hash = ''] = /^(\{.*),"hash":"([0-9a-f]{64})"\}$/.exec(text) ?? [];
    const why =
      hash === '' || hash !== hashOf(`${facts}}`)
        ? 'it was changed'
        : facts.endsWith(`"previous":"${head}"`)
          ? undefined
          : 'a line before it is missing or was added';
    if (why !== undefined) broken ??= { line: index + 1, why };
    head = hash === '' ? head : hash;
  }
  return { records: lines.length, head, ...(broken === undefined ? {} : { broken }) };
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
