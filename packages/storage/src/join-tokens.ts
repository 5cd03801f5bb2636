/**
 * Which workers' certificates a coordinator lets in, as a folder: `admitted/FINGERPRINT.json` for those that are in,
 * `pending/HASH.json` for tokens that nobody has used yet. A token is known by its SHA-256 alone. Using one moves its file,
 * which works once, whoever comes first. Taking a file out of `admitted/` keeps that certificate out from then on.
 */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RopeteamError } from '#training';
import { errorCodeOf } from './atomic-file.js';

interface PendingToken {
  readonly fingerprint: string;
  /** Unix milliseconds. */
  readonly expiresAt: number;
}

export interface JoinTokenOptions {
  /** SHA-256 of the certificate it is for, hexadecimal. */
  readonly fingerprint: string;
  readonly minutes: number;
  readonly now?: Date;
}

/**
 * Makes a token of 256 random bits for one certificate. Tokens that are too old are cleared away.
 * @throws RopeteamError STORAGE.WRITE
 */
export function createJoinToken(folder: string, { fingerprint, minutes, now = new Date() }: JoinTokenOptions): string {
  const token = randomBytes(32).toString('base64url');
  const pending: PendingToken = { fingerprint, expiresAt: now.getTime() + minutes * 60_000 };
  try {
    mkdirSync(join(folder, 'admitted'), { recursive: true, mode: 0o700 });
    mkdirSync(join(folder, 'pending'), { recursive: true, mode: 0o700 });
    for (const name of readdirSync(join(folder, 'pending'))) {
      const old = readPending(join(folder, 'pending', name));
      if (old !== undefined && old.expiresAt < now.getTime()) rmSync(join(folder, 'pending', name), { force: true });
    }
    writeFileSync(pendingFile(folder, token), `${JSON.stringify(pending)}\n`, { mode: 0o600, flag: 'wx' });
  } catch (cause) {
    const message = `${folder}: no token can be made: ${cause instanceof Error ? cause.message : String(cause)}`;
    throw new RopeteamError('STORAGE.WRITE', { file: folder }, message, { cause });
  }
  return token;
}

/** Why a worker is not let in; for the log, not for the worker. */
export type NotAdmitted =
  | 'no token'
  | 'unknown or used token'
  | 'expired token'
  | 'token of another certificate'
  | 'unreadable folder';

/** Lets a certificate in that is admitted already, or brings its token; else says why not. Fails closed. */
export function admitCertificate(
  folder: string,
  fingerprint: string,
  token: string | undefined,
  now = new Date(),
): NotAdmitted | undefined {
  if (!existsSync(join(folder, 'admitted'))) return 'unreadable folder';
  const admitted = join(folder, 'admitted', `${fingerprint}.json`);
  if (existsSync(admitted)) return undefined;
  if (token === undefined) return 'no token';
  const file = pendingFile(folder, token);
  const pending = readPending(file);
  if (pending === undefined) return 'unknown or used token';
  if (pending.fingerprint !== fingerprint) return 'token of another certificate';
  if (pending.expiresAt < now.getTime()) return 'expired token';
  try {
    renameSync(file, admitted);
    return undefined;
  } catch (error) {
    return errorCodeOf(error) === 'ENOENT' ? 'unknown or used token' : 'unreadable folder';
  }
}

function pendingFile(folder: string, token: string): string {
  return join(folder, 'pending', `${createHash('sha256').update(token).digest('hex')}.json`);
}

function readPending(file: string): PendingToken | undefined {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined; // none of that name, or none of ours: nobody gets in by it
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { fingerprint, expiresAt } = value as Partial<Record<keyof PendingToken, unknown>>;
  if (typeof fingerprint !== 'string' || typeof expiresAt !== 'number') return undefined;
  return { fingerprint, expiresAt };
}
