/** The coordinator's end of FetchShard. */
import type { ServerWritableStream } from '@grpc/grpc-js';
import { type CoordinatorHandlers, RopeteamError } from '#training';
import { callOver } from './calls.js';
import { splits } from './dataset-message.js';
import { toStatus } from './error-status.js';
import { cut, encodeShardFrame } from './frames.js';
import { pacedWriter } from './paced-writer.js';
import { fetchShardRequest } from './proto-definitions.js';
import { decodeMessage } from './run-messages.js';

/** Streams one shard; a worker that stops reading holds at most a few frames of memory here. */
export function serveShard(
  call: ServerWritableStream<Buffer, Uint8Array>,
  handlers: Pick<CoordinatorHandlers, 'readShard'>,
  unexpected: (error: unknown, method: string) => void,
): void {
  const over = callOver(call);
  const send = async () => {
    const fields = decodeMessage(fetchShardRequest, call.request, 'a FetchShardRequest');
    const shard = await handlers.readShard(
      fields.runId('runId'),
      fields.choice('split', splits),
      fields.natural('index'),
    );
    const writer = pacedWriter(call, over);
    const frames = cut(shard, (offset, totalBytes, payload) => encodeShardFrame({ offset, totalBytes, payload }));
    for (const frame of frames) await writer.write(frame);
  };
  send().then(
    () => call.end(),
    (error: unknown) => {
      if (over.aborted) return; // the worker went away; there is nobody left to tell
      const status = toStatus(error);
      if (!(error instanceof RopeteamError)) unexpected(error, 'FetchShard');
      call.emit('error', status);
    },
  );
}
