/** An append-only file of lines: appending never waits, the order is kept, a failed write is never forgotten. */
import { createReadStream } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { failpoint, RopeteamError } from '#training';
import { syncFolder, TEMPORARY, writeError } from './atomic-file.js';

export interface LineLogOptions {
  /** Called once, at the first write that fails; every later `flush` rejects with the same error. */
  readonly onError?: (error: RopeteamError) => void;
  /** Lines of the file to keep; what follows them is cut off. Default: all complete ones. */
  readonly keepLines?: number;
  /**
   * Puts a copy in the file's place: whoever still has the old one open, a coordinator that was frozen and has a successor
   * by now, writes to a file that has no name any more.
   */
  readonly takeOver?: boolean;
  /** Called before each write, which is not made when it throws. */
  readonly mayWrite?: () => Promise<void>;
  /** Called after each write, also one that failed: so many lines are out of this program's hands. */
  readonly onWritten?: (lines: number) => void;
}

export interface LineLog extends AsyncDisposable {
  /** Lines so far, whether or not they are written yet. */
  readonly lines: number;
  /** The first write that failed: nothing is written any more. */
  readonly failure: RopeteamError | undefined;
  /** Takes a line without its newline. Returns at once. */
  append(line: string): void;
  /** Resolves when everything appended before is written and, with `sync`, on the disk. */
  flush(options: { readonly sync: boolean }): Promise<void>;
}

/**
 * Opens a file to append to, made when missing. A last line without a newline is what a crash left of a write: it is cut off.
 * Disposing flushes, syncs and closes.
 * @throws RopeteamError STORAGE.WRITE
 */
export async function openLineLog(path: string, options: LineLogOptions = {}): Promise<LineLog> {
  const most = options.keepLines ?? Number.POSITIVE_INFINITY;
  try {
    if (options.takeOver === true) await replaceByCopy(path, most);
    const file = await open(path, 'a+');
    try {
      const kept = await measureLines(path, most);
      await file.truncate(kept.bytes);
      return createLineLog(file, path, kept.lines, options);
    } catch (cause) {
      await file.close();
      throw cause;
    }
  } catch (cause) {
    throw writeError(path, cause);
  }
}

async function replaceByCopy(path: string, most: number): Promise<void> {
  const temporary = path + TEMPORARY;
  {
    await using made = await open(path, 'a'); // a log that was never begun is an empty one
    await made.sync();
  }
  const { bytes } = await measureLines(path, most);
  try {
    await using copy = await open(temporary, 'w');
    if (bytes > 0) for await (const chunk of createReadStream(path, { end: bytes - 1 })) await copy.writeFile(chunk);
    await copy.sync();
    await rename(temporary, path);
    await syncFolder(dirname(path));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined); // the first failure is the one to report
    throw error;
  }
}

/** Longest time a line stays in memory. What a crash takes with it the run writes again: same bits, same lines. */
const WRITE_DELAY_MS = 50;

/** What a log needs of its file. */
export interface AppendableFile {
  appendFile(text: string): Promise<void>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** A log on an open file that holds `linesBefore` complete lines. */
export function createLineLog(
  file: AppendableFile,
  path: string,
  linesBefore: number,
  options: Pick<LineLogOptions, 'onError' | 'mayWrite' | 'onWritten'>,
): LineLog {
  let lines = linesBefore;
  let pending: string[] = [];
  let failure: RopeteamError | undefined;
  let closed = false;
  /** The writing under way; one at a time keeps the order. */
  let writing: Promise<void> = Promise.resolve();

  const fail = (cause: unknown): void => {
    if (failure !== undefined) return;
    failure = cause instanceof RopeteamError ? cause : writeError(path, cause);
    options.onError?.(failure);
  };

  const writePending = async (): Promise<void> => {
    if (pending.length === 0 || failure !== undefined) return;
    const text = pending.join('');
    const upTo = lines;
    pending = [];
    try {
      await options.mayWrite?.();
      await file.appendFile(text);
      failpoint('after-log-write');
    } catch (cause) {
      fail(cause);
    }
    options.onWritten?.(upTo);
  };

  const flush = async (sync: boolean): Promise<void> => {
    writing = writing.then(async () => {
      await writePending();
      if (!sync || failure !== undefined) return;
      // After a failed fsync the kernel may have dropped the pages: trying again would lie. It stays failed.
      await file.sync().catch(fail);
    });
    await writing;
    if (failure !== undefined) throw failure;
  };

  return {
    get lines() {
      return lines;
    },
    get failure() {
      return failure;
    },
    append(line) {
      if (closed) throw new Error(`${path} is closed`);
      lines++;
      // Lines go out together, a few times in a while: a write for each would cost a short step more than the step's sums.
      if (pending.push(`${line}\n`) > 1) return;
      setTimeout(() => {
        writing = writing.then(writePending);
      }, WRITE_DELAY_MS).unref();
    },
    flush: ({ sync }) => flush(sync),
    async [Symbol.asyncDispose]() {
      if (closed) return;
      closed = true;
      try {
        await flush(true);
      } finally {
        await file.close();
      }
    },
  };
}

/** The complete lines of a file, and the rest after the last newline: what a crash left of a write. */
export interface CompleteLines {
  /** Without their newlines. */
  readonly lines: readonly Uint8Array[];
  readonly tornBytes: number;
}

export function completeLines(bytes: Uint8Array): CompleteLines {
  const lines: Uint8Array[] = [];
  let begin = 0;
  for (let end = bytes.indexOf(0x0a); end >= 0; end = bytes.indexOf(0x0a, begin)) {
    lines.push(bytes.subarray(begin, end));
    begin = end + 1;
  }
  return { lines, tornBytes: bytes.length - begin };
}

/** How many complete lines there are, `most` at the most, and where the last of them ends. */
async function measureLines(path: string, most: number): Promise<{ lines: number; bytes: number }> {
  let lines = 0;
  let bytes = 0;
  let position = 0;
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    for (let at = chunk.indexOf(0x0a); at >= 0 && lines < most; at = chunk.indexOf(0x0a, at + 1)) {
      lines++;
      bytes = position + at + 1;
    }
    position += chunk.length;
  }
  return { lines, bytes };
}
