/** Why a connection could not be made, where TLS is the reason: gRPC itself only says that time was up. */
import { type ConnectionOptions, connect } from 'node:tls';
import { RopeteamError } from '#training';
import type { TlsIdentity } from './tls-identity.js';

const PATIENCE_MS = 1000;

/**
 * Tries the handshake once more, alone. Resolves with AUTH.HANDSHAKE, or undefined when nobody answers there or TLS is
 * not the reason.
 * @param identity absent: the connection that failed was to be plaintext
 */
export async function tlsTrouble(
  address: string,
  identity: TlsIdentity | undefined,
): Promise<RopeteamError | undefined> {
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[|\]$/g, '');
  const target: ConnectionOptions = { host, port: Number(address.slice(colon + 1)), ALPNProtocols: ['h2'] };
  const trouble = (why: string, hint: string) =>
    new RopeteamError('AUTH.HANDSHAKE', { address }, `no connection to the coordinator at ${address}: ${why}`, {
      hint,
    });
  if (identity === undefined) {
    // Nothing is sent or believed: whoever gets as far as a certificate speaks TLS.
    const end = await handshake({ ...target, rejectUnauthorized: false });
    if (!end.shownCertificate) return undefined;
    return trouble('it speaks TLS, and this end plaintext', 'Give --tls a folder of "ropeteam certs init".');
  }
  const { authority: ca, certificate: cert, key } = identity;
  const end = await handshake({ ...target, ca, cert, key, minVersion: 'TLSv1.3' });
  if (end.shownCertificate) {
    if (end.answered) return undefined;
    const hint = 'The coordinator’s log says why: expired, of another authority, or its clock is wrong.';
    return trouble('it does not accept this certificate', hint);
  }
  switch (end.code) {
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return trouble(
        `its certificate is not for the name ${host}`,
        `Use a name that it has, or make it another: ropeteam certs issue coordinator --host ${host}`,
      );
    case 'CERT_HAS_EXPIRED':
      return trouble('its certificate has expired', 'Make it another: ropeteam certs issue coordinator --host NAME');
    case 'CERT_NOT_YET_VALID':
      return trouble('its certificate is not valid yet', 'Set the clocks of both machines.');
    case 'INVALID_PURPOSE':
      return trouble('its certificate is not one of a coordinator', 'Check the address: who answers is somebody else.');
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'CERT_SIGNATURE_FAILURE':
      return trouble(
        'another authority signed its certificate',
        'Both ends need folders of the same "ropeteam certs init".',
      );
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
    case 'ERR_SSL_PACKET_LENGTH_TOO_LONG':
      return trouble(
        'it speaks plaintext, and this end TLS',
        'Start the coordinator with --tls; if plaintext is meant, leave --tls (ROPETEAM_TLS) out here.',
      );
    default:
      return end.code.startsWith('ERR_SSL') ? trouble(end.message, 'Both ends must speak TLS 1.3.') : undefined;
  }
}

interface HandshakeEnd {
  /** The other end has shown a certificate that this one believes. */
  readonly shownCertificate: boolean;
  /** And has said something after it: with TLS 1.3 it looks at ours only then. */
  readonly answered: boolean;
  readonly code: string;
  readonly message: string;
}

function handshake(options: ConnectionOptions): Promise<HandshakeEnd> {
  return new Promise((resolve) => {
    let shownCertificate = false;
    const socket = connect(options);
    const done = (answered: boolean, code = '', message = '') => {
      socket.destroy();
      resolve({ shownCertificate, answered, code, message });
    };
    socket.setTimeout(PATIENCE_MS, () => done(false, 'ETIMEDOUT', 'no answer'));
    socket.once('secureConnect', () => {
      shownCertificate = true;
      if (options.cert === undefined) done(false);
    });
    socket.once('data', () => done(true));
    socket.once('close', () => done(false));
    socket.on('error', (error: NodeJS.ErrnoException) => done(false, error.code ?? '', error.message));
  });
}
