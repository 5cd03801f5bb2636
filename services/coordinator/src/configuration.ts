/** Everything the coordinator reads from its flags and its environment, checked before anything is opened. */
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { KERNEL_CHOICES, type KernelChoice } from '#engine';
import { byteCount, oneOf, oneOfEither, redisUrlFrom, wholeNumber } from '#job';
import type { DatasetCache } from '#storage';
import { LOG_LEVELS, type LogLevel } from '#telemetry';
import { GRAIN_CHOICES, type RunId, runId } from '#training';

export interface CoordinatorConfiguration {
  readonly name: string;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
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
  /** This run alone: the others in the folder are somebody else's. Undefined: the whole folder is this coordinator's. */
  readonly only: RunId | undefined;
  /** Places to die at, for tests; see the failpoints of `#training`. */
  readonly failpoints: string | undefined;
  /** `NODE_ENV` says so: failpoints are refused. */
  readonly production: boolean;
  readonly logLevel: LogLevel;
}

export function readConfiguration(argv: readonly string[], environment: NodeJS.ProcessEnv): CoordinatorConfiguration {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      name: { type: 'string', default: 'coordinator' },
      host: { type: 'string', default: '127.0.0.1' },
      port: { type: 'string', default: '50051' },
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
      'log-level': { type: 'string' },
    },
  });
  const runsDirectory = resolve(values.runs);
  return {
    name: values.name,
    host: values.host,
    port: wholeNumber('--port', values.port, 0, 65_535),
    httpPort: wholeNumber('--http-port', values['http-port'], 0, 65_535),
    redisUrl: redisUrlFrom(environment),
    runsDirectory,
    dataCache: {
      directory: values['data-cache'] === undefined ? join(runsDirectory, '.cache') : resolve(values['data-cache']),
      maxBytes: byteCount('--data-cache-size', values['data-cache-size']),
    },
    dataRoot: values['data-root'] === undefined ? undefined : resolve(values['data-root']),
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
