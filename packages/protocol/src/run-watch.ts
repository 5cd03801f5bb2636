/** Watches a run across broken connections. */
import { Metadata } from '@grpc/grpc-js';
import { RopeteamError, type RunEvent, type RunId } from '#training';
import type { Channel } from './channel.js';
import { fromCallError } from './error-status.js';
import { corrupt } from './frames.js';
import { runMethods, watchRunRequest } from './proto-definitions.js';
import { decodeNumberedEvent } from './run-messages.js';

export interface WatchOptions {
  readonly run: RunId | undefined;
  readonly from: number;
  readonly everyStep: boolean;
  /** Milliseconds until a broken connection must be back. */
  readonly connectDeadlineMs: number;
}

/** See `RunClient.watch`. */
export async function* watchRun(
  channel: Channel,
  options: WatchOptions,
  signal: AbortSignal,
): AsyncGenerator<RunEvent, void, undefined> {
  const { everyStep } = options;
  let next = options.from;
  // Once an event has named the run, a new connection asks for that one: by then another may be the current one.
  let run: string | undefined = options.run;
  let fruitless = 0;
  while (!signal.aborted) {
    try {
      await channel.ready(options.connectDeadlineMs, signal);
    } catch (error) {
      if (signal.aborted) return;
      throw error;
    }
    try {
      for await (const { number, event } of watchOnce(channel, { run, from: next, everyStep }, signal)) {
        const asExpected = everyStep ? number === next : number >= next;
        if (!asExpected) throw corrupt('the events of a run', `skip from number ${next} to ${number}`);
        run = event.run;
        next = number + 1;
        fruitless = 0;
        yield event;
      }
      return;
    } catch (error) {
      if (signal.aborted) return;
      const connectionLost = error instanceof RopeteamError && error.code === 'COORDINATOR.UNREACHABLE';
      // Back to `ready`, which gives a coordinator that restarts its time and then says that there is none.
      if (!connectionLost || ++fruitless > MAX_FRUITLESS) throw error;
    }
  }
}

/** Connections in a row that were made and then lost without an event: that is no restart, and trying on is a loop. */
const MAX_FRUITLESS = 5;

async function* watchOnce(
  channel: Channel,
  asked: { readonly run: string | undefined; readonly from: number; readonly everyStep: boolean },
  signal: AbortSignal,
) {
  const { run, from, everyStep } = asked;
  const request = watchRunRequest.encode({ ...(run === undefined ? {} : { runId: run }), from, everyStep });
  const { path, requestSerialize, responseDeserialize } = runMethods.watchRun;
  const call = channel.client.makeServerStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    request,
    new Metadata(),
  );
  const abort = () => call.cancel();
  signal.addEventListener('abort', abort, { once: true });
  try {
    for await (const bytes of call) yield decodeNumberedEvent(bytes);
  } catch (error) {
    throw error instanceof RopeteamError ? error : fromCallError(error, channel.address);
  } finally {
    signal.removeEventListener('abort', abort);
    call.cancel();
  }
}
