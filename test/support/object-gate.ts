/** A door in front of object storage that knows conditional writes, as the tests' server does not, and can be shut. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';

export interface ObjectGate extends AsyncDisposable {
  readonly endpoint: string;
  /** Every later request that this gives a status is answered with that, and goes no further; `cut`: with nothing. */
  refuse(choose: (method: string, path: string) => number | 'cut' | undefined): void;
  /** From here on everything passes. */
  open(): void;
  /** Method and path of what has passed. */
  readonly passed: readonly string[];
}

export async function openObjectGate(endpoint: string): Promise<ObjectGate> {
  let choose: (method: string, path: string) => number | 'cut' | undefined = () => undefined;
  const passed: string[] = [];
  /** Objects that are being made: the condition and the write are one step here. */
  const making = new Set<string>();
  const far = new URL(endpoint);

  const send = (method: string, near: IncomingMessage, body: Buffer): Promise<[number, IncomingMessage]> =>
    new Promise((resolve, reject) => {
      const { 'if-none-match': _condition, ...headers } = near.headers;
      const options = { host: far.hostname, port: far.port, path: near.url ?? '/', method, headers };
      const sent = request(options, (answer) => resolve([answer.statusCode ?? 0, answer]));
      sent.on('error', reject);
      sent.end(body);
    });
  const pass = async (near: IncomingMessage, answer: ServerResponse): Promise<void> => {
    const { method = '', url = '' } = near;
    const parts: Buffer[] = [];
    for await (const part of near as AsyncIterable<Buffer>) parts.push(part);
    const verdict = choose(method, url);
    if (verdict === 'cut') return void near.socket.destroy();
    if (verdict !== undefined) return refused(answer, verdict);
    const isNew = method === 'PUT' && near.headers['if-none-match'] === '*';
    if (isNew) {
      if (making.has(url)) return refused(answer, 409);
      making.add(url);
      const { 'content-length': _length, ...headers } = near.headers;
      const [status, found] = await send('HEAD', Object.assign(near, { headers }), Buffer.alloc(0));
      found.resume();
      if (status === 200) {
        making.delete(url);
        return refused(answer, 412);
      }
    }
    const [status, from] = await send(method, near, Buffer.concat(parts));
    passed.push(`${method} ${url}`);
    answer.writeHead(status, from.headers);
    from.pipe(answer);
    await once(from, 'end');
    making.delete(url);
  };
  const server = createServer((near, answer) => {
    pass(near, answer).catch((error: unknown) => answer.destroy(error instanceof Error ? error : undefined));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('a TCP server has no port');
  return {
    endpoint: `http://127.0.0.1:${bound.port}`,
    passed,
    refuse: (next) => {
      choose = next;
    },
    open: () => {
      choose = () => undefined;
    },
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

function refused(answer: ServerResponse, status: number): void {
  answer.writeHead(status, { 'content-type': 'application/xml' });
  answer.end('<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>no</Message></Error>');
}
