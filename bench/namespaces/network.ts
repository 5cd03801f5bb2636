/**
 * A star of network namespaces: one for the coordinator, one for each worker, each with an address of its own on a bridge that
 * has a namespace too. Nothing of it touches the machine's own network, and all of it goes when it is disposed.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface Host {
  /** Of its namespace: `ip netns exec NAME …`. */
  readonly name: string;
  readonly address: string;
}

export interface Network extends AsyncDisposable {
  readonly prefix: string;
  readonly coordinator: Host;
  readonly workers: readonly Host[];
}

/** Within it packets may come at line rate: more than the 64 KiB that a veth hands over at once, little beside 0.1 s. */
const BURST = '256kb';
/** A packet that would wait longer is dropped, as by a switch with a small buffer. */
const LATENCY = '50ms';
const DEVICE = 'eth0';

/** What keeps this machine from having such a network; undefined when nothing does. */
export async function missing(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'it needs root, for network namespaces';
  try {
    await run('ip', ['-V']);
    await run('tc', ['-V']);
    await run('redis-server', ['--version']);
  } catch (error) {
    const program = error instanceof Error && 'path' in error ? String(error.path) : 'ip, tc or redis-server';
    return `it needs ${program} on the PATH (Debian: iproute2, redis-server)`;
  }
  const probe = `ropeteam-${process.pid}`;
  try {
    await run('ip', ['netns', 'add', probe]);
    await run('ip', ['netns', 'del', probe]);
    return undefined;
  } catch (error) {
    return `this machine allows no network namespaces: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** The names of a network, by its prefix. */
export function hostsOf(prefix: string, workers: number): Omit<Network, keyof AsyncDisposable> {
  const host = (name: string, last: number): Host => ({ name: `${prefix}-${name}`, address: `10.77.0.${last}` });
  return {
    prefix,
    coordinator: host('c', 1),
    workers: Array.from({ length: workers }, (_, index) => host(`w${index}`, 10 + index)),
  };
}

export async function openNetwork(workers: number): Promise<Network> {
  const names = hostsOf(`ropeteam${process.pid}`, workers);
  const hub = hubOf(names.prefix);
  const hosts = [names.coordinator, ...names.workers];
  const close = async (): Promise<void> => {
    // With a namespace go its interfaces, and with one end of a veth the other.
    for (const name of [...hosts.map((host) => host.name), hub])
      await run('ip', ['netns', 'del', name]).catch(() => undefined);
  };
  try {
    await run('ip', ['netns', 'add', hub]);
    await run('ip', ['-n', hub, 'link', 'add', 'bridge', 'type', 'bridge']);
    await run('ip', ['-n', hub, 'link', 'set', 'bridge', 'up']);
    for (const host of hosts) await plug(host, hub);
  } catch (error) {
    await close();
    throw error;
  }
  return { ...names, [Symbol.asyncDispose]: close };
}

/** Both directions of every host's link carry so much at the most, apart from each other; undefined: as much as goes. */
export async function limit(prefix: string, workers: number, rate: string | undefined): Promise<void> {
  const { coordinator, workers: others } = hostsOf(prefix, workers);
  for (const host of [coordinator, ...others]) {
    await shape(host.name, DEVICE, rate);
    await shape(hubOf(prefix), portOf(host), rate);
  }
}

const hubOf = (prefix: string): string => `${prefix}-hub`;
const portOf = ({ address }: Host): string => `port${address.split('.').at(-1)}`;

async function plug(host: Host, hub: string): Promise<void> {
  const { name, address } = host;
  const port = portOf(host);
  await run('ip', ['netns', 'add', name]);
  await run('ip', ['-n', name, 'link', 'add', DEVICE, 'type', 'veth', 'peer', 'name', port, 'netns', hub]);
  await run('ip', ['-n', hub, 'link', 'set', port, 'master', 'bridge', 'up']);
  await run('ip', ['-n', name, 'address', 'add', `${address}/24`, 'dev', DEVICE]);
  await run('ip', ['-n', name, 'link', 'set', DEVICE, 'up']);
  await run('ip', ['-n', name, 'link', 'set', 'lo', 'up']);
}

async function shape(namespace: string, device: string, rate: string | undefined): Promise<void> {
  const tc = ['-n', namespace, 'qdisc'];
  if (rate !== undefined) {
    await run('tc', [...tc, 'replace', 'dev', device, 'root', 'tbf', 'rate', rate, 'burst', BURST, 'latency', LATENCY]);
    return;
  }
  const { stdout } = await run('tc', [...tc, 'show', 'dev', device]);
  if (stdout.includes('tbf')) await run('tc', [...tc, 'del', 'dev', device, 'root']);
}
