/** CSV (RFC 4180) as `csv-parse` reads it, with the line each record begins in. */
import { pipeline } from 'node:stream/promises';
import { CsvError, type InfoRecord, parse } from 'csv-parse';
import { MAX_LINE_LENGTH } from './text-lines.js';

export interface CsvRecord {
  /** Without the quotes around them. */
  readonly cells: readonly string[];
  /** Where the record begins, from 1. */
  readonly line: number;
  readonly text: string;
  /** Position of the first cell, from 0, with a quote in it that CSV does not allow there. */
  readonly strayQuote: number | undefined;
}

/** A quote that is still open at the end of the file or after as many characters as a line may have. */
export interface OpenQuote {
  /** Where the record begins, from 1. */
  readonly line: number;
  /** Position of the cell in the record, from 0. */
  readonly cell: number;
}

/** Instead of a character: any run of spaces and tabs. */
export const WHITESPACE = 'whitespace';
/** Stands for such a run while records are read: a separator of units, which no text has. */
const RUN = '\u001f';

/** Lines whose cells stand between runs of blanks, those within quotes aside. */
async function* unitsOf(text: AsyncIterable<string>): AsyncGenerator<string> {
  for await (const lines of text) {
    yield lines
      .replaceAll(/^[ \t]+|[ \t]+$/gm, '')
      .replaceAll(/"[^"\n]*"|[ \t]+/g, (found) => (found.startsWith('"') ? found : RUN));
  }
}

/**
 * Calls `onRecord` with every record; blank lines are none. Returns the quote that is never closed, if there is one.
 * @param lines as `readText` gives them
 * @param delimiter a character, or `WHITESPACE`
 */
export async function readRecords(
  lines: AsyncIterable<string>,
  delimiter: string,
  onRecord: (record: CsvRecord) => void,
): Promise<OpenQuote | undefined> {
  let lastLine = 0;
  let emptyLines = 0;
  const text = delimiter === WHITESPACE ? unitsOf(lines) : lines;
  const parser = parse({
    delimiter: delimiter === WHITESPACE ? RUN : delimiter,
    record_delimiter: '\n',
    relax_column_count: true,
    // After a stray quote a strict parser either stops or reads on as if still within it: rows would be lost unseen.
    relax_quotes: true,
    ltrim: true, // so that a line of spaces is an empty one
    skip_empty_lines: true,
    raw: true,
    max_record_size: MAX_LINE_LENGTH,
    // Taken here instead of from the stream's other end: a quarter less CPU where rows are short.
    on_record(parsed: unknown, info: InfoRecord) {
      // The declared type leaves out what `raw: true` makes of a record.
      const { record: cells, raw } = parsed as { readonly record: readonly string[]; readonly raw: string };
      const line = lastLine + 1 + info.empty_lines - emptyLines;
      lastLine = info.lines;
      emptyLines = info.empty_lines;
      onRecord({ cells, line, text: raw.replaceAll(RUN, ' ').trim(), strayQuote: findStrayQuote(cells, raw) });
      return null;
    },
  });
  try {
    await pipeline(text, parser.resume());
    return undefined;
  } catch (error) {
    // No line is that long, so a record that is has a line end in it, within a quote.
    const neverClosed = error instanceof CsvError && /^CSV_(QUOTE_NOT_CLOSED|MAX_RECORD_SIZE)$/.test(error.code);
    if (!neverClosed) throw error;
    return { line: lastLine + 1 + parser.info.empty_lines - emptyLines, cell: Number(error.index) };
  }
}

/** A quote inside a cell is allowed where the cell stands in quotes and doubles it. */
function findStrayQuote(cells: readonly string[], raw: string): number | undefined {
  if (!raw.includes('"')) return undefined;
  const stray = cells.findIndex((cell) => cell.includes('"') && !raw.includes(`"${cell.replaceAll('"', '""')}"`));
  return stray < 0 ? undefined : stray;
}

const DELIMITERS = [',', ';', '\t', '|'] as const;
const DELIMITER_NAMES: Readonly<Record<string, string>> = { ',': 'comma', ';': 'semicolon', '\t': 'tab', '|': 'bar' };

export function delimiterName(delimiter: string): string {
  return DELIMITER_NAMES[delimiter] ?? JSON.stringify(delimiter);
}

/**
 * The field separator of a file whose first lines these are: the one that cuts the header into most cells, of those that
 * cut the second line into as many. When none occurs: whitespace, if that cuts both alike, or else a comma.
 */
export function guessDelimiter(header: string, second: string | undefined): string {
  const candidates = DELIMITERS.map((delimiter) => {
    const cells = countCells(header, delimiter);
    return { delimiter, cells, agrees: second === undefined || countCells(second, delimiter) === cells };
  });
  const [best] = candidates.sort(
    (a, b) => Number(b.agrees && b.cells > 1) - Number(a.agrees && a.cells > 1) || b.cells - a.cells,
  );
  if (best !== undefined && best.cells > 1) return best.delimiter;
  const words = countCells(header, WHITESPACE);
  return words > 1 && (second === undefined || countCells(second, WHITESPACE) === words) ? WHITESPACE : ',';
}

/** Cells of a line, quoted delimiters not counted. */
export function countCells(text: string, delimiter: string): number {
  if (delimiter === WHITESPACE)
    return text
      .replaceAll(/"[^"]*"/g, 'x')
      .trim()
      .split(/[ \t]+/).length;
  return text.replaceAll(/"[^"]*"/g, '').split(delimiter).length;
}

/** Where cell `index` of a record begins in its first line, in characters from 1, and how long it is there. */
export function locateCell(
  text: string,
  delimiter: string,
  index: number,
): { column: number; length: number } | undefined {
  if (delimiter === WHITESPACE) {
    const found = [...text.matchAll(/(?:"[^"]*"|[^ \t"])+/g)][index];
    return found === undefined ? undefined : { column: found.index + 1, length: found[0].length };
  }
  let begin = 0;
  let quoted = false;
  let cell = 0;
  for (let at = 0; at <= text.length; at++) {
    if (text[at] === '"' && (quoted || text.slice(begin, at).trim() === '')) quoted = !quoted;
    if (at < text.length && (quoted || text[at] !== delimiter)) continue;
    if (cell === index) return { column: begin + 1, length: Math.max(1, at - begin) };
    cell++;
    begin = at + 1;
  }
  return undefined;
}
