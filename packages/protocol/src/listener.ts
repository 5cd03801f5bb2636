/**
 * The coordinator's TCP port. gRPC gets its connections handed in, so that the port, the number of connections and the
 * bytes that passed are ours to see, and a connection that hangs can be cut.
 */
import type { Http2Server, ServerHttp2Session } from 'node:http2';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type Server, ServerCredentials } from '@grpc/grpc-js';
import { type Caller, RopeteamError } from '#training';
import { cutAbusers, type Excess, waitingRoom } from './connection-guard.js';
import { RECEIVE_WINDOW_BYTES, withReceiveWindow } from './receive-window.js';
import type { TlsIdentity } from './tls-identity.js';
import { type RefusedHandshake, tlsListener } from './tls-listener.js';

/** Bytes of all connections since the start, TCP payload. */
export interface WireBytes {
  readonly received: number;
  readonly sent: number;
}

export interface Listener {
  /** `host:port`, an IPv6 host in brackets. */
  readonly address: string;
  readonly http2Server: Http2Server;
  wireBytes(): WireBytes;
  /** Who holds a connection: without TLS nobody knows. */
  callerOf(peer: string): Caller;
  /** Cuts one connection. `peer` as gRPC's `getPeer()` names it. */
  disconnect(peer: string): void;
  /** Takes no more connections; resolves when those that are open have ended by themselves. */
  stopAccepting(): Promise<void>;
  /** Cuts every connection and resolves when the port is free. */
  close(): Promise<void>;
}

export interface ListenerOptions {
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  readonly maxConnections: number;
  /** Milliseconds a connection has to begin its first call. */
  readonly firstCallMs: number;
  /** TLS 1.3, and only for who has a certificate of the same authority. Absent: plaintext. */
  readonly tls?: TlsIdentity | undefined;
  readonly onRefusedHandshake: (handshake: RefusedHandshake) => void;
  /** A connection was cut because it did too much of what is of no use. */
  readonly onExcess: (peer: string, excess: Excess) => void;
}

/** Throws COORDINATOR.ADDRESS if the port cannot be had. */
export async function listen(grpc: Server, options: ListenerOptions): Promise<Listener> {
  const { result: injector, http2Server } = withReceiveWindow(RECEIVE_WINDOW_BYTES, () =>
    grpc.createConnectionInjector(ServerCredentials.createInsecure()),
  );
  const sockets = new Map<string, { readonly socket: Socket; readonly caller: Caller }>();
  const closed = { received: 0, sent: 0 };
  const waiting = waitingRoom(options.firstCallMs);
  /** With TLS, that below the one gRPC gets. */
  const raw = new Map<string, Socket>();
  const accept = (socket: Socket, caller: Caller) => {
    const { peer } = caller;
    sockets.set(peer, { socket, caller });
    socket.on('close', () => {
      sockets.delete(peer);
      closed.received += socket.bytesRead;
      closed.sent += socket.bytesWritten;
    });
    // HTTP/2 ends the connection on an error by itself; this keeps one that comes after it let go from ending us.
    socket.on('error', () => socket.destroy());
    injector.injectConnection(socket);
  };
  const server =
    options.tls === undefined
      ? createServer({ noDelay: true })
      : tlsListener(options.tls, accept, options.onRefusedHandshake);
  // Before gRPC has it: its first call may begin at once.
  server.on('connection', (socket: Socket) => {
    const peer = peerOf(socket);
    raw.set(peer, socket);
    waiting.add(socket);
    socket.on('close', () => raw.delete(peer));
    if (options.tls === undefined) accept(socket, { peer });
  });
  http2Server.on('session', (session: ServerHttp2Session) => {
    const socket = raw.get(peerOf(session.socket));
    if (socket !== undefined) session.once('stream', () => waiting.spoke(socket));
  });
  cutAbusers(http2Server, options.onExcess);
  server.maxConnections = options.maxConnections;

  const { port } = await new Promise<AddressInfo>((resolve, reject) => {
    const refused = (error: NodeJS.ErrnoException) => reject(cannotListen(options, error));
    server.once('error', refused);
    server.listen({ host: options.host, port: options.port }, () => {
      server.off('error', refused);
      resolve(server.address() as AddressInfo); // an IP server's address is never a pipe's name
    });
  }).catch((error: unknown) => {
    injector.destroy();
    throw error;
  });

  let ended: Promise<void> | undefined;
  const stopAccepting = () => {
    ended ??= new Promise((resolve) => server.close(() => resolve()));
    return ended;
  };
  return {
    address: `${options.host.includes(':') ? `[${options.host}]` : options.host}:${port}`,
    http2Server,
    wireBytes: () => {
      let { received, sent } = closed;
      for (const { socket } of sockets.values()) {
        received += socket.bytesRead;
        sent += socket.bytesWritten;
      }
      return { received, sent };
    },
    callerOf: (peer) => sockets.get(peer)?.caller ?? { peer },
    disconnect: (peer) => sockets.get(peer)?.socket.destroy(),
    stopAccepting,
    close: async () => {
      const done = stopAccepting();
      waiting.end();
      for (const socket of raw.values()) socket.destroy();
      await done;
    },
  };
}

/** As gRPC's `getPeer()` names it. */
function peerOf({ remoteAddress, remotePort }: Pick<Socket, 'remoteAddress' | 'remotePort'>): string {
  return `${remoteAddress}:${remotePort}`;
}

function cannotListen({ host, port }: ListenerOptions, error: NodeJS.ErrnoException): RopeteamError {
  const address = `${host}:${port}`;
  const why = error.code === 'EADDRINUSE' ? 'the port is taken' : error.message;
  return new RopeteamError('COORDINATOR.ADDRESS', { address }, `cannot listen on ${address}: ${why}`, {
    hint: 'Choose another address, or port 0 for a free one.',
    cause: error,
  });
}
