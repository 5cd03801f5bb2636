/** Who may read which page: tokens from files, or a certificate. Tokens are kept hashed and compared in constant time. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { TLSSocket } from 'node:tls';
import { ROLES, type Role, RopeteamError, startFailureLimit } from '#training';

/** SHA-256 of each role's token. */
export type HttpTokens = ReadonlyMap<Role, Buffer>;

/** Roles that tokens are for: what is served by HTTP can be looked at, no more. */
export const TOKEN_ROLES = ['viewer', 'metrics'] as const satisfies readonly Role[];
const LEAST_CHARACTERS = 32;

/** Reads `viewer.token` and `metrics.token` of a folder, either of which may be absent. Throws AUTH.CERTIFICATE. */
export function readHttpTokens(folder: string): HttpTokens {
  const tokens = new Map<Role, Buffer>();
  for (const role of TOKEN_ROLES) {
    const file = join(folder, `${role}.token`);
    const text = tokenIn(file);
    if (text === undefined) continue;
    if (text.length < LEAST_CHARACTERS) throw refused(file, `is shorter than ${LEAST_CHARACTERS} characters`);
    tokens.set(role, hashed(text));
  }
  if (tokens.size === 0) throw refused(folder, `holds no ${TOKEN_ROLES.map((role) => `${role}.token`).join(' or ')}`);
  return tokens;
}

export type Verdict =
  | { readonly kind: 'allowed' }
  /** Nobody has signed in, or by a token that is none. */
  | { readonly kind: 'unknown' }
  | { readonly kind: 'forbidden' }
  | { readonly kind: 'wait'; readonly seconds: number };

export interface HttpAccess {
  check(request: IncomingMessage, roles: readonly Role[], nowMs: number): Verdict;
}

export function httpAccess(tokens: HttpTokens | undefined): HttpAccess {
  const limit = startFailureLimit();
  return {
    check: (request, roles, nowMs) => {
      const certified = roleOfCertificate(request);
      const shown = certified === undefined ? tokenOf(request.headers.authorization) : undefined;
      let role = certified;
      if (shown !== undefined) {
        const origin = request.socket.remoteAddress ?? 'unknown';
        const waitMs = limit.wait(origin, nowMs);
        if (waitMs > 0) return { kind: 'wait', seconds: Math.ceil(waitMs / 1000) };
        role = roleOfToken(tokens, shown);
        if (role === undefined) limit.failed(origin, nowMs);
      }
      if (role === undefined) return { kind: 'unknown' };
      return { kind: roles.includes(role) ? 'allowed' : 'forbidden' };
    },
  };
}

function roleOfCertificate({ socket }: IncomingMessage): Role | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
  const unit: unknown = socket.getPeerCertificate().subject?.OU;
  return ROLES.find((role) => role === unit);
}

/** `Bearer TOKEN` of programs; browsers ask their user and send it as the password of `Basic`. */
function tokenOf(header: string | undefined): string | undefined {
  const [scheme = '', value = ''] = (header ?? '').split(' ', 2);
  if (/^bearer$/i.test(scheme)) return value;
  if (!/^basic$/i.test(scheme)) return undefined;
  const pair = Buffer.from(value, 'base64').toString('utf8');
  return pair.slice(pair.indexOf(':') + 1);
}

function roleOfToken(tokens: HttpTokens | undefined, shown: string): Role | undefined {
  const hash = hashed(shown);
  let found: Role | undefined;
  // All are looked at, whichever fits: the time says nothing.
  for (const [role, token] of tokens ?? []) if (timingSafeEqual(hash, token)) found = role;
  return found;
}

function hashed(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

function tokenIn(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined;
    throw refused(file, `cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
  }
}

function refused(file: string, why: string, cause?: unknown): RopeteamError {
  return new RopeteamError('AUTH.CERTIFICATE', { file }, `${file} ${why}`, {
    hint: 'Take the folder http-tokens of "ropeteam certs init", or write 32 random bytes in hexadecimal into each file.',
    cause,
  });
}
