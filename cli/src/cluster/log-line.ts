/** A line of a service's log for people. Services write JSON objects; Node itself writes whatever it likes. */

const LEVELS: Readonly<Record<number, string>> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'fatal',
};
/** Known from elsewhere or of no use to somebody reading eight lines. */
const LEFT_OUT = new Set(['level', 'time', 'event', 'msg', 'service', 'name', 'pid', 'hostname', 'v', 'stack']);
const LONGEST = 240;

/** `error redis_lost: connect ECONNREFUSED (attempt 3)` from a JSON line; any other line as it stands, shortened. */
export function readableLogLine(line: string): string {
  const record = parseRecord(line);
  if (record === undefined) return shorten(line);
  const level =
    typeof record.level === 'number' ? (LEVELS[record.level] ?? String(record.level)) : String(record.level ?? '');
  const subject = [record.event, record.msg].filter((part) => typeof part === 'string' && part !== '').join(': ');
  const rest = Object.entries(record)
    .filter(([key, value]) => !LEFT_OUT.has(key) && value !== null && value !== undefined)
    .map(([key, value]) => `${key}=${readableValue(value)}`);
  return shorten([level, subject, ...rest].filter((part) => part !== '').join(' '));
}

function readableValue(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value);
  // pino's form of an error.
  if ('message' in value && typeof value.message === 'string') return JSON.stringify(value.message);
  return JSON.stringify(value);
}

function parseRecord(line: string): Readonly<Record<string, unknown>> | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    // Cut off in the middle by a crash: shown as it stands.
    return undefined;
  }
}

function shorten(line: string): string {
  return line.length <= LONGEST ? line : `${line.slice(0, LONGEST - 1)}…`;
}
