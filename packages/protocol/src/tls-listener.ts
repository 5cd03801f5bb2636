/** TLS 1.3 in front of gRPC, with certificates on both ends: who is let through, and who is told of and cut. */
import type { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import type { Caller } from '#training';
import { callerFrom, type TlsIdentity } from './tls-identity.js';

/** A connection that got no further than its handshake. */
export interface RefusedHandshake {
  /** Address without the port. */
  readonly from: string;
  readonly reason: string;
}

/** The one that costs least comes first: weights and gradients are much to encrypt, and 128 bits are enough. */
const CIPHERS = {
  ciphers: 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256',
  honorCipherOrder: true,
} as const;

/** Milliseconds for a client to show its certificate. */
const HANDSHAKE_MS = 5000;
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * A handshake that fails, or is not done in time, ends that connection and nothing else. One that succeeded ends when its
 * certificate does.
 */
export function tlsListener(
  { authority: ca, certificate: cert, key }: TlsIdentity,
  accept: (socket: TLSSocket, caller: Caller) => void,
  onRefused: (handshake: RefusedHandshake) => void,
): Server {
  const settings = { ca, cert, key, minVersion: 'TLSv1.3', ALPNProtocols: ['h2'], noDelay: true, ...CIPHERS } as const;
  // Node would cut a client with a wrong certificate without a word to us; so we look at `authorized` ourselves.
  const handshake = { requestCert: true, rejectUnauthorized: false, handshakeTimeout: HANDSHAKE_MS };
  const server = createServer({ ...settings, ...handshake });
  server.on('secureConnection', (socket: TLSSocket) => {
    const from = socket.remoteAddress ?? 'unknown';
    const refuse = (reason: string) => {
      socket.on('error', () => socket.destroy());
      socket.destroy();
      onRefused({ from, reason });
    };
    if (!socket.authorized) return refuse(inWords(String(socket.authorizationError)));
    if (socket.alpnProtocol !== 'h2') return refuse('it does not speak HTTP/2');
    const certificate = socket.getPeerCertificate();
    const left = new Date(certificate.valid_to).getTime() - Date.now();
    const expiry = setTimeout(() => socket.destroy(), Math.min(Math.max(0, left), LONGEST_TIMER_MS));
    expiry.unref();
    socket.on('close', () => clearTimeout(expiry));
    accept(socket, callerFrom(`${socket.remoteAddress}:${socket.remotePort}`, certificate));
  });
  server.on('tlsClientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    onRefused({ from: socket.remoteAddress ?? 'unknown', reason: inWords(error.code ?? error.message) });
    socket.destroy();
  });
  return server;
}

function inWords(code: string): string {
  switch (code) {
    case 'ERR_SSL_HTTP_REQUEST':
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
      return 'it speaks plaintext to a port with TLS: give that client --tls';
    case 'UNABLE_TO_GET_ISSUER_CERT':
      return 'it shows no certificate, or one of another authority';
    case 'CERT_HAS_EXPIRED':
      return 'its certificate has expired';
    case 'CERT_NOT_YET_VALID':
      return 'its certificate is not valid yet: one of the two clocks is wrong';
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'CERT_SIGNATURE_FAILURE':
      return 'another authority signed its certificate';
    case 'INVALID_PURPOSE':
      return 'its certificate is not for clients';
    case 'ERR_TLS_HANDSHAKE_TIMEOUT':
      return `it did not show a certificate within ${HANDSHAKE_MS} ms`;
    case 'ERR_SSL_UNSUPPORTED_PROTOCOL':
      return 'it speaks an older TLS than 1.3';
    default:
      return code;
  }
}
