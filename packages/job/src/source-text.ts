/** A text a user wrote, and places in it: lines and columns count from 1, columns in UTF-16 units as editors count them. */
import type { ErrorPlace } from '#training';

export interface SourceText {
  /** The file's name, or `--set key=value`. */
  readonly name: string;
  readonly text: string;
  /** Offset of the first character of each line; absent for a text that has no lines to show. */
  readonly lineStarts?: readonly number[];
}

/** Characters `[begin, end)` of a source. */
export interface SourceRange {
  readonly source: SourceText;
  readonly begin: number;
  readonly end: number;
}

const longestShownLine = 120;

export function fileSource(name: string, text: string): SourceText {
  const lineStarts = [0];
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) lineStarts.push(at + 1);
  return { name, text, lineStarts };
}

/** The line an offset of a file is on, from 1; undefined for a text without lines. */
export function lineOf(range: SourceRange): number | undefined {
  const starts = range.source.lineStarts;
  if (starts === undefined) return undefined;
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((starts[middle] ?? 0) <= range.begin) low = middle;
    else high = middle - 1;
  }
  return low + 1;
}

/** An empty range is where something is missing: there is nothing to show or to underline. */
export function placeOf(range: SourceRange): ErrorPlace {
  const { source, begin, end } = range;
  const line = lineOf(range);
  if (line === undefined || source.lineStarts === undefined) return { file: source.name };
  const lineBegin = source.lineStarts[line - 1] ?? 0;
  const lineEnd = source.text.indexOf('\n', lineBegin);
  const text = source.text.slice(lineBegin, lineEnd === -1 ? undefined : lineEnd).replace(/\r$/, '');
  const column = begin - lineBegin + 1;
  if (end <= begin) return { file: source.name, line, column };
  const length = Math.max(1, Math.min(end - begin, text.length - column + 1));
  return { file: source.name, line, column, length, text: text.slice(0, longestShownLine) };
}

export function textOf(range: SourceRange): string {
  return range.source.text.slice(range.begin, range.end);
}
