/** The files of a run's folder that are there to be taken: a fixed list of names, and nothing else in the folder. */
import { constants } from 'node:fs';
import { type FileHandle, lstat, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCodeOf } from './atomic-file.js';
import { MODEL_FILES } from './model-file.js';
import type { RunFolder } from './run-folder.js';
import { decodeHeader, headerLength, LENGTH_BYTES } from './safetensors-header.js';

export interface Artifact {
  /** Below the run's folder, with `/`. */
  readonly name: string;
  readonly kind: 'checkpoint' | 'model' | 'record';
  readonly bytes: number;
  readonly modifiedAt: Date;
  /** Of a checkpoint. */
  readonly step?: number;
  /** Of a checkpoint, as it says itself: of the file with these digits as zeros. */
  readonly sha256?: string;
}

const FIXED: readonly (readonly [name: string, kind: Artifact['kind']])[] = [
  [`model/${MODEL_FILES.weights}`, 'model'],
  [`model/${MODEL_FILES.description}`, 'model'],
  ['job.yaml', 'record'],
  ['events.ndjson', 'record'],
  ['ledger.ndjson', 'record'],
];
const CHECKPOINT = /^checkpoints\/step-(\d{8,16})\.safetensors$/;
/** Newest first; the older ones of a run that keeps very many are left out. */
const MOST_CHECKPOINTS = 40;

/** What can be had of a run, the newest checkpoints first. */
export async function listArtifacts(folder: RunFolder): Promise<readonly Artifact[]> {
  const files = await readdir(folder.checkpointsPath).catch((error: unknown) => {
    if (errorCodeOf(error) === 'ENOENT') return [];
    throw error;
  });
  const checkpoints = files
    .map((file) => `checkpoints/${file}`)
    .filter((name) => CHECKPOINT.test(name))
    .sort((left, right) => stepOf(right) - stepOf(left))
    .slice(0, MOST_CHECKPOINTS)
    .map((name) => [name, 'checkpoint'] as const);
  const found = await Promise.all([...checkpoints, ...FIXED].map(([name, kind]) => describe(folder, name, kind)));
  return found.flatMap((artifact) => artifact ?? []);
}

/** An open artifact: as many bytes as it has now, however it grows. */
export interface OpenArtifact extends AsyncDisposable {
  readonly bytes: number;
  read(): AsyncIterable<Uint8Array>;
}

/**
 * Opens an artifact by a name of the list. The name is compared, never resolved: no part of it can lead out of the folder.
 * @returns undefined for any other name, for what is not there, and for what is no regular file
 */
export async function openArtifact(folder: RunFolder, name: string): Promise<OpenArtifact | undefined> {
  if (!CHECKPOINT.test(name) && !FIXED.some(([fixed]) => fixed === name)) return undefined;
  const file = await openRegular(folder, name);
  if (file === undefined) return undefined;
  const { size } = await file.stat();
  return {
    bytes: size,
    read: async function* () {
      if (size > 0)
        yield* file.createReadStream({ start: 0, end: size - 1, autoClose: false }) as AsyncIterable<Uint8Array>;
    },
    [Symbol.asyncDispose]: () => file.close(),
  };
}

async function describe(folder: RunFolder, name: string, kind: Artifact['kind']): Promise<Artifact | undefined> {
  const file = await openRegular(folder, name);
  if (file === undefined) return undefined;
  try {
    const { size, mtime } = await file.stat();
    const sha256 = kind === 'checkpoint' ? await sha256In(file, size, name) : undefined;
    return {
      name,
      kind,
      bytes: size,
      modifiedAt: mtime,
      ...(kind === 'checkpoint' ? { step: stepOf(name) } : {}),
      ...(sha256 === undefined ? {} : { sha256 }),
    };
  } finally {
    await file.close();
  }
}

/** Without following a link, neither in the name's folder nor at its end; a pipe is not waited for. */
async function openRegular(folder: RunFolder, name: string): Promise<FileHandle | undefined> {
  const inner = name.split('/').slice(0, -1);
  try {
    for (const part of inner) if (!(await lstat(join(folder.path, part))).isDirectory()) return undefined;
    const file = await open(join(folder.path, name), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    if ((await file.stat()).isFile()) return file;
    await file.close();
    return undefined;
  } catch (error) {
    // ENXIO: a socket; ELOOP: a link. Neither is one of ours.
    if (['ENOENT', 'ELOOP', 'ENXIO', 'ENOTDIR'].includes(errorCodeOf(error) ?? '')) return undefined;
    throw error;
  }
}

/** What a checkpoint's header says; undefined for a file that is not whole: a recovery says so, a list need not. */
async function sha256In(file: FileHandle, fileBytes: number, name: string): Promise<string | undefined> {
  try {
    const start = Buffer.alloc(Math.min(fileBytes, LENGTH_BYTES + 2));
    await file.read(start, 0, start.byteLength, 0);
    const header = Buffer.alloc(headerLength(start, fileBytes, name));
    await file.read(header, 0, header.byteLength, 0);
    return decodeHeader(header, fileBytes, name).metadata.get('fileSha256');
  } catch (error) {
    if (errorCodeOf(error) === 'STORAGE.CORRUPT') return undefined;
    throw error;
  }
}

function stepOf(name: string): number {
  return Number(CHECKPOINT.exec(name)?.[1] ?? Number.NaN);
}
