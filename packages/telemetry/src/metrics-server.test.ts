import { request } from 'node:http';
import { connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { type MetricsServerOptions, startMetricsServer } from './metrics-server.js';
import { createWorkerMetrics } from './worker-metrics.js';

const opened: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

const build = { version: '0.1.0', kernel: 'wasm-simd128/1' };

async function served(options: Partial<MetricsServerOptions> = {}) {
  const registry = createWorkerMetrics(build, 1);
  const server = await startMetricsServer({ host: '127.0.0.1', port: 0, registry, ...options });
  opened.push(() => server.close());
  return server;
}

/** A request with any Host header, which `fetch` would not send. */
function get(url: string, host: string, method = 'GET'): Promise<{ status: number | undefined; body: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method, headers: { host }, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (piece: string) => {
        body += piece;
      });
      response.on('end', () => resolve({ status: response.statusCode, body }));
    });
    outgoing.on('error', reject).end();
  });
}

test('/metrics, /healthz and added pages are served with security headers, everything else is 404 or 405', async () => {
  const { url } = await served({
    routes: { '/': { for: ['viewer'], make: () => ({ contentType: 'text/html', body: '<p>☃' }) } },
  });
  const metrics = await fetch(`${url}/metrics`);
  expect(metrics.status).toBe(200);
  expect(metrics.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
  expect(await metrics.text()).toContain('ropeteam_worker_connected 0');
  expect(metrics.headers.get('x-content-type-options')).toBe('nosniff');
  expect(metrics.headers.get('content-security-policy')).toContain("default-src 'self'");
  expect(await (await fetch(`${url}/?x=1`)).text()).toBe('<p>☃');
  expect(await (await fetch(`${url}/healthz`)).text()).toBe('ok\n');
  for (const path of ['/nothing', '/metrics/', '/__proto__', '/constructor', '/../metrics%00']) {
    expect((await get(`${url}${path}`, 'localhost')).status, path).toBe(404);
  }
  const posted = await fetch(`${url}/metrics`, { method: 'POST', body: 'x' });
  expect([posted.status, posted.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  const head = await fetch(`${url}/metrics`, { method: 'HEAD' });
  expect([head.status, await head.text()]).toEqual([200, '']);
});

test('a server on loopback answers only to names of loopback', async () => {
  const { url } = await served();
  const port = new URL(url).port;
  for (const host of ['127.0.0.1', `127.0.0.1:${port}`, `localhost:${port}`, '[::1]:80']) {
    expect((await get(`${url}/healthz`, host)).status, host).toBe(200);
  }
  for (const host of [
    'evil.example',
    `evil.example:${port}`,
    '127.0.0.1.evil.example',
    'localhost:80:80',
    '10.0.0.1',
  ]) {
    expect((await get(`${url}/healthz`, host)).status, host).toBe(403);
  }
});

test('a service that is alive but not ready says so at /readyz alone', async () => {
  let ready = false;
  const { url } = await served({ ready: () => ready });
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  expect((await fetch(`${url}/readyz`)).status).toBe(503);
  ready = true;
  expect((await fetch(`${url}/readyz`)).status).toBe(200);
});

test('an unhealthy service says 503, and a page that fails says 500 without the reason', async () => {
  const failures: unknown[] = [];
  const { url } = await served({
    healthy: () => false,
    routes: { '/broken': { for: ['viewer'], make: () => Promise.reject(new Error('secret detail')) } },
    onError: (error, path) => failures.push([path, error]),
  });
  expect((await fetch(`${url}/healthz`)).status).toBe(503);
  const broken = await fetch(`${url}/broken`);
  expect([broken.status, await broken.text()]).toEqual([500, expect.not.stringContaining('secret')]);
  expect(failures).toEqual([['/broken', new Error('secret detail')]]);
});

test('a reader of a stream that takes nothing is let go of, and the source of the stream is told', async () => {
  let ended: () => void = () => undefined;
  const over = new Promise<void>((resolve) => {
    ended = resolve;
  });
  async function* endless() {
    try {
      for (let id = 0; ; id++) yield { id, data: 'x'.repeat(1 << 16) };
    } finally {
      ended();
    }
  }
  const { url } = await served({
    slowReaderMs: 50,
    find: (path) => (path === '/stream' ? { for: ['viewer'], kind: 'events', follow: endless } : undefined),
  });
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  opened.push(async () => void socket.destroy());
  socket.write('GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n');
  socket.pause();
  await over;
});

test('a file is served whole, as something to save, and HEAD tells its size alone', async () => {
  let open = 0;
  const file = {
    name: 'r-"quoted"/../ledger.ndjson',
    bytes: 6,
    read: async function* () {
      yield Buffer.from('abc');
      yield Buffer.from('def');
    },
    [Symbol.asyncDispose]: async () => void open--,
  };
  const opens = async () => {
    open++;
    return file;
  };
  const { url } = await served({
    find: (path) => {
      if (path === '/none') return { for: ['viewer'], kind: 'file', open: async () => undefined };
      return path === '/file' ? { for: ['viewer'], kind: 'file', open: opens } : undefined;
    },
  });
  const got = await fetch(`${url}/file`);
  expect(await got.text()).toBe('abcdef');
  expect(got.headers.get('content-disposition')).toBe('attachment; filename="r-_quoted__.._ledger.ndjson"');
  expect(got.headers.get('x-content-type-options')).toBe('nosniff');
  const head = await fetch(`${url}/file`, { method: 'HEAD' });
  expect([head.headers.get('content-length'), await head.text()]).toEqual(['6', '']);
  expect((await fetch(`${url}/file`, { method: 'DELETE' })).status).toBe(405);
  expect((await fetch(`${url}/none`)).status).toBe(404);
  expect(open).toBe(0);
});

test('a port that is taken is an error with a hint, and closing frees it', async () => {
  const server = await served();
  const port = Number(new URL(server.url).port);
  await expect(served({ port })).rejects.toMatchObject({ code: 'ENVIRONMENT.PROCESS', message: /the port is taken/ });
  await server.close();
  await served({ port });
});
