/** What calls of both services have in common, on both ends. */

/** A call of grpc-js as far as its end is concerned, on either side. */
interface Ending {
  on(event: 'cancelled' | 'close' | 'error' | 'status', listener: (cause?: unknown) => void): unknown;
}

/** Aborts when the call is over for whatever reason; the reason is the call's error if it had one. */
export function callOver(call: Ending): AbortSignal {
  const over = new AbortController();
  const end = (cause: unknown) => over.abort(cause instanceof Error ? cause : new Error('the call is over'));
  for (const event of ['error', 'cancelled', 'close', 'status'] as const) call.on(event, end);
  return over.signal;
}
