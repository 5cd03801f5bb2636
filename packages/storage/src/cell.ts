/** What one cell of a table is, before it is known what its column holds. */

/** `unusable`: meant as a number, but not one a feature can have, like `1,5` or `1e999`. */
export type CellKind = 'number' | 'missing' | 'unusable' | 'word';

export interface Cell {
  readonly kind: CellKind;
  /** Finite for a number, also as a float32; NaN for everything else. */
  readonly value: number;
}

const MISSING_WORDS: ReadonlySet<string> = new Set(['NA', 'N/A', 'NaN', 'nan', 'null', 'NULL', '?']);
const DECIMAL = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
const DECIMAL_COMMA = /^[+-]?(?:\d{1,3}(?:\.\d{3})+|\d*),\d+$/;
const THOUSANDS = /^[+-]?\d{1,3}(?:,\d{3})+\.\d+$/;
const NOT_FINITE = /^[+-]?inf(?:inity)?$/i;

/** Reads a trimmed cell. An empty one is missing; so are `NA`, `NaN`, `null` and `?`, unless their column holds words. */
export function readCell(text: string): Cell {
  if (text === '' || MISSING_WORDS.has(text)) return { kind: 'missing', value: Number.NaN };
  if (DECIMAL.test(text)) {
    const value = Number(text);
    return Number.isFinite(Math.fround(value)) ? { kind: 'number', value } : { kind: 'unusable', value: Number.NaN };
  }
  const unusable = DECIMAL_COMMA.test(text) || THOUSANDS.test(text) || NOT_FINITE.test(text);
  return { kind: unusable ? 'unusable' : 'word', value: Number.NaN };
}

/** `String.trim` only where there is something to trim. */
export function trimCell(text: string): string {
  return text.charCodeAt(0) <= 32 || text.charCodeAt(text.length - 1) <= 32 ? text.trim() : text;
}

/** What is wrong with a cell that should be a number, and what to do about it. */
export function explainNotANumber(text: string): { readonly reason: string; readonly hint: string } {
  if (DECIMAL_COMMA.test(text) || THOUSANDS.test(text)) {
    return {
      reason: `${JSON.stringify(text)} is not a number`,
      hint: `write the number with a decimal point and no thousands separator, for example 1.5`,
    };
  }
  if (NOT_FINITE.test(text) || DECIMAL.test(text)) {
    return {
      reason: `${text} is not a finite number a 32-bit float can hold`,
      hint: 'correct the value or leave the row out',
    };
  }
  return {
    reason: `${JSON.stringify(text)} is not a number`,
    hint: 'correct the cell, leave the column out with data.features, or set data.badRows to "skip"',
  };
}
