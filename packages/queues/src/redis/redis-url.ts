/** Reading the address of a Redis and showing it without its password. */
import { RopeteamError } from '#training';

export interface RedisUrl {
  /** As given, password and all: for the client only. */
  readonly href: string;
  /** The same with the password masked: for people and logs. */
  readonly display: string;
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
}

/** @throws USAGE.ARGUMENT for anything but a `redis://` or `rediss://` address. */
export function parseRedisUrl(text: string): RedisUrl {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== 'redis:' && url.protocol !== 'rediss:') || url.hostname === '') {
    const what = url?.protocol.startsWith('http') ? 'is a web address' : 'is not the address of a Redis';
    throw new RopeteamError(
      'USAGE.ARGUMENT',
      { argument: 'redis-url' },
      `"${maskPassword(text)}" ${what}: a Redis address starts with redis:// (or rediss:// for TLS)`,
      { hint: 'write it as redis://[:password@]host[:port][/database], for example redis://127.0.0.1:6379' },
    );
  }
  return {
    href: text,
    display: maskPassword(text),
    host: url.hostname,
    port: url.port === '' ? 6379 : Number(url.port),
    tls: url.protocol === 'rediss:',
  };
}

/** `redis://user:secret@host:1/0?x=y` -> `redis://user:***@host:1/0`; safe for text that is no URL at all. */
export function maskPassword(text: string): string {
  // Greedy up to the last @, so that a password that holds an unescaped @ does not leak its tail.
  const [address = ''] = text.split('?');
  return address.replace(
    /\/\/(.*)@/,
    (_, credentials: string) => `//${credentials.includes(':') ? `${credentials.split(':')[0]}:***` : '***'}@`,
  );
}

/** The address of a server on this machine. */
export function localRedisUrl(port: number, password: string): string {
  return `redis://:${password}@127.0.0.1:${port}`;
}
