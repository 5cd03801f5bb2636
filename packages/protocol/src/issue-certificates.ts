/** A private authority and the certificates it signs: elliptic curve P-256, one signature deep. */
import { webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import type * as X509 from '@peculiar/x509';
import { type Role, RopeteamError } from '#training';
import { type TlsIdentity, WORKER_NAME_URI } from './tls-identity.js';

/** PEM texts. */
export interface Authority {
  readonly certificate: string;
  /** Whoever has it can make certificates. */
  readonly key: string;
}

export interface Holder {
  readonly role: Role;
  /** Of a coordinator: names and IP addresses at which others reach it. */
  readonly hosts?: readonly string[];
  /** Of a worker: the one name it may join by. Absent: any. */
  readonly name?: string;
}

export interface Period {
  readonly days: number;
  readonly now?: Date;
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MS = 86_400_000;
/** Clocks of other machines may be behind. */
const SLACK_MS = 300_000;

export async function createAuthority(period: Period): Promise<Authority> {
  const x509 = await library();
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    ...validity(period),
    serialNumber: serialNumber(),
    // A name of its own: two authorities are then told apart by it, before a signature fails.
    name: `CN=ropeteam authority ${serialNumber().slice(0, 8)}`,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: certificate.toString('pem'), key: await privatePem(keys.privateKey) };
}

/**
 * Makes a key and its certificate. Only a coordinator's may serve, so that a stolen certificate of a worker cannot play
 * coordinator; the others may only call. Throws AUTH.CERTIFICATE if the authority is none.
 */
export async function issueCertificate(
  authority: Authority,
  { role, hosts = [], name }: Holder,
  period: Period,
): Promise<TlsIdentity> {
  const x509 = await library();
  const root = await readAuthority(x509, authority);
  const keys = await newKeys();
  const { clientAuth, serverAuth } = x509.ExtendedKeyUsage;
  const names: X509.JsonGeneralName[] = [
    ...hosts.map((value) => ({ type: isIP(value) === 0 ? ('dns' as const) : ('ip' as const), value })),
    ...(name === undefined ? [] : [{ type: 'url' as const, value: WORKER_NAME_URI + name }]),
  ];
  const certificate = await x509.X509CertificateGenerator.create({
    ...validity(period),
    serialNumber: serialNumber(),
    subject: `OU=${role}, CN=${name ?? `ropeteam ${role}`}`,
    issuer: root.certificate.subject,
    publicKey: keys.publicKey,
    signingKey: root.key,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([role === 'coordinator' ? serverAuth : clientAuth], true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(root.certificate.publicKey),
      ...(names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)]),
    ],
  });
  const key = await privatePem(keys.privateKey);
  return { authority: authority.certificate, certificate: certificate.toString('pem'), key };
}

async function library(): Promise<typeof X509> {
  await import('reflect-metadata'); // @peculiar/x509 resolves its parts with it, and asks for it to be there first
  return await import('@peculiar/x509');
}

async function readAuthority(x509: typeof X509, authority: Authority) {
  try {
    const der = Buffer.from(authority.key.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');
    const key = await webcrypto.subtle.importKey('pkcs8', der, algorithm, false, ['sign']);
    return { certificate: new x509.X509Certificate(authority.certificate), key };
  } catch (cause) {
    throw new RopeteamError('AUTH.CERTIFICATE', { file: 'authority' }, 'the authority’s certificate or key is broken', {
      hint: 'Restore its folder from a copy, or make a new set: ropeteam certs init',
      cause,
    });
  }
}

function newKeys() {
  return webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
}

function validity({ days, now = new Date() }: Period) {
  return {
    notBefore: new Date(now.getTime() - SLACK_MS),
    notAfter: new Date(now.getTime() + days * DAY_MS),
    signingAlgorithm: algorithm,
  };
}

/** 16 random bytes in hexadecimal, positive. */
function serialNumber(): string {
  const bytes = webcrypto.getRandomValues(new Uint8Array(16));
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return Buffer.from(bytes).toString('hex');
}

async function privatePem(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN PRIVATE KEY-----\n${lines.join('\n')}\n-----END PRIVATE KEY-----\n`;
}
