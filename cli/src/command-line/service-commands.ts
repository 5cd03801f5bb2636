/** `coordinator` and `worker`: their options and help. The services check the values themselves, as containers need. */
import { type Command, Option } from 'commander';
import type { LogLevel } from '#telemetry';
import { GRAIN_CHOICES } from '#training';
import type { ServiceKind } from '../cluster/service-process.js';
import type { Context } from '../context.js';
import { DEFAULT_HTTP_PORT, DEFAULT_PORT } from '../default-ports.js';
import {
  addCommand,
  dataCacheSizeOption,
  dataMemoryOption,
  kernelChoices,
  type OnExit,
  redisOption,
  SERVICE,
  tlsOption,
} from './options.js';

interface ServiceFlags {
  readonly redisUrl?: string;
  readonly insecure?: boolean;
  readonly [name: string]: string | boolean | undefined;
}

export function addServiceCommands(program: Command, context: Context, onExit: OnExit): void {
  const coordinator = addCommand(program, 'coordinator', {
    group: SERVICE,
    description: 'queues, averages, saves, serves metrics',
    example: 'coordinator --host 0.0.0.0 --tls certs/coordinator --runs /data/runs',
  })
    .option('--host <address>', 'address to listen on (default: 127.0.0.1)')
    .option('--port <n>', `gRPC port (default: ${DEFAULT_PORT})`)
    .option('--http-host <address>', 'address of the live page (default: --host, with --tls 127.0.0.1)')
    .option('--join-tokens <dir>', 'let in only workers with a token of `certs token`, kept here')
    .option('--http-port <n>', `port of live page, probes and metrics (default: ${DEFAULT_HTTP_PORT})`)
    .option('--runs <dir>', 'folder of the runs (default: runs)')
    .option('--data-cache <dir>', 'folder of prepared data (default: .cache in the folder of the runs)')
    .addOption(dataCacheSizeOption())
    .option('--data-root <dir>', 'read data below it in place, instead of having them uploaded')
    .option('--copy-runs-to <url>', 'keep a copy of every run in object storage, s3://bucket/folder')
    .option('--threads <n>', 'kernel threads for averaging (default: 1)')
    .addOption(wordOption('--grain <choice>', 'blocks of each step, or runs of whole steps', GRAIN_CHOICES, 'auto'));
  const worker = addCommand(program, 'worker', {
    group: SERVICE,
    description: 'computes gradients for a coordinator',
    example: 'worker --coordinator coordinator:50051 --threads 4',
  })
    .option('--coordinator <host:port>', `gRPC address of the coordinator (default: 127.0.0.1:${DEFAULT_PORT})`)
    .option('--threads <n>', 'kernel threads (default: 1)')
    .addOption(dataMemoryOption())
    .option('--metrics-host <address>', 'address its metrics and probes listen on (default: 127.0.0.1)')
    .option('--metrics-port <n>', 'port of its metrics and probes (default: any free one)');
  finish('coordinator', coordinator, context, onExit);
  finish('worker', worker, context, onExit);
}

/** What both have in common. */
function finish(kind: ServiceKind, command: Command, context: Context, onExit: OnExit): void {
  command
    .addOption(wordOption('--kernel <name>', 'what computes', kernelChoices, 'wasm'))
    .option('--name <name>', 'name in logs and events, unique in the cluster')
    .option('--namespace <name>', 'prefix of all keys in Redis, one for a cluster (default: ropeteam)')
    .addOption(wordOption('--log-level <level>', 'what is logged', logLevels, 'ROPETEAM_LOG_LEVEL, or info'))
    .addOption(tlsOption())
    .option('--http-tokens <dir>', 'folder of tokens that its pages and metrics ask for')
    .option('--insecure', 'go beyond this machine in plaintext, in a network you trust')
    .addOption(redisOption())
    .action(async ({ redisUrl, ...flags }: ServiceFlags) => {
      const { runService } = await import('../commands/service.js');
      onExit(await runService(kind, asArguments(flags), redisUrl, context));
    });
}

/** One of a few words. What is taken otherwise, the service decides: it may be in its environment. */
function wordOption(flags: string, description: string, words: readonly string[], otherwise: string): Option {
  return new Option(flags, description).choices(words).default(undefined, otherwise);
}

/** Written out, so that `--help` need not load the logger; the type keeps it complete. */
const logLevels = Object.keys({
  debug: true,
  info: true,
  warn: true,
  error: true,
  silent: true,
} satisfies Record<LogLevel, true>);

/** `{ httpPort: '0' }` back to `--http-port 0`. */
function asArguments(flags: Readonly<Record<string, string | boolean | undefined>>): readonly string[] {
  return Object.entries(flags).flatMap(([name, value]) =>
    value === undefined || value === false ? [] : [flagOf(name), ...(value === true ? [] : [value])],
  );
}

function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}
