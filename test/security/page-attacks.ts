/** Live page and metrics, asked by who may not, and by who means harm. */
import { request } from 'node:http';
import { createConnection, type Socket } from 'node:net';
import { Queue } from 'bullmq';
import { fateOf } from './raw-connections.js';
import { ATTACKER, type Attack, type Target } from './target.js';

interface Ask {
  readonly path: string;
  readonly token?: string;
  readonly host?: string;
  readonly method?: string;
  readonly body?: Uint8Array;
  readonly from?: string;
}

/** Resolves with the status. */
function ask({ http }: Target, { path, token, host, method = 'GET', body, from = ATTACKER }: Ask): Promise<string> {
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
  return new Promise((resolve) => {
    const headers = { ...authorization, ...(host === undefined ? {} : { host }) };
    const call = request(`${http}/`, { path, method, headers, localAddress: from, agent: false }, (response) => {
      response.resume();
      resolve(String(response.statusCode));
    });
    call.on('error', () => resolve('cut'));
    call.end(body);
  });
}

async function raw({ http }: Target, bytes: string | Uint8Array): Promise<Socket> {
  const { hostname, port } = new URL(http);
  const socket = createConnection({ host: hostname, port: Number(port), localAddress: ATTACKER });
  socket.on('error', () => socket.destroy());
  socket.write(bytes);
  return socket;
}

const summary = (results: readonly string[]): string => {
  const counts = new Map<string, number>();
  for (const result of results) counts.set(result, (counts.get(result) ?? 0) + 1);
  return [...counts].map(([result, count]) => `${count} × ${result}`).join(', ');
};

const times = <Result>(count: number, make: () => Promise<Result>): Promise<Result[]> =>
  Promise.all(Array.from({ length: count }, make));

export const pageAttacks: readonly Attack[] = [
  { name: 'S23 metrics without a token', result: '401', run: (t) => ask(t, { path: '/metrics' }) },
  {
    name: 'S23 metrics with a viewer’s token',
    result: '403',
    run: (t) => ask(t, { path: '/metrics', token: t.tokens.viewer }),
  },
  {
    name: 'S6 the page with a scraper’s token',
    result: '403',
    run: (t) => ask(t, { path: '/', token: t.tokens.metrics }),
  },
  {
    name: 'S6 the events of a run without a token',
    result: '401',
    run: (t) => ask(t, { path: '/runs/digits/events' }),
  },
  {
    name: 'S26 a name of the web that points here',
    result: '403',
    run: (t) => ask(t, { path: '/', token: t.tokens.viewer, host: 'evil.example' }),
  },
  {
    name: 'B59 a path out of the pages',
    result: '404',
    run: (t) => ask(t, { path: '/page/../../../etc/passwd', token: t.tokens.viewer }),
  },
  {
    name: 'B59 ten megabytes posted',
    result: 'refused',
    run: async (t) => {
      const posted = { path: '/', token: t.tokens.viewer, method: 'POST', body: Buffer.alloc(10 << 20) };
      const answer = await ask(t, posted);
      // Cut while it still sends, it may not get to read the 405.
      return answer === '405' || answer === 'cut' ? 'refused' : answer;
    },
  },
  {
    name: 'S8 a thousand wrong tokens',
    result: 'a handful looked at',
    run: async (t) => {
      const wrong = { path: '/metrics', token: 'x'.repeat(64), from: '127.0.0.77' };
      const results: string[] = [];
      for (let batch = 0; batch < 40; batch++) results.push(...(await times(25, () => ask(t, wrong))));
      const looked = results.filter((result) => result === '401').length;
      const known = results.every((result) => result === '401' || result === '429' || result === 'cut');
      return known && looked >= 5 && looked < 12 ? 'a handful looked at' : summary(results);
    },
  },
  {
    name: 'S12 a hundred requests whose headers never end',
    result: '100 × cut',
    run: async (t) =>
      summary(
        await times(100, async () => await fateOf(await raw(t, 'GET / HTTP/1.1\r\nHost: localhost\r\nX-'), 20_000)),
      ),
  },
  {
    name: 'S17 a header of a megabyte',
    result: 'cut',
    run: async (t) => await fateOf(await raw(t, `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'y'.repeat(1 << 20)}`)),
  },
  {
    name: 'S25 two hundred scrapes at once',
    result: 'answered, or no room',
    run: async (t) => {
      const results = await times(200, () => ask(t, { path: '/metrics', token: t.tokens.metrics }));
      const odd = results.filter((result) => result !== '200' && result !== 'cut');
      return odd.length === 0 && results.includes('200') ? 'answered, or no room' : summary(results);
    },
  },
  {
    name: 'B60 eighty pages that never read',
    result: 'the page still answers',
    run: async (t) => {
      const { body } = await status(t);
      const run = (JSON.parse(body) as { runs: { run: string }[] }).runs[0]?.run ?? '';
      const head = `GET /runs/${run}/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${t.tokens.viewer}\r\n\r\n`;
      const sockets = await times(80, () => raw(t, head));
      const answer = await status(t);
      for (const socket of sockets) socket.destroy();
      return answer.code === 200 ? 'the page still answers' : String(answer.code);
    },
  },
  {
    name: 'B61 work in the queue that is none of ours',
    result: 'put there',
    run: async ({ redis }) => {
      const { hostname: host, port, password } = new URL(redis.url);
      const connection = { host, port: Number(port), password };
      await using queue = closing(new Queue('gradients', { connection, prefix: '{ropeteam}' }));
      await queue.addBulk([
        { name: 'x', data: '__proto__' },
        { name: 'gradient', data: { run: '../..', step: -1, block: { begin: 1e300 } } },
        { name: 'gradient', data: { __proto__: { polluted: true }, constructor: { prototype: 1 } } },
      ]);
      return 'put there';
    },
  },
];

function closing(queue: Queue): Queue & AsyncDisposable {
  return Object.assign(queue, { [Symbol.asyncDispose]: () => queue.close() });
}

async function status(t: Target): Promise<{ code: number; body: string }> {
  const headers = { authorization: `Bearer ${t.tokens.viewer}` };
  const response = await fetch(`${t.http}/api/status`, { headers });
  return { code: response.status, body: await response.text() };
}
