/** Reads decoded messages field by field; what does not fit is refused by name (USAGE.ARGUMENT, INVALID_ARGUMENT). */
import {
  type Fence,
  fence,
  RopeteamError,
  type RunId,
  runId,
  type Step,
  step,
  type WorkerId,
  workerId,
} from '#training';

/** One message. Every method takes a field's name as in the .proto file, in camel case. */
export interface Fields {
  readonly path: string;
  has(name: string): boolean;
  /** At most `limit` UTF-16 units. */
  text(name: string, limit: number): string;
  /** An integer in 0..`largest`. */
  natural(name: string, largest?: number): number;
  /** An integer in 1..`largest`. */
  positive(name: string, largest?: number): number;
  finite(name: string): number;
  /** Any double, NaN and infinities included. */
  double(name: string): number;
  /** Exactly `length` bytes. */
  bytes(name: string, length: number): Uint8Array;
  bytesUpTo(name: string, limit: number): Uint8Array;
  flag(name: string): boolean;
  choice<Value>(name: string, values: Readonly<Record<string, Value>>): Value;
  message(name: string): Fields;
  messages(name: string): readonly Fields[];
  texts(name: string, limit: number): readonly string[];
  /** Any number of them. */
  finites(name: string): readonly number[];
  /** Integers from 0. */
  naturals(name: string): readonly number[];
  runId(name: string): RunId;
  workerId(name: string): WorkerId;
  fence(name: string): Fence;
  step(name: string): Step;
}

/** A field that does not hold what the .proto file promises. */
export function invalidField(path: string, problem: string): RopeteamError<'USAGE.ARGUMENT'> {
  return new RopeteamError('USAGE.ARGUMENT', { argument: path }, `${path} ${problem}`, {
    hint: 'Check that both sides run the same version.',
  });
}

/**
 * Reads one message.
 * @param value what the protobuf library decoded
 * @param path names the message in errors; empty for the outermost one
 */
export function readMessage(value: unknown, path: string): Fields {
  if (typeof value !== 'object' || value === null) throw invalidField(path, 'is missing');
  const record = value as Readonly<Record<string, unknown>>; // any object can be asked for its fields
  const at = (name: string) => (path === '' ? name : `${path}.${name}`);

  const number = (name: string, least: number, largest: number): number => {
    const received = record[name];
    const found = typeof received === 'string' && /^-?\d+$/.test(received) ? Number(received) : received;
    if (typeof found === 'number' && Number.isSafeInteger(found) && found >= least && found <= largest) return found;
    throw invalidField(at(name), `must be an integer in ${least}..${largest}, received ${shown(received)}`);
  };
  const text = (name: string, limit: number): string => {
    const found = record[name];
    if (typeof found !== 'string') throw invalidField(at(name), 'must be text');
    if (found.length > limit)
      throw invalidField(at(name), `has ${found.length} characters; at most ${limit} are allowed`);
    return found;
  };
  const double = (name: string): number => {
    const found = record[name];
    if (typeof found === 'number') return found;
    throw invalidField(at(name), `must be a number, received ${shown(found)}`);
  };
  const list = (name: string): readonly unknown[] => {
    const found = record[name];
    if (Array.isArray(found)) return found;
    throw invalidField(at(name), 'must be a list');
  };
  const branded = <Value>(name: string, make: (value: string) => Value): Value => {
    try {
      return make(text(name, 256));
    } catch (error) {
      if (error instanceof RangeError) throw invalidField(at(name), `is not valid: ${error.message}`);
      throw error;
    }
  };

  return {
    path,
    has: (name) => record[name] !== undefined && record[name] !== null,
    text,
    natural: (name, largest = Number.MAX_SAFE_INTEGER) => number(name, 0, largest),
    positive: (name, largest = Number.MAX_SAFE_INTEGER) => number(name, 1, largest),
    double,
    finite: (name) => {
      const found = double(name);
      if (Number.isFinite(found)) return found;
      throw invalidField(at(name), `must be finite, received ${found}`);
    },
    finites: (name) =>
      list(name).map((found) => {
        if (typeof found === 'number' && Number.isFinite(found)) return found;
        throw invalidField(at(name), `must hold finite numbers, received ${shown(found)}`);
      }),
    bytes: (name, length) => {
      const found = record[name];
      if (found instanceof Uint8Array && found.byteLength === length) return found;
      throw invalidField(at(name), `must be ${length} bytes`);
    },
    bytesUpTo: (name, limit) => {
      const found = record[name];
      if (found instanceof Uint8Array && found.byteLength <= limit) return found;
      throw invalidField(at(name), `must be at most ${limit} bytes`);
    },
    flag: (name) => {
      const found = record[name];
      if (typeof found === 'boolean') return found;
      throw invalidField(at(name), `must be true or false, received ${shown(found)}`);
    },
    choice: (name, values) => {
      const found = String(record[name]);
      const value = Object.hasOwn(values, found) ? values[found] : undefined;
      if (value === undefined) {
        throw invalidField(
          at(name),
          `must be one of ${Object.keys(values).join(', ')}, received ${shown(record[name])}`,
        );
      }
      return value;
    },
    message: (name) => readMessage(record[name], at(name)),
    messages: (name) => list(name).map((item, index) => readMessage(item, `${at(name)}[${index}]`)),
    texts: (name, limit) =>
      list(name).map((item, index) => {
        if (typeof item === 'string' && item.length <= limit) return item;
        throw invalidField(`${at(name)}[${index}]`, `must be text of at most ${limit} characters`);
      }),
    naturals: (name) =>
      list(name).map((item, index) => {
        if (typeof item === 'number' && Number.isSafeInteger(item) && item >= 0) return item;
        throw invalidField(`${at(name)}[${index}]`, `must be an integer from 0, received ${shown(item)}`);
      }),
    runId: (name) => branded(name, runId),
    workerId: (name) => branded(name, workerId),
    fence: (name) => fence(number(name, 0, Number.MAX_SAFE_INTEGER)),
    step: (name) => step(number(name, 0, Number.MAX_SAFE_INTEGER)),
  };
}

function shown(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 80)) : String(value);
}

/** Both directions of an enum from one table: names in .proto to values here. */
export function inverted<Value extends string, Name extends string>(
  values: Readonly<Record<Name, Value>>,
): Readonly<Record<Value, Name>> {
  const entries = Object.entries(values) as [Name, Value][]; // Object.entries forgets the key type
  return Object.fromEntries(entries.map(([name, value]) => [value, name])) as Record<Value, Name>;
}
