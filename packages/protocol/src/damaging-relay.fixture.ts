import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** A TCP relay in front of a server that can stop, break, or damage what passes. */
export async function damagingRelay(target: string) {
  const pairs: { client: Socket; upstream: Socket }[] = [];
  let pattern: Uint8Array | undefined;
  const server = createServer((client) => {
    const upstream = connect(Number(target.split(':')[1]), '127.0.0.1');
    pairs.push({ client, upstream });
    client.on('data', (bytes: Buffer) => {
      const at = pattern === undefined ? -1 : bytes.indexOf(pattern);
      if (at >= 0) bytes[at] = (bytes[at] ?? 0) ^ 1;
      if (at >= 0) pattern = undefined;
      upstream.write(bytes);
    });
    upstream.on('data', (bytes: Buffer) => client.write(bytes));
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      from.on('error', () => to.destroy());
      from.on('close', () => to.destroy());
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const bound = server.address();
  assert.ok(bound !== null && typeof bound === 'object');
  const cut = () => {
    for (const { client, upstream } of pairs) {
      client.destroy();
      upstream.destroy();
    }
  };
  return {
    close: async () => {
      cut();
      server.close();
      await once(server, 'close');
    },
    address: `127.0.0.1:${bound.port}`,
    damageNext: (bytes: Uint8Array) => {
      pattern = bytes;
    },
    cut,
    pause: () => {
      for (const { client, upstream } of pairs) {
        client.pause();
        upstream.pause();
      }
    },
  };
}
