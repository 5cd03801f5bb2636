/** One folder of object storage: whole objects, small enough to be asked for again. */
import { S3mini, S3ServiceError } from 's3mini';
import { objectUrl, RopeteamError } from '#training';
import { brokenObject } from './object-errors.js';
import { patiently, REQUEST_DEADLINE_MS, type Request, type StoreOptions } from './patience.js';

/** Largest object that is read or written in one request. */
export const MOST_BYTES = 32 * 2 ** 20;

export interface Bucket {
  /** `s3://bucket/folder`. */
  readonly url: string;
  /** Names of all objects below a folder of it, as one gives them to `get`. */
  list(folder: string): Promise<readonly string[]>;
  /** Names of the folders in it. */
  folders(): Promise<readonly string[]>;
  /** Undefined: there is no such object. */
  get(name: string): Promise<Uint8Array | undefined>;
  put(name: string, bytes: Uint8Array): Promise<void>;
  /** Puts what must not be there yet. Storage that knows no conditions replaces what is there: look again afterwards. */
  create(name: string, bytes: Uint8Array): Promise<void>;
  /** One that is not there is no error. */
  remove(name: string): Promise<void>;
}

const HINT_AGAIN = 'try again when the storage can be reached';

/** @param url `s3://bucket/folder` @throws RopeteamError USAGE.ARGUMENT for anything else; every call STORAGE.OBJECT */
export function openBucket(url: string, argument: string, options: StoreOptions): Bucket {
  const parts = objectUrl(url.replace(/\/+$/, ''));
  if (parts === undefined) {
    const message = `${argument} is ${JSON.stringify(url)}, which is not of the form s3://bucket/folder`;
    throw new RopeteamError('USAGE.ARGUMENT', { argument }, message, { hint: 'name a bucket and a folder in it' });
  }
  const root = `s3://${parts.bucket}/${parts.key}`;
  const store = new S3mini({
    accessKeyId: options.credentials?.accessKeyId ?? '',
    secretAccessKey: options.credentials?.secretAccessKey ?? '',
    endpoint: `${options.endpoint.replace(/\/+$/, '')}/${parts.bucket}`,
    region: options.region,
    fetch: (input, init) =>
      fetch(input, { ...init, signal: AbortSignal.any([options.signal, AbortSignal.timeout(REQUEST_DEADLINE_MS)]) }),
  });
  const keyOf = (name: string): string => `${parts.key}/${name}`;
  const nameOf = (key: string): string => key.slice(parts.key.length + 1);
  const request = (name: string, doing: Request['doing']): Request => ({
    url: name === '' ? root : `${root}/${name}`,
    doing,
    hint: HINT_AGAIN,
    options,
  });
  const list = (folder: string, more: Record<string, string>): Promise<readonly string[]> =>
    patiently(request(folder, 'read'), async () => {
      const found = await store.listObjects('/', keyOf(folder), undefined, more);
      if (found !== null) return found.map(({ Key }) => nameOf(Key));
      throw brokenObject(root, 'is in a bucket that does not exist', 'check its name and AWS_ENDPOINT_URL');
    });
  const put = async (name: string, bytes: Uint8Array, conditions: Record<string, string>): Promise<void> => {
    const answer = await store.putObject(keyOf(name), bytes, 'application/octet-stream', undefined, conditions);
    await answer.body?.cancel();
  };
  return {
    url: root,
    list: (folder) => list(folder, {}),
    folders: async () =>
      (await list('', { delimiter: '/' })).flatMap((name) => (name.endsWith('/') ? [name.slice(0, -1)] : [])),
    get: (name) =>
      patiently(request(name, 'read'), async () => {
        const answer = await store.getObjectRaw(keyOf(name)).catch((error: unknown) => {
          if (error instanceof S3ServiceError && error.serviceCode !== 'NoSuchBucket' && error.status === 404)
            return undefined;
          throw error;
        });
        return answer === undefined ? undefined : await wholeBody(answer, `${root}/${name}`);
      }),
    put: (name, bytes) => patiently(request(name, 'written'), () => put(name, bytes, {})),
    create: (name, bytes) =>
      patiently(request(name, 'written'), async () => {
        try {
          await put(name, bytes, { 'if-none-match': '*' });
        } catch (error) {
          if (!(error instanceof S3ServiceError)) throw error;
          // 412, 409: somebody was faster, or an answer of ours was lost. 501: it knows no conditions.
          if (error.status === 501) await put(name, bytes, {});
          else if (error.status !== 412 && error.status !== 409) throw error;
        }
      }),
    remove: (name) =>
      patiently(request(name, 'written'), async () => {
        await store.deleteObject(keyOf(name)).catch((error: unknown) => {
          if (!(error instanceof S3ServiceError && error.status === 404)) throw error;
        });
      }),
  };
}

async function wholeBody(answer: Response, url: string): Promise<Uint8Array> {
  const announced = Number(answer.headers.get('content-length') ?? Number.NaN);
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of answer.body ?? []) {
    bytes += part.length;
    if (bytes > MOST_BYTES) throw brokenObject(url, `is larger than ${MOST_BYTES} bytes`, 'it is none of Ropeteam’s');
    parts.push(part);
  }
  if (Number.isFinite(announced) && bytes < announced)
    throw new Error(`the answer ended at byte ${bytes} of ${announced}`);
  return Buffer.concat(parts);
}
