/** Keeps credentials out of logs, and lines short. */
import { RopeteamError, toEnvelope } from '#training';

const SECRET_NAME = /pass(word|phrase|wd)?$|secret|token|authorization|credential|cookie|api-?_?key|private-?_?key/i;
/** `redis://user:password@host`, also in the middle of a message. Linear: neither part can hold the other's end. */
const URL_CREDENTIALS = /\/\/[^/@\s]*@/g;
const HIDDEN = '***';
const TEXT_CHARACTERS = 4096;
const MAX_DEPTH = 6;

type Fields = Readonly<Record<string, unknown>>;

/** The same fields as plain data: secrets hidden by name and in URLs, errors as code, message and stack. */
export function withoutSecrets(fields: Fields | undefined): Fields {
  return fields === undefined ? {} : hideIn(fields, 0);
}

function hideIn(fields: Fields, depth: number): Fields {
  const entries = Object.entries(fields);
  return Object.fromEntries(
    entries.map(([name, value]) => [name, SECRET_NAME.test(name) ? HIDDEN : shown(value, depth + 1)]),
  );
}

function shown(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return shortened(value.replace(URL_CREDENTIALS, `//${HIDDEN}@`));
  if (typeof value === 'bigint') return String(value);
  if (typeof value !== 'object' || value === null) return value;
  if (depth > MAX_DEPTH) return '…';
  if (value instanceof RopeteamError) {
    const cause = value.cause === undefined ? {} : { cause: value.cause };
    return hideIn({ ...toEnvelope(value), ...cause }, depth);
  }
  if (value instanceof Error) {
    const { name, message, stack, cause } = value;
    return hideIn({ name, message, stack, ...(cause === undefined ? {} : { cause }) }, depth);
  }
  if (value instanceof Date) return value.toISOString();
  // A tensor in a log line is a mistake; its size says which one.
  if (ArrayBuffer.isView(value)) return `${value.constructor.name}(${value.byteLength} bytes)`;
  if (Array.isArray(value)) return value.slice(0, 100).map((item) => shown(item, depth + 1));
  return hideIn(value as Fields, depth); // any other object is a record of its own fields
}

function shortened(text: string): string {
  return text.length <= TEXT_CHARACTERS ? text : `${text.slice(0, TEXT_CHARACTERS)}… (${text.length} characters)`;
}
