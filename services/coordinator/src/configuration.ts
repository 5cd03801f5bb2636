/** Everything the coordinator reads from its flags and its environment, checked before anything is opened. */
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { KERNEL_CHOICES, type KernelChoice } from '#engine';
import {
  byteCount,
  isLeftOpen,
  isLoopback,
  isOn,
  isRedisLeftOpen,
  type ObjectStoreSettings,
  objectStoreSettings,
  oneOf,
  oneOfEither,
  redisUrlFrom,
  TLS_CLOSES,
  TOKENS_CLOSE,
  wholeNumber,
} from '#job';
import { readTlsIdentity, type TlsIdentity } from '#protocol';
import type { DatasetCache } from '#storage';
import { type HttpTokens, LOG_LEVELS, type LogLevel, readHttpTokens } from '#telemetry';
import { GRAIN_CHOICES, RopeteamError, type RunId, runId } from '#training';

export interface CoordinatorConfiguration {
  readonly name: string;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Of live page, probes and metrics. */
  readonly httpHost: string;
  readonly httpPort: number;
  /** With its password: never logged. */
  readonly redisUrl: string;
  readonly runsDirectory: string;
  /** Kernel threads for averaging. */
  readonly threads: number;
  readonly kernel: KernelChoice;
  /** The one file to take OpenBLAS from; undefined: the usual names and places. */
  readonly blasLibrary: string | undefined;
  /** Prefix of its keys in Redis; the workers' must be the same. */
  readonly namespace: string;
  readonly grain: (typeof GRAIN_CHOICES)[number];
  /** Where prepared data are kept for later runs. */
  readonly dataCache: DatasetCache;
  /** Jobs may name files below this folder without uploading them; undefined: they may not. */
  readonly dataRoot: string | undefined;
  /** Read when a job first names an object: `s3://…`. */
  readonly objectStore: () => ObjectStoreSettings;
  /** Folder of object storage in which every run has a copy, `s3://bucket/folder`; undefined: none, as for one run alone. */
  readonly copyRunsTo: { readonly url: string; readonly store: ObjectStoreSettings } | undefined;
  /** This run alone: the others in the folder are somebody else's. Undefined: the whole folder is this coordinator's. */
  readonly only: RunId | undefined;
  /** Places to die at, for tests; see the failpoints of `#training`. */
  readonly failpoints: string | undefined;
  /** `NODE_ENV` says so: failpoints are refused. */
  readonly production: boolean;
  /** Absent: plaintext, which is for this machine alone unless the user insists. */
  readonly tls: TlsIdentity | undefined;
  /** The page speaks HTTPS when others can reach it. */
  readonly httpTls: TlsIdentity | undefined;
  /** Who may read live page and metrics; absent: who has a certificate, and on this machine everybody. */
  readonly httpTokens: HttpTokens | undefined;
  /** Folder of what `ropeteam certs token` made; absent: a worker's certificate is enough. */
  readonly joinTokens: string | undefined;
  /** What is open to others because the user insists. */
  readonly leftOpen: readonly string[];
  readonly logLevel: LogLevel;
}

export function readConfiguration(argv: readonly string[], environment: NodeJS.ProcessEnv): CoordinatorConfiguration {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      name: { type: 'string', default: 'coordinator' },
      host: { type: 'string', default: '127.0.0.1' },
      port: { type: 'string', default: '50051' },
      'http-host': { type: 'string' },
      'http-port': { type: 'string', default: '9464' },
      runs: { type: 'string', default: 'runs' },
      threads: { type: 'string', default: '1' },
      kernel: { type: 'string', default: 'wasm' },
      namespace: { type: 'string', default: 'ropeteam' },
      grain: { type: 'string', default: 'auto' },
      only: { type: 'string' },
      'data-cache': { type: 'string' },
      'data-cache-size': { type: 'string', default: '20GB' },
      'data-root': { type: 'string' },
      'copy-runs-to': { type: 'string' },
      tls: { type: 'string' },
      'http-tokens': { type: 'string' },
      'join-tokens': { type: 'string' },
      insecure: { type: 'boolean', default: false },
      'log-level': { type: 'string' },
    },
  });
  const tlsFolder = values.tls ?? (environment.ROPETEAM_TLS || undefined);
  const tokensFolder = values['http-tokens'] ?? (environment.ROPETEAM_HTTP_TOKENS || undefined);
  const joinTokens = values['join-tokens'] ?? (environment.ROPETEAM_JOIN_TOKENS || undefined);
  const insecure = values.insecure || isOn(environment.ROPETEAM_INSECURE);
  const { host } = values;
  const hasTls = tlsFolder !== undefined;
  // Behind a closed door the page stays at home unless it is let out by name.
  const httpHost = values['http-host'] ?? (hasTls ? '127.0.0.1' : host);
  const redisUrl = redisUrlFrom(environment);
  const tls = hasTls ? readTlsIdentity(tlsFolder) : undefined;
  const httpIsClosed = hasTls || tokensFolder !== undefined;
  const grpc = { argument: '--host', host, closed: hasTls, hint: TLS_CLOSES };
  const http = { argument: '--http-host', host: httpHost, closed: httpIsClosed, hint: TOKENS_CLOSE };
  const leftOpen = [
    ...[grpc, http].filter((door) => isLeftOpen({ ...door, insecure })).map(({ argument }) => argument),
    ...(isRedisLeftOpen(redisUrl, insecure) ? ['ROPETEAM_REDIS_URL'] : []),
  ];
  if (joinTokens !== undefined && !hasTls) {
    const message = '--join-tokens needs --tls: a token is bound to a certificate';
    throw new RopeteamError('USAGE.ARGUMENT', { argument: '--join-tokens' }, message, { hint: `${TLS_CLOSES}.` });
  }
  const copyRunsTo = values['copy-runs-to'] ?? (environment.ROPETEAM_COPY_RUNS_TO || undefined);
  const runsDirectory = resolve(values.runs);
  return {
    name: values.name,
    host,
    port: wholeNumber('--port', values.port, 0, 65_535),
    httpHost,
    tls,
    httpTls: isLoopback(httpHost) ? undefined : tls,
    httpTokens: tokensFolder === undefined ? undefined : readHttpTokens(tokensFolder),
    joinTokens: joinTokens === undefined ? undefined : resolve(joinTokens),
    leftOpen,
    httpPort: wholeNumber('--http-port', values['http-port'], 0, 65_535),
    redisUrl,
    runsDirectory,
    dataCache: {
      directory: values['data-cache'] === undefined ? join(runsDirectory, '.cache') : resolve(values['data-cache']),
      maxBytes: byteCount('--data-cache-size', values['data-cache-size']),
    },
    dataRoot: values['data-root'] === undefined ? undefined : resolve(values['data-root']),
    objectStore: () => objectStoreSettings(environment, insecure),
    copyRunsTo:
      copyRunsTo === undefined || values.only !== undefined
        ? undefined
        : { url: copyRunsTo, store: objectStoreSettings(environment, insecure) },
    threads: wholeNumber('--threads', values.threads, 1, 1024),
    kernel: oneOf('--kernel', values.kernel, KERNEL_CHOICES),
    blasLibrary: environment.ROPETEAM_BLAS_LIBRARY || undefined,
    namespace: values.namespace,
    grain: oneOf('--grain', values.grain, GRAIN_CHOICES),
    only: values.only === undefined ? undefined : runId(values.only),
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
