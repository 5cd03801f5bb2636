/** A worker's end of its session: the hello, heartbeats, frames up and down, and an end that is told exactly once. */
import { type ClientDuplexStream, Metadata } from '@grpc/grpc-js';
import {
  type CoordinatorMessage,
  type CoordinatorSession,
  type CoordinatorSessionHandler,
  RopeteamError,
  type TraceContext,
  type WorkerHello,
} from '#training';
import { callOver } from './calls.js';
import { type Channel, openChannel } from './channel.js';
import { type CoordinatorWord, decodeCoordinatorWord } from './coordinator-messages.js';
import { fromCallError, unreachable } from './error-status.js';
import { cut, encodeGradientFrame, encodeLeaseFrame } from './frames.js';
import { pacedWriter } from './paced-writer.js';
import { trainingMethods } from './proto-definitions.js';
import { fetchShard } from './shard-fetch.js';
import { type Clock, type SilenceWatch, systemClock, watchSilence } from './silence-watch.js';
import type { TlsIdentity } from './tls-identity.js';
import { encodeGradientProof, encodeLeaseProof, encodeWorkerWord } from './worker-messages.js';

export interface ConnectOptions {
  /** `host:port` */
  readonly address: string;
  readonly hello: WorkerHello;
  /**
   * Gets every message, the welcome first; the rest only after the promise of `connectCoordinator` has resolved.
   * `closed` is called once if the session ends by itself, and not after the worker disposed of it.
   */
  readonly handler: CoordinatorSessionHandler;
  /** Ends the attempt to connect, and after that the session, at once. */
  readonly signal: AbortSignal;
  /** Milliseconds until the welcome must be there. */
  readonly connectDeadlineMs?: number;
  readonly clock?: Clock;
  /** Absent: plaintext. */
  readonly tls?: TlsIdentity | undefined;
  /** To be let in with, where the coordinator asks for one. */
  readonly joinToken?: string | undefined;
  /** Goes along as metadata of the call. */
  readonly trace?: TraceContext | undefined;
}

type Stream = ClientDuplexStream<Uint8Array, Buffer>;
type Welcome = Extract<CoordinatorMessage, { kind: 'welcome' }>;

/** Milliseconds that a worker which leaves waits for the coordinator to end the call. */
const FAREWELL_MS = 1000;

/**
 * Joins a coordinator; resolves after its welcome. From then on heartbeats are sent by themselves.
 *
 * Throws COORDINATOR.UNREACHABLE (nobody there, or no answer in time), COORDINATOR.ADDRESS, what the coordinator
 * refused the worker with (WORKER.PROTOCOL_MISMATCH, WORKER.KERNEL_MISMATCH), or the signal's reason.
 */
export async function connectCoordinator(options: ConnectOptions): Promise<CoordinatorSession> {
  const { address, signal, connectDeadlineMs = 5000, clock = systemClock } = options;
  const startedAt = clock.now();
  const channel = openChannel(address, options.tls);
  try {
    await channel.ready(connectDeadlineMs, signal);
    return await join(channel, { ...options, clock }, connectDeadlineMs - (clock.now() - startedAt));
  } catch (error) {
    channel.close();
    throw error;
  }
}

type Phase =
  | {
      readonly kind: 'joining';
      readonly joined: (welcome: Welcome) => void;
      readonly refused: (error: unknown) => void;
    }
  | { readonly kind: 'open'; readonly silence: SilenceWatch; readonly heartbeat: NodeJS.Timeout }
  | { readonly kind: 'ended' };

async function join(
  channel: Channel,
  options: ConnectOptions & { readonly clock: Clock },
  welcomeMs: number,
): Promise<CoordinatorSession> {
  const { address, handler, hello, joinToken, signal, clock } = options;
  signal.throwIfAborted();
  const { path, requestSerialize, responseDeserialize } = trainingMethods.session;
  const call: Stream = channel.client.makeBidiStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    Metadata.fromHttp2Headers({ ...options.trace }),
  );
  const over = callOver(call);
  let phase: Phase = { kind: 'ended' };

  const end = (error: RopeteamError, reason: string) => {
    const ending = phase;
    phase = { kind: 'ended' };
    cancelDeadline();
    signal.removeEventListener('abort', abort);
    if (ending.kind === 'open') {
      ending.silence.stop();
      clearInterval(ending.heartbeat);
    }
    call.cancel();
    channel.close();
    if (ending.kind === 'joining') ending.refused(signal.aborted ? signal.reason : error);
    if (ending.kind === 'open') handler.closed(reason);
  };
  const lost = (reason: string) => end(unreachable(address, `${address}: ${reason}`), reason);
  const abort = () => lost(`aborted: ${String(signal.reason)}`);
  const cancelDeadline = clock.after(welcomeMs, () => lost('the coordinator did not welcome the worker in time'));

  const receive = (word: CoordinatorWord) => {
    switch (word.kind) {
      case 'heartbeat-answer':
        return;
      case 'goodbye':
        return lost(word.reason);
      case 'welcome':
        if (phase.kind !== 'joining') return;
        call.pause(); // nothing more is delivered until the caller of `connectCoordinator` has had its turn
        return phase.joined(word);
      default:
        if (phase.kind === 'open') handler.message(word);
    }
  };
  call.on('data', (bytes: Buffer) => {
    if (phase.kind === 'ended') return;
    if (phase.kind === 'open') phase.silence.heard();
    let word: CoordinatorWord;
    try {
      word = decodeCoordinatorWord(bytes);
    } catch (error) {
      if (!(error instanceof RopeteamError)) throw error;
      return end(error, error.message);
    }
    receive(word);
  });
  call.on('error', (error: Error) => {
    if (phase.kind === 'ended') return;
    const cause = fromCallError(error, address);
    end(cause, cause.message);
  });
  call.on('end', () => {
    if (phase.kind !== 'ended') lost('the coordinator closed the session');
  });
  signal.addEventListener('abort', abort, { once: true });

  const welcome = await new Promise<Welcome>((joined, refused) => {
    phase = { kind: 'joining', joined, refused };
    call.write(encodeWorkerWord({ kind: 'hello', hello, ...(joinToken === undefined ? {} : { joinToken }) }));
  });
  cancelDeadline();

  const send: CoordinatorSession['send'] = (message) => {
    if (phase.kind === 'open') call.write(encodeWorkerWord(message));
  };
  const beat = () => send({ kind: 'heartbeat', residentBytes: process.memoryUsage.rss() });
  phase = {
    kind: 'open',
    silence: watchSilence(welcome.silenceMs, (ms) => lost(`silent for ${Math.round(ms)} ms`), clock),
    heartbeat: setInterval(beat, welcome.heartbeatMs),
  };
  handler.message(welcome);
  setImmediate(() => call.resume());
  // While megabytes go up a slow link, heartbeats wait behind them and so do their answers: that they go is as good a sign.
  const writer = pacedWriter(call, over, () => {
    if (phase.kind === 'open') phase.silence.heard();
  });

  const sendFrames = async (frames: Iterable<Buffer>, what: string): Promise<void> => {
    try {
      for (const frame of frames) await writer.write(frame);
    } catch (error) {
      throw unreachable(address, `lost the coordinator at ${address} while sending ${what}`, error);
    }
  };

  return {
    send,
    sendLease: async (proof, state) => {
      const { run, fence, step, end } = proof.receipt;
      const receipt = encodeLeaseProof(proof);
      const frames = cut(state, (offset, totalBytes, payload) => {
        const isLast = offset + payload.length === totalBytes;
        return encodeLeaseFrame({ run, fence, step, end, offset, totalBytes, payload }, isLast ? receipt : undefined);
      });
      await sendFrames(frames, 'the result of a lease');
    },
    sendGradient: async (proof, gradient) => {
      const { run, fence, step, block } = proof.receipt;
      const receipt = encodeGradientProof(proof);
      const frames = cut(gradient, (offset, totalBytes, payload) => {
        const isLast = offset + payload.length === totalBytes;
        return encodeGradientFrame(
          { run, fence, step, block, offset, totalBytes, payload },
          isLast ? receipt : undefined,
        );
      });
      await sendFrames(frames, 'a gradient');
    },
    fetchShard: (run, split, index, fetchSignal) => fetchShard(channel, { run, split, index }, fetchSignal),
    [Symbol.asyncDispose]: async () => {
      if (phase.kind !== 'open') return;
      phase.silence.stop();
      clearInterval(phase.heartbeat);
      phase = { kind: 'ended' };
      signal.removeEventListener('abort', abort);
      call.end();
      await farewell(over, clock);
      call.cancel();
      channel.close();
    },
  };
}

/** Resolves when the coordinator has ended the call too, or after a while. */
function farewell(over: AbortSignal, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.after(FAREWELL_MS, resolve);
    const ended = () => {
      cancel();
      resolve();
    };
    if (over.aborted) ended();
    else over.addEventListener('abort', ended, { once: true });
  });
}
