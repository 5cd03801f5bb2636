/** S3-compatible storage for tests: a server process of its own, and a connection to it that can be cut in the middle. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { S3mini } from 's3mini';

const PROGRAM = createRequire(import.meta.url).resolve('s3rver/bin/s3rver.js');
/** The server's one account. */
export const CREDENTIALS = { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' };
export const BUCKET = 'rows';

export interface ObjectStorage extends AsyncDisposable {
  /** Without any fault. */
  readonly endpoint: string;
  /** Through the connection that `failAfter` cuts. */
  readonly frail: string;
  /** Every connection breaks when it has carried so many bytes of answers; Infinity: none does. */
  failAfter(bytes: number): void;
  /** Connections that were cut so far. */
  readonly cuts: number;
  put(key: string, bytes: Uint8Array): Promise<void>;
  get(key: string): Promise<Uint8Array>;
  /** Keys that begin so. */
  list(prefix: string): Promise<readonly string[]>;
}

export async function startObjectStorage(): Promise<ObjectStorage> {
  const directory = await mkdtemp(join(tmpdir(), 'ropeteam-objects-'));
  const words = ['-d', directory, '-a', '127.0.0.1', '-p', '0', '--configure-bucket', BUCKET];
  const server = spawn(process.execPath, ['--no-deprecation', PROGRAM, ...words], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const port = await portOf(server);
  const endpoint = `http://127.0.0.1:${port}`;
  const store = new S3mini({ ...CREDENTIALS, endpoint: `${endpoint}/${BUCKET}`, region: 'us-east-1' });
  let budget = Number.POSITIVE_INFINITY;
  let cuts = 0;
  const open = new Set<Socket>();
  const relay = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    let carried = 0;
    open.add(near);
    near.pipe(far);
    far.on('data', (bytes: Buffer) => {
      if (near.destroyed || near.writableEnded) return;
      const room = budget - carried;
      carried += bytes.length;
      if (bytes.length <= room) return void near.write(bytes);
      cuts++;
      far.destroy();
      near.end(bytes.subarray(0, Math.max(0, room)), () => near.destroy());
    });
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      one.on('error', () => other.destroy());
      one.on('close', () => {
        other.destroy();
        open.delete(near);
      });
    }
  });
  relay.listen(0, '127.0.0.1');
  await once(relay, 'listening');
  const bound = relay.address();
  if (bound === null || typeof bound === 'string') throw new Error('a TCP server has no port');
  return {
    endpoint,
    frail: `http://127.0.0.1:${bound.port}`,
    failAfter: (bytes) => {
      budget = bytes;
    },
    get cuts() {
      return cuts;
    },
    put: async (key, bytes) => {
      await store.putObject(key, bytes);
    },
    get: async (key) => new Uint8Array((await store.getObjectArrayBuffer(key)) ?? new ArrayBuffer(0)),
    list: async (prefix) => ((await store.listObjects('/', prefix)) ?? []).map(({ Key }) => Key),
    [Symbol.asyncDispose]: async () => {
      for (const socket of open) socket.destroy();
      relay.close();
      const gone = once(server, 'exit');
      server.kill();
      await gone;
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** It says where it listens, on a line that ends with the port. */
async function portOf(server: ChildProcess): Promise<number> {
  if (server.stdout === null) throw new TypeError('the server has no output to read');
  for await (const line of createInterface({ input: server.stdout })) {
    const port = Number(/listening on .*:(\d+)/.exec(line)?.[1]);
    if (port > 0) {
      server.stdout.resume();
      return port;
    }
  }
  throw new Error('the server of objects ended before it listened');
}
