/** The files of a data set as they are on disk: which they are, what they hold, and whether they stayed the same. */
import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DataSpec } from '#training';
import { type FileNames, filePathOf, listOfFiles, RopeteamError } from '#training';
import { errorCodeOf } from './atomic-file.js';
import { fileError } from './resolve-inside.js';

/** A file of the job, and what tells whether it was written to since. */
export interface SourceState {
  /** As the job names it. */
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
  /** Device, inode, size, and the times of its last change, to the nanosecond. */
  readonly stamp: string;
}

const READ_BYTES = 1 << 20;
/** A file that was written to so short a time ago may be written to again without its times changing. */
const SETTLED_MS = 2_000;

/** Every file that a data set is read from, each once, by the name in the job. @param spec without patterns */
export function sourceNames({ source, labels, split }: DataSpec): readonly string[] {
  const named = (files: FileNames, ofLabels: string | undefined): readonly string[] => [
    ...listOfFiles(files),
    ...(ofLabels === undefined ? [] : [ofLabels]),
  ];
  const own = [split.validation, split.test].flatMap((part) =>
    part.kind === 'file' ? named(part.path, part.labels) : [],
  );
  return [...new Set([...named(source, labels), ...own].map(filePathOf))];
}

/** @throws RopeteamError DATA.FILE, and what `resolve` throws */
export async function lookAtSources(
  spec: DataSpec,
  resolve: (path: string) => string | Promise<string>,
): Promise<readonly SourceState[]> {
  const states: SourceState[] = [];
  for (const name of sourceNames(spec)) states.push(await lookAt(name, await resolve(name)));
  return states;
}

async function lookAt(name: string, path: string): Promise<SourceState> {
  const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true }).catch((cause: unknown) => {
    throw fileError(name, cause);
  });
  return { name, path, bytes: Number(size), stamp: [dev, ino, size, mtimeNs, ctimeNs].join('-') };
}

/**
 * To be called when all of them have been read.
 * @throws RopeteamError DATA.CHANGED for one that is not what it was
 */
export async function checkUnchanged(states: readonly SourceState[]): Promise<void> {
  for (const { name, path, stamp } of states) {
    const now = await lookAt(name, path);
    if (now.stamp === stamp) continue;
    const message = `${name} was changed while it was read`;
    const hint = 'start again when whoever writes it is done';
    throw new RopeteamError('DATA.CHANGED', { file: name }, message, { hint, place: { file: name } });
  }
}

/**
 * SHA-256 of a file's bytes. With a folder to remember it in, a file that was not touched since is not read again.
 * @throws RopeteamError DATA.FILE, `signal.reason`
 */
export async function hashSource(
  state: SourceState,
  memory: string | undefined,
  signal?: AbortSignal,
): Promise<string> {
  const key = createHash('sha256').update(`${state.path}\0${state.stamp}`).digest('hex');
  const note = memory === undefined ? undefined : join(memory, key);
  const known = note === undefined ? undefined : await readNote(note);
  if (known !== undefined) return known;
  const hash = createHash('sha256');
  await using file = await open(state.path, 'r').catch((cause: unknown) => {
    throw fileError(state.name, cause);
  });
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  for (;;) {
    signal?.throwIfAborted();
    const { bytesRead } = await file.read(buffer, 0, READ_BYTES);
    if (bytesRead === 0) break;
    hash.update(buffer.subarray(0, bytesRead));
  }
  const digest = hash.digest('hex');
  if (note !== undefined && memory !== undefined && (await isSettled(state))) {
    await mkdir(memory, { recursive: true });
    await writeFile(`${note}.${process.pid}`, digest);
    await rename(`${note}.${process.pid}`, note);
  }
  return digest;
}

async function readNote(path: string): Promise<string | undefined> {
  try {
    const text = await readFile(path, 'utf8');
    return /^[0-9a-f]{64}$/.test(text) ? text : undefined;
  } catch (error) {
    if (errorCodeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Whether a change from now on would be seen in the file's times. */
async function isSettled({ path }: SourceState): Promise<boolean> {
  const { mtimeMs, ctimeMs } = await stat(path);
  return Date.now() - Math.max(mtimeMs, ctimeMs) > SETTLED_MS;
}
