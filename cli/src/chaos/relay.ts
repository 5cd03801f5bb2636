/** A TCP relay on this machine whose connections can be cut: the network between workers and coordinator. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

export interface Relay extends AsyncDisposable {
  /** Where to connect instead of `target` (`host:port`). */
  to(target: string): string;
  /** Breaks every connection there is; new ones are let through. Returns how many there were. */
  cut(): number;
}

export async function openRelay(): Promise<Relay> {
  const pairs = new Set<readonly [Socket, Socket]>();
  let upstream: { readonly host: string; readonly port: number } | undefined;
  const server = createServer((near) => {
    if (upstream === undefined) return void near.destroy();
    const far = connect({ ...upstream, noDelay: true });
    near.setNoDelay(true);
    const pair = [near, far] as const;
    pairs.add(pair);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.pipe(to);
      // An end that breaks is told to the other one by breaking it too.
      from.on('error', () => to.destroy());
      from.on('close', () => {
        to.destroy();
        pairs.delete(pair);
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('a TCP server has no port');
  const cut = (): number => {
    const broken = [...pairs];
    for (const [near, far] of broken) {
      near.destroy();
      far.destroy();
    }
    return broken.length;
  };
  return {
    to: (target) => {
      const colon = target.lastIndexOf(':');
      upstream = { host: target.slice(0, colon), port: Number(target.slice(colon + 1)) };
      return `127.0.0.1:${bound.port}`;
    },
    cut,
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close');
      server.close();
      cut();
      await closed;
    },
  };
}
