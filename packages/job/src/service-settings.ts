/** Flags and environment of the services, checked one by one before anything is opened. All throw USAGE.ARGUMENT. */
import { readFileSync } from 'node:fs';
import { RopeteamError } from '#training';

/** A whole number `least..most`. */
export function wholeNumber(argument: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isInteger(value) && value >= least && value <= most) return value;
  throw refused(argument, `${argument} is ${JSON.stringify(text)}; it must be a whole number ${least}..${most}`);
}

const BYTE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
};

/** Bytes as people write them: `500MB`, `2GiB`, `1048576`. */
export function byteCount(argument: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?) ?([KMG]i?B|)$/.exec(text);
  const bytes = Math.floor(Number(match?.[1]) * (BYTE_UNITS[match?.[2] ?? ''] ?? Number.NaN));
  if (Number.isSafeInteger(bytes)) return bytes;
  throw refused(argument, `${argument} is ${JSON.stringify(text)}; it must be a size such as 500MB, 2GiB or 1048576`);
}

/** One of a few words. */
export function oneOf<Word extends string>(argument: string, text: string, words: readonly Word[]): Word {
  const word = words.find((candidate) => candidate === text);
  if (word !== undefined) return word;
  throw refused(argument, `${argument} is ${JSON.stringify(text)}; it must be one of ${words.join(', ')}`);
}

/** One of a few words, from a flag, or where that was not given from a variable of the environment. */
export function oneOfEither<Word extends string>(
  flag: readonly [name: string, text: string | undefined],
  variable: readonly [name: string, text: string | undefined],
  fallback: Word,
  words: readonly Word[],
): Word {
  const [name, text] = flag[1] === undefined ? variable : flag;
  return text === undefined || text === '' ? fallback : oneOf(name, text, words);
}

/**
 * The Redis both services meet at. It may hold a password, so it comes from the environment and is never logged.
 * Where secrets are mounted as files, `ROPETEAM_REDIS_URL_FILE` names one with the whole URL, or
 * `ROPETEAM_REDIS_PASSWORD_FILE` one with the password that the URL then leaves out.
 */
export function redisUrlFrom(environment: Readonly<Record<string, string | undefined>>): string {
  const given = environment.ROPETEAM_REDIS_URL || undefined;
  const urlFile = environment.ROPETEAM_REDIS_URL_FILE || undefined;
  const passwordFile = environment.ROPETEAM_REDIS_PASSWORD_FILE || undefined;
  if (given !== undefined && urlFile !== undefined) {
    throw refused(
      'ROPETEAM_REDIS_URL_FILE',
      'ROPETEAM_REDIS_URL and ROPETEAM_REDIS_URL_FILE are both set; keep the one that is meant',
    );
  }
  const url = given ?? (urlFile === undefined ? undefined : secretIn('ROPETEAM_REDIS_URL_FILE', urlFile));
  if (url === undefined) {
    throw refused('ROPETEAM_REDIS_URL', 'ROPETEAM_REDIS_URL is not set', {
      hint: 'set it to the Redis that coordinator and workers share, for example redis://:password@host:6379',
    });
  }
  return passwordFile === undefined ? url : withPassword(url, secretIn('ROPETEAM_REDIS_PASSWORD_FILE', passwordFile));
}

export interface Door {
  /** What the setting is called, for the message. */
  readonly argument: string;
  /** Host name or address without its port. */
  readonly host: string;
  /** Whether whoever comes must show who they are, or nobody can listen: by TLS, a token, a password. */
  readonly closed: boolean;
  /** The user wants it so: `--insecure` or `ROPETEAM_INSECURE=1`. */
  readonly insecure: boolean;
  /** What closes it. */
  readonly hint: string;
}

export const TLS_CLOSES = 'Give --tls a folder of "ropeteam certs init"';
export const TOKENS_CLOSE = 'Give --http-tokens a folder of tokens, or let it listen on 127.0.0.1';
export const PASSWORD_CLOSES = 'Give that Redis a password and the address rediss://';

/**
 * Whether a way in or out is open to others although the user could close it. Throws AUTH.TLS_REQUIRED for one beyond
 * this machine, unless the user insists.
 */
export function isLeftOpen({ argument, host, closed, insecure, hint }: Door): boolean {
  if (closed || isLoopback(host)) return false;
  if (insecure) return true;
  throw new RopeteamError(
    'AUTH.TLS_REQUIRED',
    { address: host },
    `${argument} is ${host}, which is not this machine alone, and nothing keeps others out`,
    { hint: `${hint}; in a network you trust, --insecure (ROPETEAM_INSECURE=1) goes without.` },
  );
}

/** As `isLeftOpen`, for a Redis: a password or TLS closes it. */
export function isRedisLeftOpen(redisUrl: string, insecure: boolean): boolean {
  if (!URL.canParse(redisUrl)) return false; // whoever connects says what is wrong with it
  const { hostname, password, protocol } = new URL(redisUrl);
  const closed = password !== '' || protocol === 'rediss:' || hostname === '';
  const host = hostname.replace(/^\[|\]$/g, '');
  return isLeftOpen({ argument: 'ROPETEAM_REDIS_URL', host, closed, insecure, hint: PASSWORD_CLOSES });
}

/** The host of `host:port`, IPv6 without its brackets. */
export function hostOf(address: string): string {
  return address.slice(0, Math.max(0, address.lastIndexOf(':'))).replace(/^\[|\]$/g, '');
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
}

/** `1`, `true` and the like; `0`, `false` and nothing are off. */
export function isOn(value: string | undefined): boolean {
  return value !== undefined && value !== '' && value !== '0' && value !== 'false';
}

function withPassword(text: string, password: string): string {
  if (!URL.canParse(text)) throw refused('ROPETEAM_REDIS_URL', 'ROPETEAM_REDIS_URL is no URL');
  const url = new URL(text);
  if (url.password !== '') {
    throw refused(
      'ROPETEAM_REDIS_PASSWORD_FILE',
      'the URL of the Redis has a password already; leave it out there, or unset ROPETEAM_REDIS_PASSWORD_FILE',
    );
  }
  url.password = encodeURIComponent(password);
  return url.href;
}

/** One line; editors and `echo` end it with a line break that is not part of it. */
function secretIn(argument: string, path: string): string {
  let text: string;
  try {
    text = readFileSync(path, 'utf8').trimEnd();
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw refused(argument, `${argument}: ${path} cannot be read: ${why}`);
  }
  if (text === '' || text.includes('\n')) throw refused(argument, `${argument}: ${path} must hold one line`);
  return text;
}

function refused(argument: string, message: string, details: { readonly hint?: string } = {}): RopeteamError {
  return new RopeteamError('USAGE.ARGUMENT', { argument }, message, details);
}
