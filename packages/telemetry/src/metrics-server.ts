/** A small HTTP server for /metrics, /healthz, /readyz and whatever pages the service adds. Read only. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { RopeteamError } from '#training';
import type { MetricsRegistry } from './registry.js';

export interface Page {
  readonly contentType: string;
  readonly body: string | Uint8Array;
}

export interface MetricsServerOptions {
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  readonly registry: MetricsRegistry;
  /** More pages by path, for example `/`. Scripts and styles need paths of their own: inline ones are blocked. */
  readonly routes?: Readonly<Record<string, () => Page | Promise<Page>>>;
  /** What /healthz answers: 200 or 503. Default: 200 while the event loop turns. */
  readonly healthy?: () => boolean;
  /** What /readyz answers, likewise. Default: as /healthz. */
  readonly ready?: () => boolean;
  /** Told when a page could not be made; the reader gets a bare 500. Default: a process warning. */
  readonly onError?: (error: unknown, path: string) => void;
}

export interface MetricsServer {
  /** `http://host:port` */
  readonly url: string;
  /** Lets answers under way finish, cuts what is left after a second, and resolves when the port is free. */
  close(): Promise<void>;
}

/** Throws ENVIRONMENT.PROCESS if the port cannot be had. */
export async function startMetricsServer(options: MetricsServerOptions): Promise<MetricsServer> {
  const { registry, healthy = () => true, ready = healthy, onError = warn } = options;
  const probes: Readonly<Record<string, () => boolean>> = { '/healthz': healthy, '/readyz': ready };
  const pages: Readonly<Record<string, () => Page | Promise<Page>>> = {
    ...options.routes,
    '/metrics': async () => ({ contentType: registry.contentType, body: await registry.text() }),
  };
  const onLoopback = isLoopback(options.host);

  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    if (onLoopback && !namesLoopback(request.headers.host)) return send(response, 403, text('wrong Host header\n'));
    const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
    const make = Object.hasOwn(pages, path) ? pages[path] : undefined;
    const probe = Object.hasOwn(probes, path) ? probes[path] : undefined;
    if (make === undefined && probe === undefined) return send(response, 404, text('not found\n'));
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return send(response, 405, text('only GET and HEAD\n'), { Allow: 'GET, HEAD' });
    }
    if (make === undefined)
      return probe?.() ? send(response, 200, text('ok\n')) : send(response, 503, text('not ok\n'));
    let page: Page;
    try {
      page = await make();
    } catch (error) {
      onError(error, path);
      return send(response, 500, text('this page could not be made; the log says why\n'));
    }
    send(response, 200, page);
  };

  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5000, keepAliveTimeout: 5000 });
  server.maxConnections = 64;
  server.on('request', (request, response) => {
    request.resume(); // nobody reads bodies here
    answer(request, response).catch((error: unknown) => {
      onError(error, request.url ?? '');
      response.destroy();
    });
  });
  const port = await bound(server, options);
  return {
    url: `http://${options.host.includes(':') ? `[${options.host}]` : options.host}:${port}`,
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

const securityHeaders = {
  'Content-Security-Policy': "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cache-Control': 'no-store',
} as const;

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
