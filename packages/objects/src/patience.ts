/** Asking storage again where that can help, for so long and no longer. */
import { setTimeout as delay } from 'node:timers/promises';
import { S3ServiceError } from 's3mini';
import { RopeteamError } from '#training';
import { brokenObject, isPassing, refusedObject } from './object-errors.js';

/** Where storage is, who asks there, and with how much patience. */
export interface StoreOptions {
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined;
  readonly signal: AbortSignal;
  /** Wait before the first of the tries that follow one without progress; each waits twice as long. Default 500 ms. */
  readonly firstWaitMs?: number;
  /** In a row, without one more byte. Default 6. */
  readonly tries?: number;
}

export interface Request {
  /** What is asked for, as messages name it. */
  readonly url: string;
  readonly doing: 'read' | 'written';
  readonly hint: string;
  readonly options: StoreOptions;
}

const MOST_TRIES = 6;
const FIRST_WAIT_MS = 500;
/** Of one request; bodies are 32 MiB at the most. */
export const REQUEST_DEADLINE_MS = 60_000;

/**
 * Tries until it works, is refused, or has brought nothing for too long.
 * @throws RopeteamError STORAGE.OBJECT; `signal.reason`
 */
export async function patiently<Result>(
  { url, doing, hint, options }: Request,
  attempt: () => Promise<Result>,
  progress = () => 0,
): Promise<Result> {
  let tries = 0;
  for (;;) {
    const before = progress();
    try {
      return await attempt();
    } catch (error) {
      options.signal.throwIfAborted();
      if (error instanceof RopeteamError) throw error;
      if (error instanceof S3ServiceError) {
        const refusal = { status: error.status, code: error.serviceCode === 'Unknown' ? undefined : error.serviceCode };
        if (!isPassing(refusal)) throw refusedObject(url, refusal, options.credentials === undefined, doing);
      }
      tries = progress() > before ? 1 : tries + 1;
      if (tries >= (options.tries ?? MOST_TRIES))
        throw brokenObject(url, `cannot be ${doing}: ${innermost(error)}, ${tries} times in a row`, hint, error);
      const waitMs = (options.firstWaitMs ?? FIRST_WAIT_MS) * 2 ** (tries - 1);
      await delay(waitMs, undefined, { signal: options.signal }).catch(() => options.signal.throwIfAborted());
    }
  }
}

function innermost(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.cause instanceof Error) return innermost(error.cause);
  return error instanceof S3ServiceError ? `the storage answered ${error.status}` : error.message;
}
