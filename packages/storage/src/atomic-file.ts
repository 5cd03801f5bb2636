/** Files that are there whole or not at all, and hashing that lets the event loop breathe. */
import { createHash } from 'node:crypto';
import { dirname } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { failpoint, RopeteamError } from '#training';
import { type Disk, realDisk } from './disk.js';

/** Ending of a file that is not yet there; whoever finds one after a crash may delete it. */
export const TEMPORARY = '.tmp';

/** About 2 ms of SHA-256: the longest the event loop is held. */
const HASH_BYTES = 1 << 20;

/**
 * Writes the parts one after the other: to a temporary file beside `path`, fsync, rename, fsync of the folder. When it
 * resolves the file survives a power cut; when it rejects the old file, if any, is untouched and nothing is left behind.
 * @throws RopeteamError STORAGE.WRITE
 */
export async function writeFileAtomically(
  path: string,
  parts: readonly Uint8Array[],
  disk: Disk = realDisk,
): Promise<void> {
  const temporary = path + TEMPORARY;
  try {
    await writeDurably(temporary, parts, disk);
    failpoint('before-rename');
    await disk.rename(temporary, path);
    failpoint('after-rename');
    await disk.syncFolder(dirname(path));
  } catch (error) {
    await disk.remove(temporary).catch(() => undefined); // the first failure is the one to report
    throw writeError(path, error);
  }
}

async function writeDurably(path: string, parts: readonly Uint8Array[], disk: Disk): Promise<void> {
  const file = await disk.create(path);
  try {
    for (const [index, part] of parts.entries()) {
      if (index === parts.length >> 1) failpoint('mid-checkpoint');
      await file.write(part);
    }
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Resolves when the folder's names survive a power cut. */
export const syncFolder = realDisk.syncFolder;

export function writeError(path: string, cause: unknown): RopeteamError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const full = errorCodeOf(cause) === 'ENOSPC';
  return new RopeteamError('STORAGE.WRITE', { file: path }, `cannot write ${path}: ${reason}`, {
    cause,
    hint: full
      ? 'free space on this disk or choose another folder with --out'
      : 'check that the folder exists and may be written',
  });
}

/** @throws RopeteamError STORAGE.CORRUPT when it can't be read */
export async function readWholeFile(path: string, disk: Disk = realDisk): Promise<Uint8Array> {
  try {
    return await disk.read(path);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new RopeteamError('STORAGE.CORRUPT', { file: path }, `cannot read ${path}: ${reason}`, { cause });
  }
}

/** SHA-256 of the parts one after the other, 64 hexadecimal digits. */
export async function sha256OfParts(parts: readonly Uint8Array[]): Promise<string> {
  const hash = createHash('sha256');
  for (const part of parts) {
    for (let begin = 0; begin < part.byteLength; begin += HASH_BYTES) {
      hash.update(part.subarray(begin, begin + HASH_BYTES));
      if (begin + HASH_BYTES < part.byteLength) await setImmediate();
    }
  }
  return hash.digest('hex');
}

export function errorCodeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
