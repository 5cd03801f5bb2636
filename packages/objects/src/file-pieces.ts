/** A local file as pieces: what of an earlier copy still holds, and which bytes are new. */
import { type FileHandle, open } from 'node:fs/promises';
import { MOST_BYTES } from './bucket.js';
import type { Piece } from './run-manifest.js';

export interface SourceFile {
  /** Below the run's folder, with `/`. */
  readonly name: string;
  readonly path: string;
  /** `grows`: only ever appended to while it is the same file (inode). `whole`: replaced, never written to. */
  readonly kind: 'grows' | 'whole';
}

/** A file as it was copied: the same inode, size and time say that nothing of it has changed. */
export interface KnownFile {
  readonly inode: number;
  readonly bytes: number;
  readonly modifiedMs: number;
  readonly pieces: readonly Piece[];
}

/** Takes care of the bytes of a piece that may be new. */
export type KeepPiece = (piece: Piece, bytes: Uint8Array) => Promise<void>;

/**
 * Cuts a file into pieces and hands the new ones to `keep`, one at a time.
 * @param known as it was copied last; a number of pieces alone where another process copied it
 * @returns undefined where there is no such file any more
 */
export async function cutFile(
  file: SourceFile,
  known: Pick<KnownFile, 'pieces'> | KnownFile | undefined,
  keep: KeepPiece,
): Promise<KnownFile | undefined> {
  await using handle = await open(file.path, 'r').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (handle === undefined) return undefined;
  const { ino: inode, size: bytes, mtimeMs: modifiedMs } = await handle.stat();
  const now = { inode, bytes, modifiedMs };
  const before = known !== undefined && 'inode' in known && known.inode === inode ? known : undefined;
  if (before !== undefined && before.bytes === bytes && before.modifiedMs === modifiedMs) return before;
  const pieces =
    before !== undefined && file.kind === 'grows' && before.bytes <= bytes
      ? [...before.pieces]
      : await stillThere(handle, bytes, known?.pieces ?? []);
  mergeTail(pieces, bytes);
  for (let offset = lengthOf(pieces); offset < bytes; offset = lengthOf(pieces)) {
    const content = await read(handle, offset, Math.min(bytes - offset, MOST_BYTES));
    if (content.length === 0) break; // it was cut meanwhile: the next look finds another
    const piece = { bytes: content.length, sha256: await sha256(content) };
    await keep(piece, content);
    pieces.push(piece);
  }
  return { ...now, pieces };
}

/** The first pieces of an earlier copy that the file begins with. */
async function stillThere(handle: FileHandle, bytes: number, earlier: readonly Piece[]): Promise<Piece[]> {
  const same: Piece[] = [];
  for (const piece of earlier) {
    const offset = lengthOf(same);
    if (piece.bytes > MOST_BYTES || offset + piece.bytes > bytes) break;
    if ((await sha256(await read(handle, offset, piece.bytes))) !== piece.sha256) break;
    same.push(piece);
  }
  return same;
}

/**
 * Gives up last pieces that are no longer than what follows: a file that grows for days has a few dozen, each about twice as
 * long as the next, and each of its bytes is sent as often as that.
 */
function mergeTail(pieces: Piece[], bytes: number): void {
  for (let last = pieces.at(-1); last !== undefined; last = pieces.at(-1)) {
    const rest = bytes - lengthOf(pieces);
    if (rest === 0 || last.bytes > rest || last.bytes + rest > MOST_BYTES) return;
    pieces.pop();
  }
}

function lengthOf(pieces: readonly Piece[]): number {
  return pieces.reduce((sum, { bytes }) => sum + bytes, 0);
}

async function read(handle: FileHandle, offset: number, bytes: number): Promise<Uint8Array<ArrayBuffer>> {
  const content = new Uint8Array(bytes);
  let filled = 0;
  while (filled < bytes) {
    const { bytesRead } = await handle.read(content, filled, bytes - filled, offset + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return content.subarray(0, filled);
}

/** Beside the event loop. */
export async function sha256(content: Uint8Array<ArrayBuffer>): Promise<string> {
  return Buffer.from(await crypto.subtle.digest('SHA-256', content)).toString('hex');
}
