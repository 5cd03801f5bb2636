/** Connections that follow no protocol but their own: bytes over TCP or TLS, and frames of HTTP/2 one by one. */
import { createConnection, type Socket } from 'node:net';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import type { TlsIdentity } from '#protocol';
import { ATTACKER, type Target } from './target.js';

const PATIENCE_MS = 8_000;

export function plain({ host, port }: Target): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host, port, localAddress: ATTACKER });
    socket.once('connect', () => resolve(socket)).once('error', reject);
    socket.on('error', () => socket.destroy());
  });
}

/** @param identity absent: no certificate is shown */
export function overTls(
  { host, port, identities }: Target,
  identity: TlsIdentity | undefined,
  options: ConnectionOptions = {},
): Promise<TLSSocket> {
  const own = identity === undefined ? {} : { cert: identity.certificate, key: identity.key };
  return new Promise((resolve, reject) => {
    const { authority: ca } = identities.coordinator;
    // The address it calls from is an option of TCP, and TLS takes those too.
    const from = { localAddress: ATTACKER };
    const socket = connect({ host, port, ca, ALPNProtocols: ['h2'], ...from, ...own, ...options });
    socket.once('secureConnect', () => resolve(socket)).once('error', reject);
    socket.on('error', () => socket.destroy());
  });
}

/** Resolves with what became of a connection: `cut` by the other end, or still `open`. */
export function fateOf(socket: Socket, patienceMs = PATIENCE_MS): Promise<'cut' | 'open'> {
  if (socket.destroyed) return Promise.resolve('cut');
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      resolve('open');
      socket.destroy();
    }, patienceMs);
    socket.once('close', () => {
      clearTimeout(timer);
      resolve('cut');
    });
    socket.resume();
  });
}

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
export const TYPE = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  ping: 6,
  window: 8,
  continuation: 9,
} as const;
export const END_HEADERS = 4;
export const END_STREAM = 1;

export function frame(type: number, flags: number, stream: number, payload: Uint8Array = new Uint8Array()): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(stream, 5);
  return Buffer.concat([header, payload]);
}

/** Header fields without compression, each name and value below 127 bytes. */
export function fields(pairs: readonly (readonly [string, string])[]): Buffer {
  const text = (value: string) => Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
  return Buffer.concat(pairs.flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]));
}

export function callHeaders(path: string, more: readonly (readonly [string, string])[] = []): Buffer {
  return fields([
    [':method', 'POST'],
    [':scheme', 'http'],
    [':path', path],
    [':authority', 'x'],
    ['content-type', 'application/grpc'],
    ['te', 'trailers'],
    ...more,
  ]);
}

/** A connection with the preface and empty settings sent. */
export async function http2(target: Target, identity: TlsIdentity): Promise<TLSSocket> {
  const socket = await overTls(target, identity);
  socket.write(PREFACE);
  socket.write(frame(TYPE.settings, 0, 0));
  return socket;
}
