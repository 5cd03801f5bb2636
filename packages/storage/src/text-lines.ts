/** The text of a file, plain or gzipped, as a stream: bounded memory, one short turn of the event loop a chunk. */
import type { Hash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { StringDecoder } from 'node:string_decoder';
import { createGunzip } from 'node:zlib';
import { RopeteamError } from '#training';
import { fileError, notRegular } from './resolve-inside.js';

/** A file of the data set: what the job calls it and where its bytes are. */
export interface SourceFile {
  readonly name: string;
  readonly path: string;
}

export interface TextOptions {
  /** Takes the file's bytes as they lie on disk. */
  readonly hash?: Hash;
  readonly signal?: AbortSignal;
}

/** Characters; also the longest record a quoted field may make. */
export const MAX_LINE_LENGTH = 1_000_000;

/** 5-8 ms of parsing: how long the event loop is held at most. */
const CHUNK_BYTES = 1 << 15;
/** Deflate reaches 1032:1 on nothing but zeros; tables of digits stay below 50:1. */
const MAX_EXPANSION = 200;
const EXPANSION_ALLOWED_BYTES = 1 << 24;

/**
 * The file's text, some whole lines at a time, without a byte order mark; every line ends in `\n`, however it ends in the
 * file.
 * @throws RopeteamError DATA.FILE (missing, unreadable, not regular, empty), DATA.FORMAT (not UTF-8 text, broken gzip),
 * DATA.LIMIT (line longer than 1 MB, gzip bomb); `signal.reason` when aborted
 */
export async function* readText(file: SourceFile, options: TextOptions = {}): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  let line = 1;
  for await (const chunk of readBytes(file, options)) {
    const decoded = decoder.write(chunk);
    const added = line === 1 && rest === '' ? withoutByteOrderMark(file, chunk, decoded) : decoded;
    const text = (rest + added).replaceAll(/\r\n|\r(?!$)/g, '\n'); // after a CR at the very end an LF may follow
    checkText(file, text, line);
    const end = text.indexOf('\n');
    if ((end < 0 ? text.length : end) > MAX_LINE_LENGTH) throw tooLong(file, line, text);
    const whole = text.slice(0, text.lastIndexOf('\n') + 1);
    rest = text.slice(whole.length);
    line += whole.split('\n').length - 1;
    if (whole !== '') yield whole;
  }
  rest += decoder.end();
  checkText(file, rest, line);
  if (rest !== '') yield `${rest.replace(/\r$/, '')}\n`;
}

/** Calls `onLine` with every line and its number from 1, until it returns false. Throws as `readText` does. */
export async function readLines(file: SourceFile, onLine: (text: string, line: number) => boolean): Promise<void> {
  let line = 0;
  for await (const text of readText(file)) {
    for (const each of text.slice(0, -1).split('\n')) if (!onLine(each, ++line)) return;
  }
}

/** At most 120 characters of a line, for an error's frame. */
export function excerpt(text: string): string {
  return text.length <= 120 ? text : `${text.slice(0, 119)}…`;
}

async function* readBytes(file: SourceFile, { hash, signal }: TextOptions): AsyncGenerator<Buffer> {
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
      if (inflated > EXPANSION_ALLOWED_BYTES && inflated > MAX_EXPANSION * read.bytes) throw tooMuch(file);
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
async function openRegular(file: SourceFile): Promise<FileHandle> {
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

function withoutByteOrderMark(file: SourceFile, chunk: Buffer, text: string): string {
  const first = chunk.length < 2 ? 0 : chunk.readUInt16BE(0);
  if (first === 0xfffe || first === 0xfeff) throw notText(file, 1, 'is UTF-16');
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
}

function checkText(file: SourceFile, text: string, firstLine: number): void {
  const nul = text.indexOf('\0');
  const broken = nul < 0 ? text.indexOf('\uFFFD') : nul;
  if (broken < 0) return;
  const line = firstLine + text.slice(0, broken).split('\n').length - 1;
  throw notText(file, line, nul < 0 ? 'is not UTF-8' : 'looks like a binary file');
}

function notText(file: SourceFile, line: number, what: string): RopeteamError {
  return new RopeteamError('DATA.FORMAT', { file: file.name }, `${file.name}:${line}: the file ${what}`, {
    place: { file: file.name, line },
    hint: 'save it as CSV in UTF-8',
  });
}

function tooLong(file: SourceFile, line: number, text: string): RopeteamError {
  const message = `${file.name}:${line}: line longer than 1 MB`;
  return new RopeteamError('DATA.LIMIT', { file: file.name, limit: MAX_LINE_LENGTH }, message, {
    place: { file: file.name, line, text: excerpt(text) },
    hint: 'is this a CSV file? Each sample is a line of its own',
  });
}

function tooMuch(file: SourceFile): RopeteamError {
  const message = `${file.name} grows to more than ${MAX_EXPANSION} times its size when unpacked`;
  return new RopeteamError('DATA.LIMIT', { file: file.name, limit: MAX_EXPANSION }, message, {
    place: { file: file.name },
    hint: 'unpack it yourself if it is meant to be like that',
  });
}
