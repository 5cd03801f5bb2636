/**
 * `ledger.ndjson`: one line a committed step, each with the SHA-256 of the line before it.
 *
 * A line is the record as JSON with one more field at its end, `sha256`: the SHA-256 of the line without that field. So the
 * last line is guarded too, which no later line vouches for yet. A crash can leave an incomplete last line; anything else
 * that does not fit is damage.
 */
import { createHash } from 'node:crypto';
import type { InitFrom, LedgerRecord } from '#training';
import { RopeteamError } from '#training';
import { readWholeFile } from './atomic-file.js';
import { completeLines, type LineLogOptions, openLineLog } from './line-log.js';

export interface Ledger extends AsyncDisposable {
  /** Records in the file or on their way to it. */
  readonly records: number;
  /** Takes a step's record. Returns at once; the file is written behind it, in order. */
  append(record: Omit<LedgerRecord, 'previous' | 'initFrom'>): void;
  /** Resolves when every record appended before is on the disk. @throws RopeteamError STORAGE.WRITE */
  flush(): Promise<void>;
}

export interface LedgerOptions extends Pick<LineLogOptions, 'onError' | 'takeOver' | 'mayWrite'> {
  /** Goes on after this many records and cuts off the rest: a run resumed from a checkpoint commits those steps again. */
  readonly keepRecords?: number;
  /** Goes into the first record. */
  readonly initFrom?: InitFrom;
}

const NO_RECORD = '0'.repeat(64);
const SEAL = /,"sha256":"([0-9a-f]{64})"\}$/;

/**
 * Opens a ledger to append to, made when missing; an incomplete last line is cut off.
 * @throws RopeteamError STORAGE.CORRUPT when the records to go on from are damaged, STORAGE.WRITE
 */
export async function openLedger(path: string, options: LedgerOptions = {}): Promise<Ledger> {
  const { keepRecords, initFrom, onError, takeOver, mayWrite } = options;
  const log = await openLineLog(path, {
    ...(onError === undefined ? {} : { onError }),
    ...(takeOver === undefined ? {} : { takeOver }),
    ...(mayWrite === undefined ? {} : { mayWrite }),
    ...(keepRecords === undefined ? {} : { keepLines: keepRecords }),
  });
  let previous: string;
  try {
    previous = (await readChain(path)).previous;
  } catch (error) {
    await log[Symbol.asyncDispose]();
    throw error;
  }
  return {
    get records() {
      return log.lines;
    },
    append(record) {
      const start = initFrom === undefined || log.lines > 0 ? {} : { initFrom };
      const line = seal({ ...record, ...start, previous });
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
  const { records, tornBytes } = await readChain(path);
  if (tornBytes > 0) onTorn?.({ line: records.length + 1, bytes: tornBytes });
  return records;
}

async function readChain(path: string) {
  const { lines, tornBytes } = completeLines(await readWholeFile(path));
  const records: LedgerRecord[] = [];
  let previous = NO_RECORD;
  for (const [index, bytes] of lines.entries()) {
    const record = unseal(path, index + 1, bytes);
    if (record.previous !== previous) {
      throw damaged(path, index + 1, 'it does not continue the line before it');
    }
    records.push(record);
    previous = sha256(bytes);
  }
  return { records, previous, tornBytes };
}

function seal(record: LedgerRecord): string {
  const json = JSON.stringify(record, refuseNonFinite);
  return `${json.slice(0, -1)},"sha256":"${sha256(json)}"}`;
}

function unseal(path: string, line: number, bytes: Uint8Array): LedgerRecord {
  const text = new TextDecoder().decode(bytes);
  const found = SEAL.exec(text);
  if (found === null) throw damaged(path, line, 'it is not a complete record');
  const json = `${text.slice(0, found.index)}}`;
  if (sha256(json) !== found[1]) throw damaged(path, line, 'its SHA-256 does not match');
  // The SHA-256 says that this is what `seal` wrote, and `seal` takes nothing but a record.
  return JSON.parse(json) as LedgerRecord;
}

function damaged(path: string, line: number, reason: string): RopeteamError {
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
