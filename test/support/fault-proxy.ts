/** A TCP proxy that is the network between two parts: it can be cut, held, slowed, left half open, and led elsewhere. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** As seen from whoever connects to the proxy. */
export type Direction = 'to-target' | 'from-target';

export interface Weather {
  /** Every piece arrives so much later. */
  readonly delayMs?: number;
  /** Of each connection, in each direction. */
  readonly bytesPerSecond?: number;
}

export interface FaultProxy extends AsyncDisposable {
  /** `host:port` to connect to. */
  readonly address: string;
  /** Connections that were let through so far. */
  readonly connections: number;
  /** Where new connections lead from now on. */
  lead(target: string): void;
  /** Breaks every connection, as a reset does: both ends are told. */
  cut(): void;
  /**
   * A partition: nothing goes in these directions, not even the end of a connection, until `heal`. What was sent meanwhile
   * arrives then, as TCP's retransmission has it.
   */
  hold(...directions: readonly Direction[]): void;
  heal(): void;
  /** One end of every connection is gone and the other is never told: TCP's half-open connections. */
  lose(end: 'client' | 'target'): void;
  setWeather(weather: Weather): void;
}

interface Pipe {
  readonly direction: Direction;
  readonly from: Socket;
  readonly to: Socket;
}

interface Link {
  readonly client: Socket;
  readonly target: Socket;
  /** One end was lost: the other hears of nothing. */
  halfOpen: boolean;
}

export async function openFaultProxy(firstTarget: string): Promise<FaultProxy> {
  const links = new Set<Link>();
  const held = new Set<Direction>();
  let healed: () => void = () => undefined;
  let healing: Promise<void> = Promise.resolve();
  let target = firstTarget;
  let weather: Weather = {};
  let connections = 0;

  /** Carries one direction: bytes, then the end, each when the weather and the partition let it. */
  const carry = async ({ direction, from, to }: Pipe, link: Link): Promise<void> => {
    try {
      for await (const piece of from as AsyncIterable<Buffer>) {
        const { delayMs = 0, bytesPerSecond } = weather;
        const waitMs = delayMs + (bytesPerSecond === undefined ? 0 : (1000 * piece.length) / bytesPerSecond);
        if (waitMs > 0) await delay(waitMs);
        while (held.has(direction)) await healing;
        if (link.halfOpen || to.destroyed) return;
        if (!to.write(piece)) await Promise.race([once(to, 'drain'), once(to, 'close')]);
      }
    } catch {
      // Either end was reset: told to the other one below, like any end.
    }
    while (held.has(direction)) await healing;
    if (!link.halfOpen) to.destroy();
  };

  const server = createServer((client) => {
    const colon = target.lastIndexOf(':');
    const far = connect({ host: target.slice(0, colon), port: Number(target.slice(colon + 1)), noDelay: true });
    client.setNoDelay(true);
    connections++;
    const link: Link = { client, target: far, halfOpen: false };
    links.add(link);
    for (const socket of [client, far]) socket.on('error', () => undefined); // `carry` meets it too
    const pipes: readonly Pipe[] = [
      { direction: 'to-target', from: client, to: far },
      { direction: 'from-target', from: far, to: client },
    ];
    void Promise.all(pipes.map((pipe) => carry(pipe, link))).finally(() => {
      if (!link.halfOpen) links.delete(link);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('a TCP server has no port');

  const heal = (): void => {
    held.clear();
    healed();
  };
  const cut = (): void => {
    for (const link of links) {
      link.client.destroy();
      link.target.destroy();
    }
    links.clear();
  };
  return {
    address: `127.0.0.1:${bound.port}`,
    get connections() {
      return connections;
    },
    lead: (next) => {
      target = next;
    },
    cut,
    hold: (...directions) => {
      heal();
      healing = new Promise((resolve) => {
        healed = resolve;
      });
      for (const direction of directions) held.add(direction);
    },
    heal,
    lose: (end) => {
      for (const link of links) {
        link.halfOpen = true;
        link[end].destroy();
        link[end === 'client' ? 'target' : 'client'].resume();
      }
    },
    setWeather: (next) => {
      weather = next;
    },
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close');
      server.close();
      heal();
      cut();
      await closed;
    },
  };
}
