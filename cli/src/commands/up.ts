/** `ropeteam up`: the cluster of `train`, kept running for jobs from other terminals until Ctrl-C. */
import { createServer } from 'node:net';
import { resolve } from 'node:path';
import type { KernelChoice } from '#engine';
import { RopeteamError } from '#training';
import { type Cluster, type ClusterOptions, type GrainChoice, openCluster } from '../cluster/cluster.js';
import type { Context } from '../context.js';
import { Interrupted, untilAborted } from '../interrupts.js';
import { plural } from '../plain-numbers.js';
import type { Paint } from '../terminal.js';

export interface UpOptions {
  readonly workers: number;
  readonly threads?: number;
  readonly kernel: KernelChoice;
  readonly grain: GrainChoice;
  readonly out: string;
  readonly port: number;
  readonly httpPort: number;
  readonly redisUrl?: string;
  readonly dataMemory?: string;
  readonly dataCacheSize?: string;
  readonly json: boolean;
  readonly verbose: boolean;
}

/** Returns the exit code: that of the interrupt that ended it. @throws RopeteamError when it cannot start or go on */
export async function up(options: UpOptions, context: Context): Promise<number> {
  const { terminal, environment, interrupts } = context;
  await requireFreePort(options.port, '--port');
  await requireFreePort(options.httpPort, '--http-port');
  const clusterOptions: ClusterOptions = {
    workers: options.workers,
    threads: options.threads,
    kernel: options.kernel,
    grain: options.grain,
    runsDirectory: resolve(context.directory, options.out),
    dataMemory: options.dataMemory,
    dataCacheSize: options.dataCacheSize,
    redisUrl: options.redisUrl ?? environment.redisUrl,
    port: options.port,
    httpPort: options.httpPort,
    only: undefined,
    environment,
    onNotice: (text) => terminal.say(text),
    onLog: options.verbose ? (text) => terminal.say(text) : undefined,
  };
  await using cluster = await openCluster(clusterOptions, interrupts.orderly);
  interrupts.immediate.addEventListener('abort', () => cluster.kill(), { once: true });
  const facts = {
    ...addresses(cluster),
    runs: clusterOptions.runsDirectory,
    workers: options.workers,
    redis: redisOf(cluster),
  };
  if (options.json) terminal.result(JSON.stringify(facts));
  else terminal.result(renderUp(facts, environment.commandName, terminal.paintResult));
  try {
    return await untilAborted<never>(cluster.broken, interrupts.orderly);
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    terminal.say('stopping workers, coordinator and Redis; Ctrl-C again to leave at once');
    return error.exitCode;
  }
}

export interface UpFacts {
  readonly grpc: string;
  readonly statusPage: string;
  readonly metrics: string;
  readonly runs: string;
  readonly workers: number;
  readonly redis: { readonly engine: string; readonly version: string; readonly source: string };
}

/** The box `up` prints once everything is ready. */
export function renderUp(facts: UpFacts, commandName: string, paint: Paint): string {
  const rows: readonly (readonly [string, string])[] = [
    ['gRPC', facts.grpc],
    ['status', facts.statusPage],
    ['metrics', facts.metrics],
    ['runs', facts.runs],
    ['workers', plural(facts.workers, 'process', 'processes')],
    ['Redis', `${facts.redis.engine} ${facts.redis.version} (${facts.redis.source})`],
  ];
  const title = ' ropeteam is up ';
  const width = Math.max(...rows.map(([, value]) => value.length + 12), title.length + 4);
  return [
    `╭─${paint('bold', title)}${'─'.repeat(width - title.length - 1)}╮`,
    ...rows.map(([name, value]) => `│ ${paint('dim', name.padEnd(9))} ${value.padEnd(width - 12)} │`),
    `╰${'─'.repeat(width)}╯`,
    'For this machine only: loopback addresses, no encryption, no sign-in.',
    `From another terminal:  ${commandName} submit JOB.yaml --watch --coordinator ${facts.grpc}`,
    'Ctrl-C stops everything that was started here; finished models stay in the runs folder.',
  ].join('\n');
}

function addresses(cluster: Cluster) {
  return { grpc: cluster.grpc, statusPage: `${cluster.http}/`, metrics: `${cluster.http}/metrics` };
}

function redisOf({ redis }: Cluster) {
  return { engine: redis.engine, version: redis.version, source: redis.source };
}

/** Binds the port for a moment: a clear word here instead of a service that dies. */
async function requireFreePort(port: number, option: string): Promise<void> {
  if (port === 0) return;
  await new Promise<void>((free, taken) => {
    const probe = createServer();
    probe.once('error', (cause) =>
      taken(
        new RopeteamError(
          'ENVIRONMENT.PROCESS',
          { process: 'coordinator' },
          `port ${port} of 127.0.0.1 cannot be used: ${cause.message}`,
          {
            hint: `end what listens there, or choose another port: ${option} ${port + 1} (0: any free one)`,
            cause,
          },
        ),
      ),
    );
    probe.listen({ port, host: '127.0.0.1', exclusive: true }, () => probe.close(() => free()));
  });
}
