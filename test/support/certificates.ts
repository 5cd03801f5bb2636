/** A set of certificates for a test, made as a user makes one. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Authority, readTlsIdentity, type TlsIdentity } from '#protocol';
import { ROLES, type Role } from '#training';

const COMMAND = fileURLToPath(new URL('../../cli/src/main.js', import.meta.url));

/** What `ropeteam certs` prints with `--json`, as data. */
export function certs(...words: readonly string[]): unknown {
  return JSON.parse(execFileSync(process.execPath, [COMMAND, 'certs', ...words, '--json'], { encoding: 'utf8' }));
}

export interface CertificateSet {
  /** A folder for each role. */
  readonly folder: string;
  readonly authority: Authority;
  readonly identities: Readonly<Record<Role, TlsIdentity>>;
  readonly tokens: { readonly viewer: string; readonly metrics: string };
}

/** @param folder to make */
export function makeCertificates(folder: string, host = '127.0.0.1'): CertificateSet {
  certs('init', '--dir', folder, '--host', host);
  const text = (...path: readonly string[]) => readFileSync(join(folder, ...path), 'utf8');
  const entries = ROLES.map((role) => [role, readTlsIdentity(join(folder, role))]);
  return {
    folder,
    authority: { certificate: text('authority', 'ca.crt'), key: text('authority', 'ca.key') },
    identities: Object.fromEntries(entries) as Record<Role, TlsIdentity>, // one entry for each role
    tokens: {
      viewer: text('http-tokens', 'viewer.token').trim(),
      metrics: text('http-tokens', 'metrics.token').trim(),
    },
  };
}
