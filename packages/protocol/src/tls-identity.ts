/** Who one end of a connection is: a private authority, a certificate that it signed, and the key to it. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { PeerCertificate } from 'node:tls';
import { type Caller, ROLES, RopeteamError } from '#training';

/** PEM texts. */
export interface TlsIdentity {
  /** The authority that both ends trust, and no other. */
  readonly authority: string;
  readonly certificate: string;
  /** Never logged. */
  readonly key: string;
}

/** Names in the folder of an identity: those of a Kubernetes Secret of type `kubernetes.io/tls`, as cert-manager writes it. */
export const IDENTITY_FILES = { authority: 'ca.crt', certificate: 'tls.crt', key: 'tls.key' } as const;
/** Beside them, for a worker that must bring one. */
export const JOIN_TOKEN_FILE = 'join.token';

/** A worker's certificate that has names as URIs of this form may join by these names alone. */
export const WORKER_NAME_URI = 'urn:ropeteam:worker:';

/**
 * Reads `ca.crt`, `tls.crt` and `tls.key` of a folder. Throws AUTH.CERTIFICATE if one cannot be read, the key is of
 * another certificate or open to everybody, the authority did not sign it, or `now` is outside of its time.
 */
export function readTlsIdentity(folder: string, now = new Date()): TlsIdentity {
  const authority = readPem(join(folder, IDENTITY_FILES.authority));
  const certificateFile = join(folder, IDENTITY_FILES.certificate);
  const certificate = readPem(certificateFile);
  const keyFile = join(folder, IDENTITY_FILES.key);
  const key = readPem(keyFile);

  const root = parsed(join(folder, IDENTITY_FILES.authority), () => new X509Certificate(authority));
  const own = parsed(certificateFile, () => new X509Certificate(certificate));
  const privateKey = parsed(keyFile, () => createPrivateKey(key));
  if (!own.checkPrivateKey(privateKey)) throw refused(keyFile, `is not the key of ${IDENTITY_FILES.certificate}`);
  if (!own.verify(root.publicKey)) {
    throw refused(certificateFile, `was signed by another authority than ${IDENTITY_FILES.authority}`);
  }
  if (now < new Date(own.validFrom)) throw refused(certificateFile, `is not valid before ${own.validFrom}`);
  if (now > new Date(own.validTo)) throw refused(certificateFile, `has expired: it ended on ${own.validTo}`);
  if ((statSync(keyFile).mode & 0o007) !== 0) {
    throw refused(
      keyFile,
      'can be read by every user of this machine',
      undefined,
      'Close it: chmod 600, or 640 for a group.',
    );
  }
  return { authority, certificate, key };
}

/** The token beside a worker's certificate; undefined if there is none. Throws AUTH.CERTIFICATE if it cannot be read. */
export function readJoinToken(folder: string): string | undefined {
  const file = join(folder, JOIN_TOKEN_FILE);
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined;
    throw refused(file, `cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
  }
}

/** SHA-256 of a certificate, lower-case hexadecimal. */
export function fingerprintOf(certificate: string): string {
  return plainFingerprint(new X509Certificate(certificate).fingerprint256);
}

/** What a certificate says of its holder, as Node's `getPeerCertificate()` gives it; an empty one says nothing. */
export function callerFrom(peer: string, certificate: Partial<PeerCertificate>): Caller {
  // Node's types have one text; a subject with several units is a list.
  const unit: unknown = certificate.subject?.OU;
  const role = ROLES.find((one) => one === unit);
  const fingerprint = certificate.fingerprint256;
  const workers = (certificate.subjectaltname ?? '')
    .split(', ')
    .filter((name) => name.startsWith(`URI:${WORKER_NAME_URI}`))
    .map((name) => name.slice('URI:'.length + WORKER_NAME_URI.length));
  return {
    peer,
    ...(role === undefined ? {} : { role }),
    ...(fingerprint === undefined ? {} : { fingerprint: plainFingerprint(fingerprint) }),
    ...(workers.length === 0 ? {} : { workers }),
  };
}

function plainFingerprint(withColons: string): string {
  return withColons.replaceAll(':', '').toLowerCase();
}

function readPem(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw refused(file, `cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
  }
}

function parsed<Value>(file: string, parse: () => Value): Value {
  try {
    return parse();
  } catch (cause) {
    throw refused(file, 'is no PEM file of its kind', cause);
  }
}

const MAKE_ANOTHER = 'Give --tls a folder of "ropeteam certs init"; "ropeteam certs issue" makes another certificate.';

function refused(file: string, why: string, cause?: unknown, hint = MAKE_ANOTHER): RopeteamError {
  return new RopeteamError('AUTH.CERTIFICATE', { file }, `${file} ${why}`, { hint, cause });
}
