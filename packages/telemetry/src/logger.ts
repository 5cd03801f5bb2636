/**
 * The structured logger: one JSON object a line on stderr (stdout is for results), or readable lines on a terminal.
 *
 * `event` is in the past tense (`step_committed`), then ids and numbers. Never tensors, samples or credentials.
 */
import { destination, type Level, pino, stdTimeFunctions } from 'pino';
import pretty from 'pino-pretty';
import { withoutSecrets } from './secrets.js';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const satisfies readonly (Level | 'silent')[];
export type LogLevel = (typeof LOG_LEVELS)[number];
export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  /** An error goes into the field `error`. */
  error(event: string, fields?: LogFields): void;
  /** The same logger with fields, for example `run` or `worker`, in every line. */
  with(fields: LogFields): Logger;
}

export interface LoggerOptions {
  /** `coordinator`, `worker`, ... */
  readonly service: string;
  readonly level?: LogLevel;
  /** Readable lines instead of JSON; default: when stderr is a terminal and no destination is given. */
  readonly pretty?: boolean;
  /** Takes each line; default stderr. */
  readonly destination?: { write(line: string): void };
}

export function createLogger(options: LoggerOptions): Logger {
  const toTerminal = options.destination === undefined && process.stderr.isTTY === true;
  // Written at once: the last lines before a crash are the ones that matter.
  const lines = options.destination ?? destination({ dest: 2, sync: true });
  const base = pino(
    {
      level: options.level ?? 'info',
      base: { service: options.service },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    (options.pretty ?? toTerminal) ? readable(lines, toTerminal) : lines,
  );
  return loggerOn(base);
}

type Lines = NonNullable<LoggerOptions['destination']>;

/** Formats here and now; pino's transports would hand lines to a thread that may die before it has printed them. */
function readable(lines: Lines, toTerminal: boolean): Lines {
  const format = pretty.prettyFactory({
    colorize: toTerminal && pretty.isColorSupported,
    ignore: 'service',
    messageKey: 'event',
    singleLine: true,
  });
  return { write: (line) => lines.write(format(line)) };
}

type Sink = Pick<ReturnType<typeof pino>, 'debug' | 'info' | 'warn' | 'error' | 'child'>;

function loggerOn(sink: Sink): Logger {
  const log = (level: 'debug' | 'info' | 'warn' | 'error') => (event: string, fields?: LogFields) =>
    sink[level]({ event, ...withoutSecrets(fields) });
  return {
    debug: log('debug'),
    info: log('info'),
    warn: log('warn'),
    error: log('error'),
    with: (fields) => loggerOn(sink.child({ ...withoutSecrets(fields) })),
  };
}
