/**
 * `ledger.ndjson`: one line a committed step, each with the SHA-256 of the line before it.
 *
 * A line is the record as JSON with one more field at its end, `sha256`: the SHA-256 of the line without that field. So the
 * last line is guarded too, which no later line vouches for yet. A crash can leave an incomplete last line; anything else
 * that does not fit is damage.
 */
import { createHash } from 'node:crypto';
import type { InitFrom, LedgerOrigin, LedgerRecord } from '#training';
import { problemOfRecord, RopeteamError } from '#training';
import { readWholeFile } from './atomic-file.js';
import { completeLines, type LineLogOptions, openLineLog } from './line-log.js';

export interface Ledger extends AsyncDisposable {
  /** Records in the file or on their way to it. */
  readonly records: number;
  /** SHA-256 of the last record's line, which vouches for all before it; 64 zeros while there is none. */
  readonly head: string;
  /** The first write that failed: no record is written any more. */
  readonly failure: RopeteamError | undefined;
  /** Takes a step's record. Returns at once; the file is written behind it, in order. */
  append(record: Omit<LedgerRecord, 'previous' | 'initFrom' | 'origin'>): void;
  /** Resolves when every record appended before is on the disk. @throws RopeteamError STORAGE.WRITE */
  flush(): Promise<void>;
}

export interface LedgerOptions extends Pick<LineLogOptions, 'onError' | 'takeOver' | 'mayWrite'> {
  /** Goes on after this many records and cuts off the rest: a run resumed from a checkpoint commits those steps again. */
  readonly keepRecords?: number;
  /** Goes into the first record. */
  readonly initFrom?: InitFrom;
  /** The same. */
  readonly origin?: LedgerOrigin;
}

const NO_RECORD = '0'.repeat(64);
const SEAL = /,"sha256":"([0-9a-f]{64})"\}$/;

/**
 * Opens a ledger to append to, made when missing; an incomplete last line is cut off.
 * @throws RopeteamError STORAGE.CORRUPT when the records to go on from are damaged, STORAGE.WRITE
 */
export async function openLedger(path: string, options: LedgerOptions = {}): Promise<Ledger> {
  const { keepRecords, initFrom, origin, onError, takeOver, mayWrite } = options;
  const log = await openLineLog(path, {
    ...(onError === undefined ? {} : { onError }),
    ...(takeOver === undefined ? {} : { takeOver }),
    ...(mayWrite === undefined ? {} : { mayWrite }),
    ...(keepRecords === undefined ? {} : { keepLines: keepRecords }),
  });
  let previous: string;
  try {
    const { damage, head } = await scanLedger(path);
    if (damage !== undefined) throw damage;
    previous = head;
  } catch (error) {
    await log[Symbol.asyncDispose]();
    throw error;
  }
  return {
    get records() {
      return log.lines;
    },
    get head() {
      return previous;
    },
    get failure() {
      return log.failure;
    },
    append(record) {
      const first = {
        ...(initFrom === undefined ? {} : { initFrom }),
        ...(origin === undefined ? {} : { origin }),
      };
      const line = seal({ ...record, ...(log.lines > 0 ? {} : first), previous });
      previous = sha256(line);
      log.append(line);
    },
    flush: () => log.flush({ sync: true }),
    [Symbol.asyncDispose]: () => log[Symbol.asyncDispose](),
  };
}

/**
 * The records of a ledger, each verified.
 * @param onTorn told of an incomplete last line, which a crash leaves and which is left out
 * @throws RopeteamError STORAGE.CORRUPT with the line that does not fit
 */
export async function readLedger(
  path: string,
  onTorn?: (torn: { readonly line: number; readonly bytes: number }) => void,
): Promise<readonly LedgerRecord[]> {
  const { records, tornBytes, damage } = await scanLedger(path);
  if (damage !== undefined) throw damage;
  if (tornBytes > 0) onTorn?.({ line: records.length + 1, bytes: tornBytes });
  return records;
}

/** What can be read of a ledger. */
export interface LedgerScan {
  /** Each verified, up to the first that does not fit. */
  readonly records: readonly LedgerRecord[];
  /** SHA-256 of the last of these lines. */
  readonly head: string;
  /** The first line that does not fit; what follows it is not looked at. */
  readonly damage?: RopeteamError<'STORAGE.CORRUPT'>;
  /** Length of an incomplete last line. */
  readonly tornBytes: number;
}

/** The records of a ledger up to its first damage. @throws RopeteamError STORAGE.CORRUPT when the file cannot be read */
export async function scanLedger(path: string): Promise<LedgerScan> {
  return scanLines(path, await readWholeFile(path));
}

/** The same for its bytes. */
export function scanLines(path: string, bytes: Uint8Array): LedgerScan {
  const { lines, tornBytes } = completeLines(bytes);
  const records: LedgerRecord[] = [];
  let head = NO_RECORD;
  for (const [index, line] of lines.entries()) {
    const found = unseal(line, head);
    if (typeof found === 'string') return { records, head, tornBytes, damage: damaged(path, index + 1, found) };
    records.push(found);
    head = sha256(line);
  }
  return { records, head, tornBytes };
}

function seal(record: LedgerRecord): string {
  const json = JSON.stringify(record, refuseNonFinite);
  return `${json.slice(0, -1)},"sha256":"${sha256(json)}"}`;
}

/** The record of a line, or what is wrong with it. */
function unseal(bytes: Uint8Array, previous: string): LedgerRecord | string {
  const text = new TextDecoder().decode(bytes);
  const found = SEAL.exec(text);
  if (found === null) return 'it is not a complete record';
  const json = `${text.slice(0, found.index)}}`;
  if (sha256(json) !== found[1]) return 'its SHA-256 does not match';
  const value = parse(json);
  const problem = problemOfRecord(value);
  if (problem !== undefined) return `it is not a record: ${problem}`;
  const record = value as LedgerRecord; // every field was looked at just now
  return record.previous === previous ? record : 'it does not continue the line before it';
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (cause) {
    if (cause instanceof SyntaxError) return undefined;
    throw cause;
  }
}

function damaged(path: string, line: number, reason: string): RopeteamError<'STORAGE.CORRUPT'> {
  return new RopeteamError('STORAGE.CORRUPT', { file: path }, `${path}:${line}: the ledger is damaged: ${reason}`, {
    place: { file: path, line },
    hint: 'the steps up to this line are proven; resume from a checkpoint before it or start the run again',
  });
}

/** JSON would write NaN as null, silently. */
function refuseNonFinite(key: string, value: unknown): unknown {
  if (typeof value !== 'number' || Number.isFinite(value)) return value;
  throw new RangeError(`a ledger record has ${key} = ${value}; only finite numbers can be recorded`);
}

function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}
