/** Everything a worker reads from its flags and its environment, checked before anything is opened. */
import { hostname } from 'node:os';
import { parseArgs } from 'node:util';
import type { KernelName } from '#engine';
import { oneOf, redisUrlFrom, wholeNumber } from '#job';
import { LOG_LEVELS, type LogLevel } from '#telemetry';
import { RopeteamError, type WorkerId, workerId } from '#training';

export interface WorkerConfiguration {
  /** `host:port` */
  readonly coordinator: string;
  /** With its password: never logged. */
  readonly redisUrl: string;
  readonly name: WorkerId;
  /** Kernel threads. */
  readonly threads: number;
  readonly kernel: KernelName;
  /** Prefix of the keys in Redis; the coordinator's must be the same. */
  readonly namespace: string;
  /** Loopback port of this worker's /metrics and /healthz; undefined: none is opened. 0: any free port. */
  readonly metricsPort: number | undefined;
  readonly logLevel: LogLevel;
}

export function readConfiguration(argv: readonly string[], environment: NodeJS.ProcessEnv): WorkerConfiguration {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      coordinator: { type: 'string', default: '127.0.0.1:50051' },
      name: { type: 'string', default: `${hostname()}-${process.pid}`.replaceAll(/[^A-Za-z0-9._-]/g, '-').slice(-64) },
      threads: { type: 'string', default: '1' },
      kernel: { type: 'string', default: 'auto' },
      namespace: { type: 'string', default: 'ropeteam' },
      'metrics-port': { type: 'string' },
      'log-level': { type: 'string', default: 'info' },
    },
  });
  const kernel = oneOf('--kernel', values.kernel, ['auto', 'wasm', 'js']);
  const metricsPort = values['metrics-port'];
  return {
    coordinator: values.coordinator,
    redisUrl: redisUrlFrom(environment),
    name: nameFrom(values.name),
    threads: wholeNumber('--threads', values.threads, 1, 1024),
    // The fastest engine whose bits are the same on every machine.
    kernel: kernel === 'auto' ? 'wasm' : kernel,
    namespace: values.namespace,
    metricsPort: metricsPort === undefined ? undefined : wholeNumber('--metrics-port', metricsPort, 0, 65_535),
    logLevel: oneOf('--log-level', values['log-level'], LOG_LEVELS),
  };
}

function nameFrom(text: string): WorkerId {
  try {
    return workerId(text);
  } catch (cause) {
    const message = `--name: ${cause instanceof Error ? cause.message : String(cause)}`;
    throw new RopeteamError('USAGE.ARGUMENT', { argument: '--name' }, message, { cause });
  }
}
