/** What went wrong at the other end, in words: whether asking again can help, and else what to do. */
import { RopeteamError } from '#training';

/** An answer that is final unless something is changed there; the code is the storage's own. */
export interface Refusal {
  readonly status: number;
  readonly code: string | undefined;
}

/** Asking again may help. */
export function isPassing({ status }: Refusal): boolean {
  return status >= 500 || status === 408 || status === 429;
}

export function refusedObject(
  url: string,
  { status, code }: Refusal,
  anonymous: boolean,
  doing: 'read' | 'written' = 'read',
): RopeteamError {
  const [why, hint] = reasonOf(status, code, anonymous, doing);
  return new RopeteamError('STORAGE.OBJECT', { url }, `${url} ${why}`, { hint });
}

export function brokenObject(url: string, why: string, hint: string, cause?: unknown): RopeteamError {
  return new RopeteamError('STORAGE.OBJECT', { url }, `${url} ${why}`, { hint, cause });
}

function reasonOf(
  status: number,
  code: string | undefined,
  anonymous: boolean,
  doing: 'read' | 'written',
): readonly [why: string, hint: string] {
  if (code === 'NoSuchBucket') return ['is in a bucket that does not exist', 'check its name and AWS_ENDPOINT_URL'];
  if (status === 404) return ['does not exist', 'check the name of the object'];
  if (status === 412) return ['was changed while it was read', 'start again when whoever writes it is done'];
  const said = `the storage answered ${status}${code === undefined ? '' : ` ${code}`}`;
  if (status === 401 || status === 403 || code === 'InvalidAccessKeyId' || code === 'SignatureDoesNotMatch') {
    const hint = anonymous
      ? 'give the coordinator credentials: AWS_SHARED_CREDENTIALS_FILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY'
      : `check the credentials, and that they may ${doing === 'read' ? 'read' : 'write'} there`;
    return [`may not be ${doing}: ${said}`, hint];
  }
  return [`cannot be ${doing}: ${said}`, 'check AWS_ENDPOINT_URL and AWS_REGION'];
}
