/** Everything a worker reads from its flags and its environment, checked before anything is opened. */
import { hostname, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { KERNEL_CHOICES, type KernelChoice } from '#engine';
import {
  byteCount,
  hostOf,
  isLeftOpen,
  isOn,
  isRedisLeftOpen,
  oneOf,
  oneOfEither,
  redisUrlFrom,
  TLS_CLOSES,
  TOKENS_CLOSE,
  wholeNumber,
} from '#job';
import { readJoinToken, readTlsIdentity, type TlsIdentity } from '#protocol';
import { type HttpTokens, LOG_LEVELS, type LogLevel, readHttpTokens } from '#telemetry';
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
  /** Absent: plaintext, which is for this machine alone unless the user insists. */
  readonly tls: TlsIdentity | undefined;
  /** `join.token` beside the certificate, for the first joining. Never logged. */
  readonly joinToken: string | undefined;
  /** Who may read the metrics; absent: everybody on this machine. */
  readonly httpTokens: HttpTokens | undefined;
  /** What is open to others because the user insists. */
  readonly leftOpen: readonly string[];
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
      tls: { type: 'string' },
      'http-tokens': { type: 'string' },
      insecure: { type: 'boolean', default: false },
      'log-level': { type: 'string' },
    },
  });
  const tlsFolder = values.tls ?? (environment.ROPETEAM_TLS || undefined);
  const insecure = values.insecure || isOn(environment.ROPETEAM_INSECURE);
  const tokensFolder = values['http-tokens'] ?? (environment.ROPETEAM_HTTP_TOKENS || undefined);
  const hasTls = tlsFolder !== undefined;
  const redisUrl = redisUrlFrom(environment);
  const host = hostOf(values.coordinator);
  // What is no host:port is refused where it is used.
  const out = { argument: '--coordinator', host, closed: hasTls || host === '', hint: TLS_CLOSES };
  const metricsHost = values['metrics-host'];
  const metrics = {
    argument: '--metrics-host',
    host: metricsHost,
    closed: tokensFolder !== undefined,
    hint: TOKENS_CLOSE,
  };
  const leftOpen = [
    ...[out, metrics].filter((door) => isLeftOpen({ ...door, insecure })).map(({ argument }) => argument),
    ...(isRedisLeftOpen(redisUrl, insecure) ? ['ROPETEAM_REDIS_URL'] : []),
  ];
  return {
    coordinator: values.coordinator,
    tls: hasTls ? readTlsIdentity(tlsFolder) : undefined,
    joinToken: hasTls ? readJoinToken(tlsFolder) : undefined,
    httpTokens: tokensFolder === undefined ? undefined : readHttpTokens(tokensFolder),
    leftOpen,
    redisUrl,
    name: nameFrom(values.name),
    threads: wholeNumber('--threads', values.threads, 1, 1024),
    kernel: oneOf('--kernel', values.kernel, KERNEL_CHOICES),
    blasLibrary: environment.ROPETEAM_BLAS_LIBRARY || undefined,
    dataMemoryBytes:
      values['data-memory'] === undefined ? defaultDataMemory() : byteCount('--data-memory', values['data-memory']),
    namespace: values.namespace,
    metricsHost: metricsHost,
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
