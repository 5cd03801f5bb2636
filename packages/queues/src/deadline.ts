/** Waiting with an end. */

export class DeadlinePassed extends Error {
  override readonly name = 'DeadlinePassed';
}

/**
 * The result of `work`, if it comes within `ms`; what it was doing is not stopped.
 * @throws DeadlinePassed, or the signal's reason.
 */
export async function atMost<Result>(ms: number, work: Promise<Result>, signal?: AbortSignal): Promise<Result> {
  signal?.throwIfAborted();
  // A plain timer, not AbortSignal.timeout in AbortSignal.any: Node 20 may collect that one before it fires.
  let timer: NodeJS.Timeout | undefined;
  let abort: (() => void) | undefined;
  const end = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new DeadlinePassed(`not done within ${ms} ms`)), ms);
    abort = () => reject(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
  });
  try {
    return await Promise.race([work, end]);
  } finally {
    clearTimeout(timer);
    if (abort !== undefined) signal?.removeEventListener('abort', abort);
  }
}

/** Did `work` settle within `ms`? Its result or error is passed on. */
export async function settlesWithin(ms: number, work: Promise<unknown>): Promise<boolean> {
  try {
    await atMost(ms, work);
    return true;
  } catch (error) {
    if (error instanceof DeadlinePassed) return false;
    throw error;
  }
}
