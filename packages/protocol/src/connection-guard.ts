/**
 * What one connection may do to us without doing anything useful. HTTP/2 lets a client make work for nothing: pings and
 * settings must be answered, calls can be begun and taken back; and a connection costs memory before it says a word.
 */
import type { Http2Server, ServerHttp2Session } from 'node:http2';
import type { Socket } from 'node:net';

/** Connections that have not begun a call yet; of more, the one that is silent longest goes. */
export const MOST_SILENT = 64;

/** As many at once, and as many a second after that. A client of ours pings once a second. */
const budgets = {
  ping: { burst: 100, perSecond: 20 },
  settings: { burst: 20, perSecond: 2 },
  reset: { burst: 200, perSecond: 20 },
} as const;
export type Excess = keyof typeof budgets;

/** Cuts connections of `http2Server` that ping, set or take back calls without end. */
export function cutAbusers(http2Server: Http2Server, onExcess: (peer: string, excess: Excess) => void): void {
  http2Server.on('session', (session: ServerHttp2Session) => {
    const { socket } = session;
    const peer = `${socket.remoteAddress}:${socket.remotePort}`;
    const left = new Map<Excess, { tokens: number; atMs: number }>();
    const spend = (what: Excess) => {
      const { burst, perSecond } = budgets[what];
      const now = performance.now();
      const bucket = left.get(what) ?? { tokens: burst, atMs: now };
      const tokens = Math.min(burst, bucket.tokens + ((now - bucket.atMs) / 1000) * perSecond) - 1;
      left.set(what, { tokens, atMs: now });
      if (tokens >= 0 || session.destroyed) return;
      onExcess(peer, what);
      session.destroy(); // at once: a goodbye would only be one more thing to keep for who does not read
    };
    session.on('ping', () => spend('ping'));
    session.on('remoteSettings', () => spend('settings'));
    session.on('stream', (stream) => stream.on('aborted', () => spend('reset')));
  });
}

/** Keeps count of connections that are silent still, so that whoever holds many open keeps nobody else out. */
export interface Waiting {
  add(socket: Socket): void;
  /** It has begun a call. */
  spoke(socket: Socket): void;
  /** Cuts them all. */
  end(): void;
}

/** @param firstCallMs for a connection to begin its first call */
export function waitingRoom(firstCallMs: number): Waiting {
  const silent = new Map<Socket, NodeJS.Timeout>();
  const leave = (socket: Socket) => {
    clearTimeout(silent.get(socket));
    silent.delete(socket);
  };
  return {
    add: (socket) => {
      const late = setTimeout(() => socket.destroy(), firstCallMs);
      late.unref();
      silent.set(socket, late);
      socket.on('close', () => leave(socket));
      const [longest] = silent.keys();
      if (silent.size <= MOST_SILENT || longest === undefined) return;
      leave(longest);
      longest.destroy();
    },
    spoke: leave,
    end: () => {
      for (const socket of silent.keys()) socket.destroy();
    },
  };
}
