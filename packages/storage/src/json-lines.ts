/** JSON Lines: an object a line, its keys name the columns. */

export type JsonLine =
  | { readonly kind: 'object'; readonly values: Readonly<Record<string, unknown>> }
  | { readonly kind: 'broken'; readonly reason: string };

/** Reads a line that is not blank. */
export function readJsonLine(text: string): JsonLine {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return {
      kind: 'broken',
      reason: `the line is not JSON: ${error instanceof Error ? error.message : String(error)}`,
    };
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return { kind: 'object', values: value as Readonly<Record<string, unknown>> }; // what else JSON makes an object of
  }
  return { kind: 'broken', reason: `the line holds ${describeJson(value)}, not an object` };
}

/** What the value of a key is as the cell of a table; undefined for an array or object. A key that is not there: ''. */
export function cellOfKey(values: Readonly<Record<string, unknown>>, key: string): string | number | undefined {
  const value = Object.hasOwn(values, key) ? values[key] : null;
  if (typeof value === 'number' || typeof value === 'string') return value;
  if (typeof value === 'boolean') return String(value);
  return value === null ? '' : undefined;
}

/** For a sentence: `an array`, `a number`, … */
export function describeJson(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

/** Where a key stands in its line, in characters from 1; undefined when it is written with escapes. */
export function locateKey(text: string, key: string): { column: number; length: number } | undefined {
  const quoted = JSON.stringify(key);
  const escaped = quoted.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&');
  const at = text.search(new RegExp(`${escaped}\\s*:`));
  return at < 0 ? undefined : { column: at + 1, length: quoted.length };
}
