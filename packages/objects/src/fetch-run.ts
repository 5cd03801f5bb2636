/** The way back: a run's files from its copy in object storage, every byte checked, or none. */
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { failpoint, RopeteamError } from '#training';
import type { Bucket } from './bucket.js';
import { sha256 } from './file-pieces.js';
import {
  damaged,
  decodeManifest,
  manifestName,
  type Piece,
  pieceName,
  type RunManifest,
  termsAmong,
} from './run-manifest.js';

export interface FetchOptions {
  /** Whether a run's folder may hold a file of this name. */
  readonly mayBe: (name: string) => boolean;
  /** Where it is put together; on the same disk as its place. */
  readonly making: string;
  readonly wanted?: (name: string) => boolean;
}

/** While its coordinator goes on copying, objects that were named a moment ago may be gone. */
const MOST_TRIES = 3;

/**
 * Puts a run's files into a new folder.
 * @returns what the copy holds; undefined: there is none of that run
 * @throws RopeteamError STORAGE.CORRUPT when a byte is not what was copied, STORAGE.OBJECT, RUN.EXISTS
 */
export async function fetchRun(
  bucket: Bucket,
  run: string,
  folder: string,
  { mayBe, making, wanted = () => true }: FetchOptions,
): Promise<RunManifest | undefined> {
  for (let tries = 1; ; tries++) {
    const manifest = await newestManifest(bucket, run, await bucket.list(`${run}/`), mayBe);
    if (manifest === undefined) return undefined;
    await rm(making, { recursive: true, force: true });
    await mkdir(making, { recursive: true });
    const gone = await fetchFiles(bucket, manifest, making, wanted);
    if (gone === undefined) {
      await moveIntoPlace(making, folder, run);
      return manifest;
    }
    if (tries >= MOST_TRIES) throw damaged(gone, 'there is no such object');
  }
}

/** The manifest of the highest term among a run's objects; undefined where there is none. @throws STORAGE.CORRUPT */
export async function newestManifest(
  bucket: Bucket,
  run: string,
  names: readonly string[],
  mayBe: (name: string) => boolean,
): Promise<RunManifest | undefined> {
  for (const term of termsAmong(run, names).toReversed()) {
    const name = manifestName(run, term);
    const bytes = await bucket.get(name);
    if (bytes !== undefined) return decodeManifest(bytes, `${bucket.url}/${name}`, run, mayBe);
  }
  return undefined;
}

/** The first object that is not there; undefined when all were. */
async function fetchFiles(
  bucket: Bucket,
  { run, files }: RunManifest,
  folder: string,
  wanted: (name: string) => boolean,
): Promise<string | undefined> {
  for (const { name, pieces } of files) {
    if (!wanted(name)) continue;
    const path = join(folder, name);
    await mkdir(dirname(path), { recursive: true });
    await using file = await open(path, 'wx');
    for (const piece of pieces) {
      const object = pieceName(run, name, piece);
      const url = `${bucket.url}/${object}`;
      const bytes = await bucket.get(object);
      if (bytes === undefined) return url;
      await checkPiece(bytes, piece, url);
      failpoint('before-piece-fetched');
      await file.writeFile(bytes);
    }
    await file.sync();
  }
  return undefined;
}

async function checkPiece(bytes: Uint8Array, piece: Piece, url: string): Promise<void> {
  if (bytes.length !== piece.bytes) throw damaged(url, `it has ${bytes.length} bytes, not ${piece.bytes}`);
  if ((await sha256(new Uint8Array(bytes))) !== piece.sha256) throw damaged(url, 'its SHA-256 does not match');
}

async function moveIntoPlace(making: string, folder: string, run: string): Promise<void> {
  try {
    await mkdir(dirname(folder), { recursive: true });
    await rename(making, folder);
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && (cause.code === 'ENOTEMPTY' || cause.code === 'EEXIST')))
      throw cause;
    throw new RopeteamError('RUN.EXISTS', { run }, `${folder} is there already`, {
      cause,
      hint: 'choose another --out, or move it away',
    });
  }
}
