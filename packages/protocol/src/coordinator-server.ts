/** The coordinator's gRPC server: sessions, shards, runs and the standard health service on one port. */
import {
  Server,
  type ServerDuplexStream,
  type ServerOptions,
  type ServerWritableStream,
  type ServiceDefinition,
} from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import { type Caller, type CallRecord, type CoordinatorHandlers, RopeteamError } from '#training';
import { guardCalls } from './call-rules.js';
import type { Excess } from './connection-guard.js';
import { listen, type WireBytes } from './listener.js';
import { RUN_SERVICE, runMethods, TRAINING_SERVICE, trainingMethods } from './proto-definitions.js';
import { KEEPALIVE_EVERY_MS, KEEPALIVE_TIMEOUT_MS } from './receive-window.js';
import { createRunService } from './run-service.js';
import { serveShard } from './shard-service.js';
import { type Clock, systemClock } from './silence-watch.js';
import type { TlsIdentity } from './tls-identity.js';
import type { RefusedHandshake } from './tls-listener.js';
import { createWorkerSessions } from './worker-sessions.js';

/** Every bound the server keeps; the defaults suit one coordinator and up to a hundred workers. */
export interface ServerLimits {
  /** TCP connections. Each worker has one, each client one. */
  readonly maxConnections: number;
  /** Milliseconds a connection has to begin its first call. */
  readonly firstCallMs: number;
  /** Calls at a time on one connection. */
  readonly maxConcurrentStreams: number;
  /** Bytes of weights that may wait for one worker to read them; three versions always may. */
  readonly maxQueuedBytes: number;
  /** Files of one submission. */
  readonly maxUploadFiles: number;
  /** Bytes of all files of one submission. */
  readonly maxUploadBytes: number;
  /** Submissions that are being uploaded at a time. */
  readonly maxUploads: number;
}

const defaultLimits: ServerLimits = {
  maxConnections: 256,
  firstCallMs: 10_000,
  maxConcurrentStreams: 64,
  maxQueuedBytes: 256 << 20,
  maxUploadFiles: 1024,
  maxUploadBytes: 64 * 2 ** 30,
  maxUploads: 8,
};

export interface CoordinatorServerOptions {
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  readonly handlers: CoordinatorHandlers;
  /** Each submission's files get a folder of their own in here. */
  readonly uploadsDirectory: string;
  /** Name told to workers. */
  readonly name?: string;
  /** Milliseconds without any message after which a worker is lost. Workers send a heartbeat four times in that. */
  readonly silenceMs?: number;
  readonly limits?: Partial<ServerLimits>;
  /** Milliseconds `close` waits for calls in progress. */
  readonly drainMs?: number;
  /** Told of errors in handlers that are no RopeteamError: bugs, for the log. Default: a process warning. */
  readonly onUnexpectedError?: (error: unknown, method: string) => void;
  readonly clock?: Clock;
  /** TLS with certificates on both ends, and each call only for the roles that may make it. Absent: plaintext, for all. */
  readonly tls?: TlsIdentity | undefined;
  /** Told of calls that change something, with what became of them, and of every call that was refused. */
  readonly onCall?: (record: CallRecord) => void;
  /** Told of connections that did not get as far as a call. */
  readonly onRefusedHandshake?: (handshake: RefusedHandshake) => void;
  /** Told of connections that were cut because of what they did. */
  readonly onExcess?: (peer: string, excess: Excess) => void;
}

export interface CoordinatorServer {
  /** `host:port` */
  readonly address: string;
  /** What the health service answers; false from the start on, until the coordinator is ready. */
  setServing(serving: boolean): void;
  /** Bytes on the wire since the start. */
  wireBytes(): WireBytes;
  /** Says goodbye to workers and watchers, waits for calls in progress, cuts what is left after `drainMs`. */
  close(): Promise<void>;
}

/**
 * Name to ask the health service for when only a hang should end the process: it answers SERVING while the event loop
 * turns, also before the coordinator is ready and while it stops. The empty name and the services' own say readiness.
 */
export const LIVENESS_SERVICE = 'liveness';

/** A frame with its header, and room for plans with many shards. */
const MAX_MESSAGE_BYTES = 4 << 20;

/** Starts the server. Throws COORDINATOR.ADDRESS if the port cannot be had. */
export async function startCoordinatorServer(options: CoordinatorServerOptions): Promise<CoordinatorServer> {
  const limits = { ...defaultLimits, ...options.limits };
  const silenceMs = options.silenceMs ?? 2000;
  const unexpected = options.onUnexpectedError ?? warn;
  const clock = options.clock ?? systemClock;
  const closing = new AbortController();
  const onCall = options.onCall ?? (() => undefined);
  let callerOf = (peer: string): Caller => ({ peer }); // nobody connects before there is a listener
  const guard = guardCalls((peer) => callerOf(peer), onCall);
  const interceptors = options.tls === undefined ? [] : [guard];
  const grpc = new Server({ ...serverOptions(limits), interceptors });
  const health = new HealthImplementation();

  const listener = await listen(grpc, {
    host: options.host,
    port: options.port,
    maxConnections: limits.maxConnections,
    firstCallMs: limits.firstCallMs,
    tls: options.tls,
    onRefusedHandshake: options.onRefusedHandshake ?? (() => undefined),
    onExcess: options.onExcess ?? (() => undefined),
  });
  callerOf = listener.callerOf;
  const sessions = createWorkerSessions({
    coordinator: options.name ?? 'coordinator',
    heartbeatMs: Math.max(1, Math.floor(silenceMs / 4)),
    silenceMs,
    maxQueuedBytes: limits.maxQueuedBytes,
    clock,
    handlers: options.handlers,
    callerOf,
    onCall,
    disconnect: (peer) => listener.disconnect(peer),
    unexpected,
  });
  grpc.addService(trainingMethods satisfies ServiceDefinition, {
    session: (call: ServerDuplexStream<Buffer, Uint8Array>) => sessions.serve(call),
    fetchShard: (call: ServerWritableStream<Buffer, Uint8Array>) => serveShard(call, options.handlers, unexpected),
  });
  grpc.addService(
    runMethods satisfies ServiceDefinition,
    createRunService({
      handlers: options.handlers,
      uploadsDirectory: options.uploadsDirectory,
      limits: { maxFiles: limits.maxUploadFiles, maxBytes: limits.maxUploadBytes },
      maxUploads: limits.maxUploads,
      callerOf,
      onCall,
      clock,
      closing: closing.signal,
      unexpected,
    }),
  );
  health.addToServer(grpc);

  const setServing = (serving: boolean) => {
    for (const service of ['', TRAINING_SERVICE, RUN_SERVICE]) {
      health.setStatus(service, serving ? 'SERVING' : 'NOT_SERVING');
    }
  };
  setServing(false);
  health.setStatus(LIVENESS_SERVICE, 'SERVING');

  const close = async () => {
    setServing(false);
    const connectionsEnded = listener.stopAccepting();
    const { address } = listener;
    const reason = 'the coordinator is shutting down';
    closing.abort(new RopeteamError('COORDINATOR.UNREACHABLE', { address }, reason));
    sessions.closeAll(reason);
    // Refuses new calls and closes each connection after its last one. When it says that it is done is of no use: on
    // Node 24 http2's own `close` has closed the sessions already, and grpc-js takes closing ones for ended.
    grpc.tryShutdown(() => undefined);
    await within(options.drainMs ?? 2000, connectionsEnded);
    await listener.close();
    grpc.forceShutdown();
  };
  let closed: Promise<void> | undefined;
  return {
    address: listener.address,
    setServing,
    wireBytes: listener.wireBytes,
    close: () => {
      closed ??= close();
      return closed;
    },
  };
}

function serverOptions(limits: ServerLimits): ServerOptions {
  return {
    'grpc.max_concurrent_streams': limits.maxConcurrentStreams,
    'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
    'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
    // MiB for one connection: both windows, frames that are being sent, headers. Node refuses new streams above it.
    'grpc-node.max_session_memory': 64,
    'grpc.keepalive_time_ms': KEEPALIVE_EVERY_MS,
    'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
    // A session lives as long as its worker, so connections have no greatest age; idle ones are let go.
    'grpc.max_connection_idle_ms': 300_000,
    'grpc.enable_channelz': 0,
  };
}

/** Resolves with `promise`, or after `deadlineMs`. */
async function within(deadlineMs: number, promise: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, deadlineMs);
  });
  await Promise.race([promise, deadline]);
  clearTimeout(timer);
}

function warn(error: unknown, method: string): void {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.emitWarning(`a handler of ${method} failed: ${text}`, 'RopeteamWarning');
}
