/** A small HTTP server for /metrics, /healthz, /readyz and whatever pages the service adds. Read only. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { ROLES, type Role, RopeteamError } from '#training';
import { type HttpTokens, httpAccess, type Verdict } from './http-access.js';
import type { MetricsRegistry } from './registry.js';

export interface Page {
  readonly contentType: string;
  readonly body: string | Uint8Array;
}

/** One event of a stream, by its number. */
export interface StreamedEvent {
  /** Absent: it leaves the number that a reader comes back with as it is. */
  readonly id?: number;
  /** One line. */
  readonly data: string;
}

/** A file to be taken away. */
export interface ServedFile extends AsyncDisposable {
  /** As it is saved. */
  readonly name: string;
  readonly bytes: number;
  /** Exactly so many bytes. */
  read(): AsyncIterable<Uint8Array>;
}

/** A page, and who may see it where somebody must show who they are. */
export interface Route {
  readonly for: readonly Role[];
  make(): Page | Promise<Page>;
}

/** What is at a path that is none of the fixed pages, and who may have it. */
export type Found = { readonly for: readonly Role[] } & (
  | { readonly kind: 'page'; readonly make: () => Page | Promise<Page> }
  /** Server-sent events, from number `from` until they end or the signal. */
  | { readonly kind: 'events'; readonly follow: (from: number, signal: AbortSignal) => AsyncIterable<StreamedEvent> }
  /** Undefined: there is none after all. */
  | { readonly kind: 'file'; readonly open: () => Promise<ServedFile | undefined> }
);

/** PEM texts. */
interface ServerCertificate {
  readonly authority: string;
  readonly certificate: string;
  readonly key: string;
}

export interface MetricsServerOptions {
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  readonly registry: MetricsRegistry;
  /** More pages by path, for example `/`. Scripts and styles need paths of their own: inline ones are blocked. */
  readonly routes?: Readonly<Record<string, Route>>;
  /** Looks up paths that are none of the pages; undefined: there is nothing. */
  readonly find?: (path: string) => Found | undefined;
  /** Whoever reads anything but the probes shows one of them, or a certificate. Absent, without `tls`: all may. */
  readonly tokens?: HttpTokens | undefined;
  /** HTTPS. Clients may show a certificate of the same authority, and its role counts. */
  readonly tls?: ServerCertificate | undefined;
  /** A stream's reader that takes nothing for so long is let go of. Default: 15 s. */
  readonly slowReaderMs?: number;
  /** What /healthz answers: 200 or 503. Default: 200 while the event loop turns. */
  readonly healthy?: () => boolean;
  /** What /readyz answers, likewise. Default: as /healthz. */
  readonly ready?: () => boolean;
  /** Told when a page could not be made; the reader gets a bare 500. Default: a process warning. */
  readonly onError?: (error: unknown, path: string) => void;
}

export interface MetricsServer {
  /** `http://host:port`, or `https://…` */
  readonly url: string;
  /** Lets answers under way finish, cuts what is left after a second, and resolves when the port is free. */
  close(): Promise<void>;
}

/** Throws ENVIRONMENT.PROCESS if the port cannot be had. */
export async function startMetricsServer(options: MetricsServerOptions): Promise<MetricsServer> {
  const { registry, healthy = () => true, ready = healthy, onError = warn, slowReaderMs = SLOW_READER_MS } = options;
  const probes: Readonly<Record<string, () => boolean>> = { '/healthz': healthy, '/readyz': ready };
  const pages: Readonly<Record<string, Route>> = {
    ...options.routes,
    '/metrics': {
      for: ['metrics', 'admin'],
      make: async () => ({ contentType: registry.contentType, body: await registry.text() }),
    },
  };
  const { tls, tokens } = options;
  const access = tls === undefined && tokens === undefined ? undefined : httpAccess(tokens);
  const verdictOn = (request: IncomingMessage, roles: readonly Role[]): Verdict =>
    access?.check(request, roles, performance.now()) ?? { kind: 'allowed' };
  const onLoopback = isLoopback(options.host);

  /** Every request passes here: who may have what is decided before anything is made. */
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (onLoopback && !namesLoopback(request.headers.host)) return send(response, 403, text('wrong Host header\n'));
    const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
    const probe = Object.hasOwn(probes, path) ? probes[path] : undefined;
    const route = Object.hasOwn(pages, path) ? pages[path] : undefined;
    const found: Found | undefined = route === undefined ? options.find?.(path) : { ...route, kind: 'page' };
    if (probe === undefined) {
      // That there is nothing is told to whoever has signed in.
      const verdict = verdictOn(request, found?.for ?? ROLES);
      if (verdict.kind !== 'allowed') return refuse(response, verdict);
    }
    if (found === undefined && probe === undefined) return send(response, 404, text('not found\n'));
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return send(response, 405, text('only GET and HEAD\n'), { Allow: 'GET, HEAD' });
    }
    if (found === undefined)
      return probe?.() ? send(response, 200, text('ok\n')) : send(response, 503, text('not ok\n'));
    switch (found.kind) {
      case 'page':
        return await show(response, path, found.make);
      case 'events':
        return await follow(request, response, found.follow);
      case 'file':
        return await give(request, response, await found.open());
      default:
        found satisfies never;
    }
  };

  const show = async (response: ServerResponse, path: string, make: () => Page | Promise<Page>): Promise<void> => {
    let page: Page;
    try {
      page = await make();
    } catch (error) {
      onError(error, path);
      return send(response, 500, text('this page could not be made; the log says why\n'));
    }
    send(response, 200, page);
  };

  let streams = 0;
  const follow = async (
    request: IncomingMessage,
    response: ServerResponse,
    start: (from: number, signal: AbortSignal) => AsyncIterable<StreamedEvent>,
  ): Promise<void> => {
    if (streams >= MOST_STREAMS) return send(response, 503, text('too many pages are open\n'), { 'Retry-After': '10' });
    const gone = new AbortController();
    streams++;
    response.on('close', () => {
      streams--;
      gone.abort();
    });
    response.writeHead(200, { ...securityHeaders, 'Content-Type': 'text/event-stream; charset=utf-8' });
    response.flushHeaders();
    if (request.method === 'HEAD') return void response.end();
    // What a browser that lost its connection has seen last.
    const seen = Number(request.headers['last-event-id'] ?? -1);
    for await (const { id, data } of start(Number.isSafeInteger(seen) ? seen + 1 : 0, gone.signal)) {
      if (gone.signal.aborted) break;
      // A reader that is slow is waited for, not for ever; it holds up nobody but itself.
      if (response.write(`${id === undefined ? '' : `id: ${id}\n`}data: ${data}\n\n`)) continue;
      if (!(await drained(response, AbortSignal.any([gone.signal, AbortSignal.timeout(slowReaderMs)])))) break;
    }
    if (response.writableNeedDrain) response.destroy();
    else response.end();
  };

  const give = async (
    request: IncomingMessage,
    response: ServerResponse,
    file: ServedFile | undefined,
  ): Promise<void> => {
    if (file === undefined) return send(response, 404, text('not found\n'));
    await using given = file;
    response.writeHead(200, {
      ...securityHeaders,
      'Content-Type': 'application/octet-stream',
      'Content-Length': given.bytes,
      'Content-Disposition': `attachment; filename="${given.name.replace(/[^\w.-]/g, '_')}"`,
    });
    if (request.method === 'HEAD') return void response.end();
    await pipeline(given.read(), response);
  };

  // The page and Prometheus ask every five seconds: each keeps its connection.
  const limits = { requestTimeout: 10_000, headersTimeout: 5000, keepAliveTimeout: 8000 };
  const server = tls === undefined ? createServer(limits) : createTlsServer({ ...limits, ...tlsSettings(tls) });
  server.maxConnections = 128;
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    request.resume(); // nobody reads bodies here
    answer(request, response).catch((error: unknown) => {
      // Whoever hung up in the middle of a file is no trouble of ours.
      if (!response.destroyed) onError(error, request.url ?? '');
      response.destroy();
    });
  });
  const port = await bound(server, options);
  return {
    url: `${tls === undefined ? 'http' : 'https'}://${options.host.includes(':') ? `[${options.host}]` : options.host}:${port}`,
    close: () =>
      new Promise((resolve) => {
        const cut = setTimeout(() => server.closeAllConnections(), 1000);
        server.close(() => {
          clearTimeout(cut);
          resolve();
        });
        server.closeIdleConnections();
      }),
  };
}

function bound(server: ReturnType<typeof createServer>, { host, port }: MetricsServerOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    const refused = (error: NodeJS.ErrnoException) => {
      const why = error.code === 'EADDRINUSE' ? 'the port is taken' : error.message;
      const message = `cannot serve metrics on ${host}:${port}: ${why}`;
      const hint = 'Choose another port for metrics, or 0 for a free one.';
      reject(new RopeteamError('ENVIRONMENT.PROCESS', { process: 'metrics server' }, message, { hint, cause: error }));
    };
    server.once('error', refused);
    server.listen({ host, port }, () => {
      server.off('error', refused);
      resolve((server.address() as AddressInfo).port); // an IP server's address is never a pipe's name
    });
  });
}

/** A page in a tab that sleeps is let go of; when it wakes, it comes back and goes on where it was. */
const SLOW_READER_MS = 15_000;
/** Pages that are open; scrapes and probes have the rest of the connections. */
const MOST_STREAMS = 64;

const securityHeaders = {
  'Content-Security-Policy': "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cache-Control': 'no-store',
} as const;

function tlsSettings({ authority: ca, certificate: cert, key }: ServerCertificate) {
  // A certificate is one way to sign in; browsers and probes come without.
  const signIn = { requestCert: true, rejectUnauthorized: false } as const;
  return { ca, cert, key, minVersion: 'TLSv1.3', handshakeTimeout: 5000, ...signIn } as const;
}

function refuse(response: ServerResponse, verdict: Exclude<Verdict, { kind: 'allowed' }>): void {
  const [status, words, headers = {}] = refusals(verdict);
  send(response, status, text(`${words}\n`), headers);
}

function refusals(
  verdict: Exclude<Verdict, { kind: 'allowed' }>,
): readonly [number, string, Readonly<Record<string, string>>?] {
  switch (verdict.kind) {
    case 'unknown':
      return [401, 'sign in with a token or a certificate', { 'WWW-Authenticate': 'Basic realm="ropeteam"' }];
    case 'forbidden':
      return [403, 'not for this role'];
    case 'wait':
      return [429, 'too many wrong tokens', { 'Retry-After': String(verdict.seconds) }];
    default:
      return verdict satisfies never;
  }
}

function send(
  response: ServerResponse,
  status: number,
  page: Page,
  headers: Readonly<Record<string, string>> = {},
): void {
  const body = Buffer.from(page.body);
  response.writeHead(status, {
    ...securityHeaders,
    ...headers,
    'Content-Type': page.contentType,
    'Content-Length': body.length,
  });
  response.end(body); // Node leaves the body out for HEAD
}

/** @returns false when the signal came first */
function drained(response: ServerResponse, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('drain', done);
      signal.removeEventListener('abort', done);
      resolve(!signal.aborted);
    };
    response.once('drain', done);
    signal.addEventListener('abort', done, { once: true });
  });
}

function text(body: string): Page {
  return { contentType: 'text/plain; charset=utf-8', body };
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
}

/**
 * A page on the web can point a name of its own at 127.0.0.1 and read us through its visitor's browser (DNS rebinding);
 * the browser then sends that name.
 */
function namesLoopback(header: string | undefined): boolean {
  const host = /^(\[[^\]]*\]|[^:]*)(?::\d+)?$/.exec(header ?? '')?.[1] ?? '';
  return isLoopback(host.replace(/^\[|\]$/g, ''));
}

function warn(error: unknown, path: string): void {
  const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.emitWarning(`${path} could not be served: ${reason}`, 'RopeteamWarning');
}
