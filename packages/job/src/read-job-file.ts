/** Opening a job file, with an answer to whatever a user may name instead of one. */
import { constants } from 'node:fs';
import { type FileHandle, open, readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { RopeteamError } from '#training';
import { nearest } from './suggest.js';
import { largestJobFileBytes } from './yaml-syntax.js';

export interface JobFileText {
  readonly text: string;
  /** The path as it was given. */
  readonly file: string;
}

/**
 * The text of a job file.
 * @throws RopeteamError `CONFIG.FILE` for what is missing, unreadable, not a file, too large or not UTF-8 text
 */
export async function readJobFile(path: string): Promise<JobFileText> {
  if (path === '-' || /^[a-z][a-z0-9+.-]+:\/\//i.test(path)) {
    const what = path === '-' ? 'standard input' : 'an address';
    throw unusable(path, `a job must be a file, received ${what}: data paths are relative to the job's folder`, {
      hint: 'save it as job.yaml and name that',
    });
  }
  await using file = await opened(path);
  const status = await file.stat();
  if (status.isDirectory()) throw await isFolder(path);
  if (!status.isFile()) {
    throw unusable(path, `${path} is not a regular file`, { hint: 'name a job file such as job.yaml' });
  }
  const bytes = await readAtMost(file, largestJobFileBytes + 1);
  if (bytes.length > largestJobFileBytes) {
    const most = `${largestJobFileBytes / 1024} KiB`;
    throw unusable(path, `${path} is ${Math.ceil(status.size / 1024)} KiB long; a job file has at most ${most}`, {
      hint: 'name the job file, not the data',
    });
  }
  return { text: decode(path, bytes), file: path };
}

/** Opens without waiting: a FIFO without a writer would block for ever. */
async function opened(path: string): Promise<FileHandle> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    throw await explained(path, cause);
  }
}

async function explained(path: string, cause: unknown): Promise<RopeteamError> {
  const reason = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  switch (reason) {
    case 'ENOENT':
    case 'ENOTDIR': {
      const near = await nearestFile(path);
      const hint =
        near === undefined ? 'check the path, or start from one of the jobs in examples/' : `did you mean ${near}?`;
      return unusable(path, `there is no file ${path}`, { hint, cause });
    }
    case 'EISDIR':
      return isFolder(path);
    case 'EACCES':
    case 'EPERM':
      return unusable(path, `${path} may not be read by this user`, { hint: `chmod u+r ${path}`, cause });
    default:
      return unusable(path, `${path} cannot be opened${reason === '' ? '' : ` (${reason})`}`, {
        hint: 'check the path',
        cause,
      });
  }
}

async function isFolder(path: string): Promise<RopeteamError> {
  const jobs = (await filesIn(path)).filter((name) => /\.ya?ml$/.test(name));
  const name = jobs.includes('job.yaml') ? 'job.yaml' : jobs[0];
  const hint = name === undefined ? 'name a job file in it' : `did you mean ${join(path, name)}?`;
  return unusable(path, `${path} is a folder, not a job file`, { hint });
}

async function nearestFile(path: string): Promise<string | undefined> {
  const folder = dirname(path);
  const files = await filesIn(folder);
  const name = nearest(basename(path), files) ?? files.find((one) => /^job\.ya?ml$/.test(one));
  return name === undefined ? undefined : join(folder, name);
}

/** Names in a folder; none when it cannot be listed, for then there is nothing to suggest. */
async function filesIn(folder: string): Promise<readonly string[]> {
  return readdir(folder).then(
    (names) => names.toSorted(),
    () => [],
  );
}

async function readAtMost(file: FileHandle, limit: number): Promise<Uint8Array> {
  const buffer = new Uint8Array(limit);
  let length = 0;
  while (length < limit) {
    const { bytesRead } = await file.read(buffer, length, limit - length, length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return buffer.subarray(0, length);
}

function decode(path: string, bytes: Uint8Array): string {
  const [first = 0, second = 0] = bytes;
  const mark = first * 256 + second;
  const looksUtf16 = mark === 0xfffe || mark === 0xfeff || (bytes.length > 3 && (bytes[1] === 0 || bytes[0] === 0));
  if (looksUtf16 && bytes.length % 2 === 0) {
    throw unusable(path, `${path} is UTF-16 text`, { hint: 'save it as UTF-8' });
  }
  if (mark === 0x1f8b) throw unusable(path, `${path} is compressed (gzip)`, { hint: 'unpack it first' });
  if (bytes.includes(0)) throw unusable(path, `${path} is a binary file`, { hint: 'name a job file such as job.yaml' });
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw unusable(path, `${path} is not UTF-8 text`, { hint: 'save it as UTF-8', cause });
  }
}

function unusable(file: string, message: string, details: { hint: string; cause?: unknown }): RopeteamError {
  return new RopeteamError('CONFIG.FILE', { file }, message, { ...details, place: { file } });
}
