/** Receives a submission: a header, then files in chunks, written where the coordinator keeps uploads. */
import { randomUUID } from 'node:crypto';
import { type FileHandle, mkdir, open, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { FRAME_BYTES, RopeteamError, type Submission, type UploadedFile } from '#training';
import { type Fields, invalidField } from './fields.js';
import { corrupt } from './frames.js';
import { submitRunRequest } from './proto-definitions.js';
import { decodeMessage, optionalRunId } from './run-messages.js';

export interface UploadLimits {
  /** Files of one submission. */
  readonly maxFiles: number;
  /** Bytes of all files of one submission. */
  readonly maxBytes: number;
}

const JOB_TEXT_CHARACTERS = 256 << 10;

/** A received submission. Its folder is the caller's to keep or to remove. */
export interface ReceivedSubmission {
  readonly submission: Submission;
  discard(): Promise<void>;
}

/**
 * Reads a submission to its end. Each gets a folder of its own; file names on disk are ours, with only the harmless
 * characters of the uploader's kept, because readers tell formats by extension. On failure nothing stays behind.
 *
 * Throws USAGE.ARGUMENT, DATA.LIMIT, WIRE.CORRUPT, STORAGE.WRITE.
 */
export async function receiveSubmission(
  messages: AsyncIterable<Buffer>,
  uploadsDirectory: string,
  limits: UploadLimits,
): Promise<ReceivedSubmission> {
  const folder = join(uploadsDirectory, randomUUID());
  const discard = () => rm(folder, { recursive: true, force: true });
  let header: Header | undefined;
  const parts: ReceivedPart[] = [];
  let receiving: ReceivingFile | undefined;
  try {
    for await (const bytes of messages) {
      const fields = decodeMessage(submitRunRequest, bytes, 'a message of a submission');
      if (header === undefined) header = readHeader(fields);
      else if (fields.has('fileChunk') && receiving !== undefined) await receiving.write(fields.message('fileChunk'));
      else {
        const kind = partKinds.find((one) => fields.has(one));
        if (kind === undefined)
          throw invalidField('part', receiving === undefined ? 'must be a file_begin' : 'must be a file');
        if (receiving !== undefined) await receiving.finish();
        receiving = await beginFile(kind, fields.message(kind), parts, folder, limits);
        parts.push({ kind, file: receiving.file });
      }
    }
    if (receiving !== undefined) await receiving.finish();
    if (header === undefined) throw invalidField('header', 'is missing');
    const { announced, ...rest } = header;
    if (parts.length !== announced) throw invalidField('header.files', `is ${announced}, ${parts.length} came`);
    return { submission: { ...rest, ...sorted(parts) }, discard };
  } catch (error) {
    await receiving?.abandon();
    await discard();
    throw isFileSystemError(error) ? cannotWrite(folder, error) : error;
  }
}

/** The messages a file of a submission can begin with: each says what the file is for. */
const partKinds = ['fileBegin', 'initialWeightsBegin', 'initialModelBegin'] as const;
type PartKind = (typeof partKinds)[number];

interface ReceivedPart {
  readonly kind: PartKind;
  readonly file: UploadedFile;
}

function sorted(parts: readonly ReceivedPart[]): Pick<Submission, 'files' | 'initFrom'> {
  const of = (kind: PartKind) => parts.filter((part) => part.kind === kind).map(({ file }) => file);
  const [weights] = of('initialWeightsBegin');
  const [model] = of('initialModelBegin');
  const files = of('fileBegin');
  if (weights === undefined) {
    if (model !== undefined) throw invalidField('initialModelBegin', 'came without initial weights');
    return { files };
  }
  return { files, initFrom: { weights, ...(model === undefined ? {} : { model }) } };
}

type Header = Omit<Submission, 'files' | 'initFrom'> & { readonly announced: number };

function readHeader(message: Fields): Header {
  if (!message.has('header')) throw invalidField('header', 'must come first');
  const fields = message.message('header');
  const jobText = fields.text('jobText', JOB_TEXT_CHARACTERS);
  if (jobText === '') throw invalidField('header.jobText', 'is empty');
  const runId = optionalRunId(fields);
  const announced = fields.natural('files');
  return { jobText, jobFile: fields.text('jobFile', 4096), announced, ...(runId === undefined ? {} : { runId }) };
}

interface ReceivingFile {
  readonly file: UploadedFile;
  write(chunk: Fields): Promise<void>;
  finish(): Promise<void>;
  abandon(): Promise<void>;
}

async function beginFile(
  kind: PartKind,
  begin: Fields,
  before: readonly ReceivedPart[],
  folder: string,
  limits: UploadLimits,
): Promise<ReceivingFile> {
  const path = begin.text('path', 4096);
  if (path === '' || path.includes('\0')) throw invalidField(`${kind}.path`, 'is empty or holds a NUL');
  const isTwice = before.some((part) => part.kind === kind && (kind !== 'fileBegin' || part.file.path === path));
  if (isTwice) throw invalidField(`${kind}.path`, `names ${path} a second time`);
  const bytes = begin.natural('bytes');
  if (before.length >= limits.maxFiles) throw tooMuch(path, `more than ${limits.maxFiles} files`, limits.maxFiles);
  const total = before.reduce((sum, { file }) => sum + file.bytes, bytes);
  if (total > limits.maxBytes) throw tooMuch(path, `${total} bytes; ${limits.maxBytes} are allowed`, limits.maxBytes);

  await mkdir(folder, { recursive: true, mode: 0o700 });
  const storedAt = join(folder, `${before.length}-${harmless(path)}`);
  const handle = await open(storedAt, 'wx', 0o600);
  let written = 0;
  return {
    file: { path, storedAt, bytes },
    write: async (chunk) => {
      const payload = payloadOf(chunk, path);
      if (written + payload.length > bytes) throw invalidField('fileChunk', `goes past the ${bytes} bytes of ${path}`);
      await writeAll(handle, payload);
      written += payload.length;
    },
    finish: async () => {
      await handle.close();
      if (written !== bytes) throw invalidField('fileChunk', `${path} ended after ${written} of ${bytes} bytes`);
    },
    abandon: () => handle.close(),
  };
}

function payloadOf(chunk: Fields, path: string): Uint8Array {
  const payload = chunk.bytesUpTo('payload', FRAME_BYTES);
  if (payload.length === 0) throw invalidField('fileChunk.payload', 'is empty');
  if (crc32(payload) !== chunk.natural('crc32')) throw corrupt(`a chunk of ${path}`, 'does not match its CRC-32');
  return payload;
}

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await handle.write(bytes, at)).bytesWritten;
}

function harmless(path: string): string {
  return basename(path)
    .replace(/[^A-Za-z0-9._-]/g, '_')
    .slice(-100);
}

function tooMuch(file: string, what: string, limit: number): RopeteamError<'DATA.LIMIT'> {
  return new RopeteamError('DATA.LIMIT', { file, limit }, `the submission has ${what}`, {
    hint: "Put the data where the coordinator can read it and name that path in the job, or raise the coordinator's limit.",
  });
}

function isFileSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error;
}

function cannotWrite(file: string, error: NodeJS.ErrnoException): RopeteamError<'STORAGE.WRITE'> {
  return new RopeteamError('STORAGE.WRITE', { file }, `cannot store an upload in ${file}: ${error.message}`, {
    hint: 'Free disk space on the coordinator, or name another folder for uploads.',
    cause: error,
  });
}
