/** The bytes of a data file, plain or gzipped, as a stream: bounded memory, and no more unpacked than is plausible. */
import type { Hash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { RopeteamError } from '#training';
import { fileError, notRegular } from './resolve-inside.js';

/** A file of the data set: what the job calls it and where its bytes are. */
export interface SourceFile {
  readonly name: string;
  readonly path: string;
  /**
   * Left out for a table of text. `json`: cells are found by their keys. `binary`: samples are counted from 1 instead of
   * lines, and there is no text to quote.
   */
  readonly content?: 'json' | 'binary';
  /** What separates the cells of a table of text, once it is known. */
  readonly delimiter?: string;
}

export interface BytesOptions {
  /** Takes the file's bytes as they lie on disk. */
  readonly hash?: Hash;
  readonly signal?: AbortSignal;
}

/** 5-8 ms of parsing text: how long the event loop is held at most. */
const CHUNK_BYTES = 1 << 15;
/** Deflate reaches 1032:1 on nothing but zeros; tables of digits stay below 50:1. */
const MAX_EXPANSION = 200;
const EXPANSION_ALLOWED_BYTES = 1 << 24;

/**
 * The bytes of a file, unpacked where they are gzip, a chunk at a time.
 * @throws RopeteamError DATA.FILE (missing, unreadable, not regular, empty), DATA.FORMAT (broken gzip), DATA.LIMIT (gzip
 * bomb); `signal.reason` when aborted
 */
export async function* readBytes(file: SourceFile, { hash, signal }: BytesOptions): AsyncGenerator<Buffer> {
  await using handle = await openRegular(file);
  const read = { bytes: 0 };
  const raw = readRaw(handle, file, (chunk) => {
    signal?.throwIfAborted();
    read.bytes += chunk.byteLength;
    hash?.update(chunk);
  });
  if (!(await isGzip(handle, file))) {
    yield* raw;
    return;
  }
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES });
  // A failure of the source or of the inflating ends the iteration below with it: nothing is lost by not looking here.
  const feeding = pipeline(raw, gunzip).catch(() => undefined);
  try {
    let inflated = 0;
    for await (const chunk of gunzip as AsyncIterable<Buffer>) {
      inflated += chunk.byteLength;
      refuseExpansion(file, inflated, read.bytes);
      yield chunk;
    }
  } catch (cause) {
    if (cause instanceof RopeteamError || signal?.aborted) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new RopeteamError('DATA.FORMAT', { file: file.name }, `${file.name} is damaged gzip: ${reason}`, {
      cause,
      place: { file: file.name },
      hint: `compress it again, and check it with: gzip -t ${file.name}`,
    });
  } finally {
    gunzip.destroy();
    await feeding;
  }
}

async function* readRaw(
  handle: FileHandle,
  file: SourceFile,
  onChunk: (chunk: Buffer) => void,
): AsyncGenerator<Buffer> {
  let position = 0;
  for (;;) {
    const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
    const { bytesRead } = await handle.read(buffer, 0, CHUNK_BYTES, position).catch((cause: unknown) => {
      throw fileError(file.name, cause);
    });
    if (bytesRead === 0) return;
    position += bytesRead;
    const chunk = buffer.subarray(0, bytesRead);
    onChunk(chunk);
    yield chunk;
  }
}

/** Opens without waiting for a writer, so that a named pipe is refused instead of waited for. */
export async function openRegular(file: SourceFile): Promise<FileHandle> {
  let handle: FileHandle;
  try {
    handle = await open(file.path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    throw fileError(file.name, cause);
  }
  const status = await handle.stat();
  if (status.isFile() && status.size > 0) return handle;
  await handle.close();
  if (!status.isFile()) throw notRegular(file.name, status.isDirectory());
  throw emptyFile(file);
}

export function emptyFile(file: SourceFile): RopeteamError {
  return new RopeteamError('DATA.FILE', { file: file.name }, `${file.name} is empty`, {
    place: { file: file.name },
    hint: 'write a header line with the names of the columns and one line a sample below it',
  });
}

async function isGzip(handle: FileHandle, file: SourceFile): Promise<boolean> {
  const magic = Buffer.alloc(2);
  await handle.read(magic, 0, 2, 0);
  const found = magic[0] === 0x1f && magic[1] === 0x8b;
  if (!found && /\.gz$/i.test(file.name)) {
    throw new RopeteamError('DATA.FORMAT', { file: file.name }, `${file.name} ends in .gz but is not gzip`, {
      place: { file: file.name },
      hint: 'rename it without .gz, or compress it with gzip',
    });
  }
  return found;
}

/** @throws RopeteamError DATA.LIMIT when more is unpacked than is plausible */
export function refuseExpansion(file: SourceFile, unpackedBytes: number, packedBytes: number): void {
  if (unpackedBytes <= EXPANSION_ALLOWED_BYTES || unpackedBytes <= MAX_EXPANSION * packedBytes) return;
  const message = `${file.name} grows to more than ${MAX_EXPANSION} times its size when unpacked`;
  throw new RopeteamError('DATA.LIMIT', { file: file.name, limit: MAX_EXPANSION }, message, {
    place: { file: file.name },
    hint: 'unpack it yourself if it is meant to be like that',
  });
}
