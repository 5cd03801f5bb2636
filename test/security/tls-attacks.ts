/** Somebody on the network, without a certificate that counts. */
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import type { TlsIdentity } from '#protocol';
import { fateOf, overTls, PREFACE, plain } from './raw-connections.js';
import type { Attack, Target } from './target.js';

const sends = (bytes: Uint8Array) => async (target: Target) => {
  const socket = await plain(target);
  socket.write(bytes);
  return await fateOf(socket);
};

/** With TLS 1.3 a client learns that it was refused after its own handshake is done. */
const signsIn =
  (who: (target: Target) => TlsIdentity | undefined, options: ConnectionOptions = {}) =>
  async (target: Target) => {
    let socket: Socket;
    try {
      socket = await overTls(target, who(target), options);
    } catch {
      return 'cut';
    }
    socket.write(PREFACE);
    return await fateOf(socket);
  };

async function many(target: Target, count: number, first: Uint8Array): Promise<string> {
  const sockets = await Promise.all(Array.from({ length: count }, () => plain(target)));
  for (const socket of sockets) socket.write(first);
  const fates = await Promise.all(sockets.map((socket) => fateOf(socket)));
  return [...new Set(fates)].join(' and ');
}

const TLS_HELLO_BEGUN = Buffer.from('16030100c8010000c40303', 'hex');

export const tlsAttacks: readonly Attack[] = [
  { name: 'S2 plaintext HTTP/2', result: 'cut', run: sends(PREFACE) },
  { name: 'B52 a request of HTTP/1.1', result: 'cut', run: sends(Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')) },
  { name: 'B52 a mebibyte of noise', result: 'cut', run: sends(randomBytes(1 << 20)) },
  { name: 'S2 no certificate', result: 'cut', run: signsIn(() => undefined) },
  { name: 'S2 a certificate of another authority', result: 'cut', run: signsIn(({ stranger }) => stranger) },
  { name: 'S2 a certificate that has expired', result: 'cut', run: signsIn(({ expired }) => expired) },
  { name: 'S2 the coordinator’s own, as a client', result: 'cut', run: signsIn((t) => t.identities.coordinator) },
  { name: 'S2 TLS 1.2', result: 'cut', run: signsIn((t) => t.identities.worker, { maxVersion: 'TLSv1.2' }) },
  {
    name: 'S2 another protocol than HTTP/2 over TLS',
    result: 'cut',
    run: signsIn((t) => t.identities.worker, { ALPNProtocols: ['http/1.1'] }),
  },
  {
    name: 'S10 three hundred handshakes that never end',
    result: 'cut',
    run: (target) => many(target, 300, TLS_HELLO_BEGUN),
  },
  {
    name: 'S10 three hundred connections that say nothing',
    result: 'cut',
    run: (target) => many(target, 300, Buffer.of()),
  },
];
