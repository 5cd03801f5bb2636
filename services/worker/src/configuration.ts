/** Everything a worker reads from its flags and its environment, checked before anything is opened. */
import { hostname, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { KERNEL_CHOICES, type KernelChoice } from '#engine';
import { byteCount, oneOf, oneOfEither, redisUrlFrom, wholeNumber } from '#job';
import { LOG_LEVELS, type LogLevel } from '#telemetry';
import { DEFAULT_DATA_BYTES, RopeteamError, type WorkerId, workerId } from '#training';

export interface WorkerConfiguration {
  /** `host:port` */
  readonly coordinator: string;
  /** With its password: never logged. */
  readonly redisUrl: string;
  readonly name: WorkerId;
  /** Kernel threads. */
  readonly threads: number;
  /** `auto`: whichever of this machine's the coordinator computes with. */
  readonly kernel: KernelChoice;
  /** The one file to take OpenBLAS from; undefined: the usual names and places. */
  readonly blasLibrary: string | undefined;
  /** Bytes of rows to hold at the most; what a run can't do without is held all the same. */
  readonly dataMemoryBytes: number;
  /** Prefix of the keys in Redis; the coordinator's must be the same. */
  readonly namespace: string;
  /** Where this worker serves /metrics, /healthz and /readyz. */
  readonly metricsHost: string;
  /** 0: any free port. */
  readonly metricsPort: number;
  /** Places to die at, for tests; see the failpoints of `#training`. */
  readonly failpoints: string | undefined;
  /** `NODE_ENV` says so: failpoints are refused. */
  readonly production: boolean;
  readonly logLevel: LogLevel;
}

export function readConfiguration(argv: readonly string[], environment: NodeJS.ProcessEnv): WorkerConfiguration {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      coordinator: { type: 'string', default: '127.0.0.1:50051' },
      name: { type: 'string', default: `${hostname()}-${process.pid}`.replaceAll(/[^A-Za-z0-9._-]/g, '-').slice(-64) },
      threads: { type: 'string', default: '1' },
      kernel: { type: 'string', default: 'wasm' },
      namespace: { type: 'string', default: 'ropeteam' },
      'metrics-host': { type: 'string', default: '127.0.0.1' },
      'metrics-port': { type: 'string', default: '0' },
      'data-memory': { type: 'string' },
      'log-level': { type: 'string' },
    },
  });
  return {
    coordinator: values.coordinator,
    redisUrl: redisUrlFrom(environment),
    name: nameFrom(values.name),
    threads: wholeNumber('--threads', values.threads, 1, 1024),
    kernel: oneOf('--kernel', values.kernel, KERNEL_CHOICES),
    blasLibrary: environment.ROPETEAM_BLAS_LIBRARY || undefined,
    dataMemoryBytes:
      values['data-memory'] === undefined ? defaultDataMemory() : byteCount('--data-memory', values['data-memory']),
    namespace: values.namespace,
    metricsHost: values['metrics-host'],
    metricsPort: wholeNumber('--metrics-port', values['metrics-port'], 0, 65_535),
    failpoints: environment.ROPETEAM_FAILPOINTS || undefined,
    production: environment.NODE_ENV === 'production',
    logLevel: oneOfEither(
      ['--log-level', values['log-level']],
      ['ROPETEAM_LOG_LEVEL', environment.ROPETEAM_LOG_LEVEL],
      'info',
      LOG_LEVELS,
    ),
  };
}

/** An eighth of the memory of this machine or container, up to 192 MiB. */
function defaultDataMemory(): number {
  const limit = process.constrainedMemory() || totalmem(); // 0 where nothing limits it
  return Math.min(DEFAULT_DATA_BYTES, Math.floor(Math.min(limit, totalmem()) / 8));
}

function nameFrom(text: string): WorkerId {
  try {
    return workerId(text);
  } catch (cause) {
    const message = `--name: ${cause instanceof Error ? cause.message : String(cause)}`;
    throw new RopeteamError('USAGE.ARGUMENT', { argument: '--name' }, message, { cause });
  }
}
