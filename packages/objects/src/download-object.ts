/** Brings one object of S3-compatible storage onto this disk: piece by piece, all of one version, or not at all. */
import { createHash } from 'node:crypto';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { S3mini, S3ServiceError } from 's3mini';
import { objectUrl, RopeteamError } from '#training';
import { brokenObject, refusedObject } from './object-errors.js';
import { patiently, REQUEST_DEADLINE_MS, type Request, type StoreOptions } from './patience.js';

export interface DownloadOptions extends StoreOptions {
  /** Bytes asked for at once. Default 32 MiB. */
  readonly pieceBytes?: number;
}

/** What an object was when it was first asked for. */
interface Version {
  readonly bytes: number;
  readonly etag: string;
  /** Its MD5, where the storage says so: not of one that was uploaded in parts, or is encrypted with somebody's key. */
  readonly md5: string | undefined;
}

const PIECE_BYTES = 32 * 2 ** 20;
const HINT_AGAIN = 'try again when it can be reached; a run goes on with: ropeteam resume RUN';

/**
 * The path of a file with the bytes of `s3://bucket/key`, below `directory`. One that is there already in the same version is
 * not fetched again. What a broken connection leaves is gone on with, from the byte it broke at.
 * @throws RopeteamError STORAGE.OBJECT, CONFIG.TYPE for what is no such address; `signal.reason`
 */
export async function downloadObject(url: string, directory: string, options: DownloadOptions): Promise<string> {
  const { endpoint, region, credentials, signal } = options;
  const parts = objectUrl(url);
  if (parts === undefined) {
    throw new RopeteamError('CONFIG.TYPE', { key: 'data.source' }, `${url} is not of the form s3://bucket/name`, {
      hint: 'name a bucket and one object in it',
    });
  }
  const store = new S3mini({
    accessKeyId: credentials?.accessKeyId ?? '',
    secretAccessKey: credentials?.secretAccessKey ?? '',
    endpoint: `${endpoint.replace(/\/+$/, '')}/${parts.bucket}`,
    region,
    fetch: (input, init) =>
      fetch(input, { ...init, signal: AbortSignal.any([signal, AbortSignal.timeout(REQUEST_DEADLINE_MS)]) }),
  });
  const source: Source = { url, key: parts.key, store, options, doing: 'read', hint: HINT_AGAIN };
  const version = await patiently(source, () => lookAt(source));
  const folder = join(
    directory,
    createHash('sha256').update(`${url}\0${version.etag}\0${version.bytes}`).digest('hex'),
  );
  const path = join(folder, basename(parts.key));
  if (await isWhole(path, version)) return path;
  await mkdir(folder, { recursive: true });
  const making = `${path}.part`;
  try {
    await fetchInto(making, source, version);
    await rename(making, path);
  } finally {
    await rm(making, { force: true });
  }
  return path;
}

interface Source extends Request {
  readonly key: string;
  readonly store: S3mini;
  readonly options: DownloadOptions;
}

/** By its first byte: only an answer with a body says what is wrong. */
async function lookAt({ store, key, url }: Source): Promise<Version> {
  const answer = await store.getObjectRaw(key, false, 0, 1).catch((error: unknown) => {
    if (error instanceof S3ServiceError && error.status === 416) return undefined; // there is no first byte
    throw error;
  });
  await answer?.body?.cancel();
  if (answer === undefined) throw brokenObject(url, 'is empty', 'name an object with rows in it');
  const bytes = Number(/\/(\d+)$/.exec(answer.headers.get('content-range') ?? '')?.[1]);
  const etag = answer.headers.get('etag');
  if (!Number.isSafeInteger(bytes) || etag === null)
    throw brokenObject(url, 'has no size and version that the storage would tell', 'check AWS_ENDPOINT_URL');
  const isPlain = answer.headers.get('x-amz-server-side-encryption')?.startsWith('aws:') !== true;
  const md5 = isPlain ? /^"?([0-9a-f]{32})"?$/.exec(etag)?.[1] : undefined;
  return { bytes, etag, md5 };
}

async function isWhole(path: string, { bytes }: Version): Promise<boolean> {
  return stat(path).then(
    ({ size }) => size === bytes,
    () => false,
  );
}

async function fetchInto(path: string, source: Source, { bytes, etag, md5 }: Version): Promise<void> {
  const { url, key, store, options } = source;
  const pieceBytes = options.pieceBytes ?? PIECE_BYTES;
  const hash = createHash('md5');
  await using file = await open(path, 'w');
  let offset = 0;
  while (offset < bytes) {
    await patiently(
      source,
      async () => {
        const end = Math.min(bytes, offset + pieceBytes);
        const answer = await store.getObjectRaw(key, false, offset, end, { 'if-match': etag });
        if (answer.headers.get('etag') !== etag) throw refusedObject(url, { status: 412, code: undefined }, false);
        if (answer.status !== 206) throw brokenObject(url, 'is not sent in pieces', 'use a storage that knows Range');
        for await (const chunk of answer.body ?? []) {
          if (offset + chunk.length > end) throw new Error('more bytes came than were asked for');
          hash.update(chunk);
          await file.write(chunk, 0, chunk.length, offset);
          offset += chunk.length;
        }
        if (offset < end) throw new Error(`the answer ended at byte ${offset} of ${bytes}`);
      },
      () => offset,
    );
  }
  await file.sync();
  if (md5 !== undefined && hash.digest('hex') !== md5)
    throw brokenObject(url, `has not the MD5 ${md5} that the storage has for it`, HINT_AGAIN);
}
