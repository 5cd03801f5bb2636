/** The worker's end of FetchShard: frames back into one file. */
import { Metadata } from '@grpc/grpc-js';
import { RopeteamError, type RunId, type SplitName } from '#training';
import type { Channel } from './channel.js';
import { splitNames } from './dataset-message.js';
import { fromCallError } from './error-status.js';
import { corrupt, decodeShardFrame } from './frames.js';
import { fetchShardRequest, trainingMethods } from './proto-definitions.js';

export interface ShardName {
  readonly run: RunId;
  readonly split: SplitName;
  readonly index: number;
}

/** Milliseconds between two frames, the first one's wait for the coordinator's disk included. */
const FRAME_SILENCE_MS = 30_000;
/** Node's own limit of one buffer is above this everywhere. */
const MAX_SHARD_BYTES = 2 ** 31;

/**
 * Fetches one shard's bytes. Frames come in order without gaps; anything else is WIRE.CORRUPT.
 * Throws also what the coordinator answers (RUN.UNKNOWN, DATA.SHARD), COORDINATOR.UNREACHABLE, or the signal's reason.
 */
export async function fetchShard(channel: Channel, name: ShardName, signal: AbortSignal): Promise<Uint8Array> {
  signal.throwIfAborted();
  const request = fetchShardRequest.encode({ runId: name.run, split: splitNames[name.split], index: name.index });
  const { path, requestSerialize, responseDeserialize } = trainingMethods.fetchShard;
  const call = channel.client.makeServerStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    request,
    new Metadata(),
  );
  const what = `shard ${name.index} of ${name.split} of run ${name.run}`;
  let stalled = false;
  const timer = setTimeout(() => {
    stalled = true;
    call.cancel();
  }, FRAME_SILENCE_MS);
  const abort = () => call.cancel();
  signal.addEventListener('abort', abort, { once: true });
  let shard: Uint8Array | undefined;
  let received = 0;
  try {
    for await (const bytes of call) {
      timer.refresh();
      const frame = decodeShardFrame(bytes);
      if (frame.totalBytes > MAX_SHARD_BYTES) throw corrupt(what, `claims ${frame.totalBytes} bytes`);
      shard ??= new Uint8Array(frame.totalBytes);
      if (frame.totalBytes !== shard.length || frame.offset !== received) {
        throw corrupt(
          what,
          `has a frame at ${frame.offset} of ${frame.totalBytes} after byte ${received} of ${shard.length}`,
        );
      }
      shard.set(frame.payload, frame.offset);
      received += frame.payload.length;
    }
    if (shard === undefined || received !== shard.length) {
      throw corrupt(what, `ended after ${received} of ${shard?.length ?? 0} bytes`);
    }
    return shard;
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (stalled) throw corrupt(what, `did not go on for ${FRAME_SILENCE_MS} ms`, error);
    throw error instanceof RopeteamError ? error : fromCallError(error, channel.address);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
    call.cancel();
  }
}
