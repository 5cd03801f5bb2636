/** Back-pressure for large messages: only a few are with the transport at a time. */
import type { Writable } from 'node:stream';

/**
 * Messages handed to the stream and not yet taken by the socket. One is being sent, the next is ready; more would only
 * be memory. (The stream's own limit counts 16 messages: 16 MiB of frames for each worker.)
 */
const MAX_PENDING = 3;

export interface PacedWriter {
  /** Resolves when there is room for another message. Rejects with the reason of `over`. */
  write(message: Uint8Array): Promise<void>;
  /** Resolves when the socket has taken every message. Rejects with the reason of `over`. */
  flushed(): Promise<void>;
}

/**
 * @param stream a gRPC stream of bytes
 * @param over aborts when the call has ended, for whatever reason: write callbacks may not come then
 * @param taken hears of every message the socket has taken, which it does only while the peer still reads
 */
export function pacedWriter(
  stream: Pick<Writable, 'write'>,
  over: AbortSignal,
  taken: () => void = () => undefined,
): PacedWriter {
  let pending = 0;
  let wake: (() => void)[] = [];
  const settled = () => {
    pending--;
    const woken = wake;
    wake = [];
    for (const task of woken) task();
  };
  over.addEventListener('abort', settled, { once: true });

  const pendingBelow = async (limit: number) => {
    while (!over.aborted && pending >= limit) await new Promise<void>((resolve) => wake.push(resolve));
    over.throwIfAborted();
  };
  return {
    write: async (message) => {
      over.throwIfAborted();
      pending++;
      stream.write(message, () => {
        if (!over.aborted) taken();
        settled();
      }); // an error also ends the call, and `over` says so
      await pendingBelow(MAX_PENDING);
    },
    flushed: () => pendingBelow(1),
  };
}
