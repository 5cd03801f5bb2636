/** A small HTTP server for /metrics, /healthz, /readyz and whatever pages the service adds. Read only. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { type Role, RopeteamError } from '#training';
import { type HttpTokens, httpAccess, type Verdict } from './http-access.js';
import type { MetricsRegistry } from './registry.js';

export interface Page {
  readonly contentType: string;
  readonly body: string | Uint8Array;
}

/** One event of a stream, by its number. */
export interface StreamedEvent {
  readonly id: number;
  /** One line. */
  readonly data: string;
}

/** Server-sent events at a path, from number `from` until they end or the signal; undefined: there are none. */
export type EventStream = (path: string, from: number, signal: AbortSignal) => AsyncIterable<StreamedEvent> | undefined;

/** A page, and who may see it where somebody must show who they are. */
export interface Route {
  readonly for: readonly Role[];
  make(): Page | Promise<Page>;
}

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
  /** Paths that are none of the pages. */
  readonly stream?: { readonly for: readonly Role[]; readonly open: EventStream };
  /** Whoever reads anything but the probes shows one of them, or a certificate. Absent, without `tls`: all may. */
  readonly tokens?: HttpTokens | undefined;
  /** HTTPS. Clients may show a certificate of the same authority, and its role counts. */
  readonly tls?: ServerCertificate | undefined;
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
  const { registry, healthy = () => true, ready = healthy, onError = warn } = options;
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

  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    if (onLoopback && !namesLoopback(request.headers.host)) return send(response, 403, text('wrong Host header\n'));
    const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
    const route = Object.hasOwn(pages, path) ? pages[path] : undefined;
    const probe = Object.hasOwn(probes, path) ? probes[path] : undefined;
    if (probe === undefined) {
      // What is not there is told to nobody who may not see what is.
      const verdict = verdictOn(request, (route ?? options.stream)?.for ?? ['admin']);
      if (verdict.kind !== 'allowed') return refuse(response, verdict);
    }
    if (route === undefined && probe === undefined) {
      if (options.stream !== undefined && request.method === 'GET' && (await follow(request, response, path))) return;
      return send(response, 404, text('not found\n'));
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return send(response, 405, text('only GET and HEAD\n'), { Allow: 'GET, HEAD' });
    }
    if (route === undefined)
      return probe?.() ? send(response, 200, text('ok\n')) : send(response, 503, text('not ok\n'));
    let page: Page;
    try {
      page = await route.make();
    } catch (error) {
      onError(error, path);
      return send(response, 500, text('this page could not be made; the log says why\n'));
    }
    send(response, 200, page);
  };

  let streams = 0;
  /** @returns false when there is no stream at this path, and nothing was answered */
  const follow = async (request: IncomingMessage, response: ServerResponse, path: string): Promise<boolean> => {
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    if (streams >= MOST_STREAMS) {
      send(response, 503, text('too many pages are open\n'), { 'Retry-After': '10' });
      return true;
    }
    // What a browser that lost its connection has seen last.
    const seen = Number(request.headers['last-event-id'] ?? -1);
    const events = options.stream?.open(path, Number.isSafeInteger(seen) ? seen + 1 : 0, gone.signal);
    if (events === undefined) return false;
    streams++;
    response.on('close', () => streams--);
    response.writeHead(200, { ...securityHeaders, 'Content-Type': 'text/event-stream; charset=utf-8' });
    response.flushHeaders();
    for await (const { id, data } of events) {
      if (gone.signal.aborted) break;
      // A reader that is slow is waited for; it holds up nobody but itself. One that does not read at all makes room.
      if (response.write(`id: ${id}\ndata: ${data}\n\n`)) continue;
      const unread = setTimeout(() => response.destroy(), LONGEST_UNREAD_MS);
      await drained(response, gone.signal);
      clearTimeout(unread);
    }
    response.end();
    return true;
  };

  const limits = { requestTimeout: 10_000, headersTimeout: 5000, keepAliveTimeout: 5000 };
  const server = tls === undefined ? createServer(limits) : createTlsServer({ ...limits, ...tlsSettings(tls) });
  server.maxConnections = 128;
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    request.resume(); // nobody reads bodies here
    answer(request, response).catch((error: unknown) => {
      onError(error, request.url ?? '');
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

/** Milliseconds a page may leave what it was sent unread. */
const LONGEST_UNREAD_MS = 30_000;

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

function drained(response: ServerResponse, gone: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('drain', done);
      gone.removeEventListener('abort', done);
      resolve();
    };
    response.once('drain', done);
    gone.addEventListener('abort', done, { once: true });
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
