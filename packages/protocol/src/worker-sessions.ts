/** The coordinator's end of workers' sessions: joining, heartbeats, silence, and an end that is told exactly once. */
import type { ServerDuplexStream } from '@grpc/grpc-js';
import {
  type Caller,
  type CallRecord,
  type CoordinatorHandlers,
  type EncodedWeights,
  RopeteamError,
  readTraceContext,
  type SessionHandler,
  type WorkerHello,
  type WorkerSession,
} from '#training';
import { encodeCoordinatorWord, type PlainWord } from './coordinator-messages.js';
import { toStatus } from './error-status.js';
import { type Clock, watchSilence } from './silence-watch.js';
import { decodeWorkerWord, protocolMismatch, type WorkerWord } from './worker-messages.js';

export interface SessionSettings {
  readonly coordinator: string;
  readonly heartbeatMs: number;
  readonly silenceMs: number;
  /** Most bytes that may wait for one worker to read them (three versions of the weights always may). */
  readonly maxQueuedBytes: number;
  readonly clock: Clock;
  readonly handlers: Pick<CoordinatorHandlers, 'workerJoined'>;
  readonly callerOf: (peer: string) => Caller;
  readonly onCall: (record: CallRecord) => void;
  /** Cuts the connection of a call. */
  readonly disconnect: (peer: string) => void;
  /** An error that is not a RopeteamError: a bug of ours, to be logged. */
  readonly unexpected: (error: unknown, method: string) => void;
}

export interface WorkerSessions {
  /** Serves one call of `Session` until it is over. */
  serve(call: ServerDuplexStream<Buffer, Uint8Array>): void;
  /** Says goodbye to every worker. */
  closeAll(reason: string): void;
}

export function createWorkerSessions(settings: SessionSettings): WorkerSessions {
  const open = new Map<string, (reason: string) => void>();
  return {
    serve: (call) => {
      const peer = call.getPeer();
      if (open.has(peer)) {
        return void call.emit('error', toStatus(protocolMismatch('one session on a connection', 'a second')));
      }
      open.set(
        peer,
        serveSession(call, settings, () => open.delete(peer)),
      );
    },
    closeAll: (reason) => {
      for (const close of open.values()) close(reason);
    },
  };
}

/** What a session's end is told to. Before the hello was accepted there is nobody to tell. */
type Phase =
  | { readonly kind: 'awaiting-hello' }
  | { readonly kind: 'joined'; readonly handler: SessionHandler }
  | { readonly kind: 'ended' };

function serveSession(
  call: ServerDuplexStream<Buffer, Uint8Array>,
  settings: SessionSettings,
  over: () => void,
): (reason: string) => void {
  const { clock, silenceMs } = settings;
  const peer = call.getPeer();
  const caller = settings.callerOf(peer);
  let phase: Phase = { kind: 'awaiting-hello' };
  let queuedBytes = 0;
  let cancelForce: (() => void) | undefined;

  const write = (bytes: Uint8Array) => {
    if (phase.kind === 'ended') return;
    queuedBytes += bytes.length;
    call.write(bytes, () => {
      queuedBytes -= bytes.length;
    });
  };
  const say = (word: PlainWord) => write(encodeCoordinatorWord(word));

  /** Everything that ends a session ends here, once; `finish` is what the worker is still told. */
  const end = (reason: string, detectedInMs: number, finish?: () => void) => {
    if (phase.kind === 'ended') return;
    const ending = phase;
    silence.stop();
    finish?.();
    phase = { kind: 'ended' };
    over();
    // A worker that does not read would keep the stream open for ever.
    if (!call.cancelled) cancelForce = clock.after(silenceMs, () => settings.disconnect(peer));
    if (ending.kind === 'joined') queueMicrotask(() => ending.handler.closed(reason, detectedInMs));
  };
  const close = (reason: string, detectedInMs = 0) =>
    end(reason, detectedInMs, () => {
      say({ kind: 'goodbye', reason });
      call.end();
    });
  const refuse = (error: unknown) => {
    const status = toStatus(error);
    if (error instanceof RopeteamError) told(error.code);
    else settings.unexpected(error, 'session');
    end(status.details, 0, () => call.emit('error', status)); // how grpc-js is told to end a stream with a status
  };

  let named: WorkerHello['worker'] | undefined;
  const told = (outcome: CallRecord['outcome']) => {
    const subject = named === undefined ? {} : { subject: named };
    settings.onCall({ caller, call: 'session', ...subject, outcome });
  };
  const join = (hello: WorkerHello, joinToken: string | undefined) => {
    named = hello.worker;
    checkName(hello.worker, caller);
    // What the handler sends while it is still deciding goes out after the welcome.
    let held: Uint8Array[] | undefined = [];
    const send = (bytes: Uint8Array) => (held === undefined ? write(bytes) : held.push(bytes));
    const trace = readTraceContext(call.metadata.getMap());
    const session: WorkerSession = {
      hello,
      caller,
      ...(joinToken === undefined ? {} : { joinToken }),
      ...(trace === undefined ? {} : { trace }),
      send: (message) => void send(encodeCoordinatorWord(message)),
      sendWeights: (weights) => {
        const bytes = bytesOf(weights);
        if (queuedBytes > 0 && queuedBytes + bytes > Math.max(settings.maxQueuedBytes, 3 * bytes)) {
          return close(`does not keep up: ${queuedBytes} bytes are still waiting to be sent`);
        }
        for (const frame of weights.frames) send(frame);
      },
      close: (reason) => close(reason),
    };
    const handler = settings.handlers.workerJoined(session);
    if (phase.kind === 'ended') return queueMicrotask(() => handler.closed('closed while joining', 0));
    phase = { kind: 'joined', handler };
    told('done');
    const { coordinator, heartbeatMs } = settings;
    say({ kind: 'welcome', coordinator, heartbeatMs, silenceMs });
    for (const bytes of held) write(bytes);
    held = undefined;
  };

  const receive = (word: WorkerWord) => {
    if (phase.kind === 'awaiting-hello') {
      if (word.kind !== 'hello') throw protocolMismatch('a hello as the first message', word.kind);
      return join(word.hello, word.joinToken);
    }
    if (word.kind === 'hello') throw protocolMismatch('one hello', 'a second');
    if (phase.kind !== 'joined') return;
    if (word.kind === 'heartbeat') say({ kind: 'heartbeat-answer' });
    phase.handler.message(word);
  };

  const silent = (silentMs: number) => {
    close(`silent for ${Math.round(silentMs)} ms`, silentMs);
    // Its connection answers pings perhaps, but a worker that hangs would never end the call from its side.
    clock.afterPoll(() => settings.disconnect(peer));
  };
  const silence = watchSilence(silenceMs, silent, clock);
  call.on('data', (bytes: Buffer) => {
    if (phase.kind === 'ended') return;
    silence.heard();
    try {
      receive(decodeWorkerWord(bytes));
    } catch (error) {
      refuse(error);
    }
  });
  // A connection that breaks ends the readable side too, and only then says 'cancelled': let that come first.
  call.on('end', () => clock.afterPoll(() => end('the worker left', 0, () => call.end())));
  call.on('cancelled', () => {
    end('the connection was lost', 0);
    cancelForce?.();
  });
  return close;
}

/** A certificate that names workers is for these alone. */
function checkName(worker: WorkerHello['worker'], { workers }: Caller): void {
  if (workers === undefined || workers.includes(worker)) return;
  const message = `this certificate is for the worker ${workers.join(' or ')}, not for ${worker}`;
  throw new RopeteamError('AUTH.NAME', { worker }, message, {
    hint: `start it with --name ${workers[0]}, or give it a certificate of its own: ropeteam certs issue worker --name ${worker}`,
  });
}

function bytesOf(weights: EncodedWeights): number {
  return weights.frames.reduce((sum, frame) => sum + frame.length, 0);
}
