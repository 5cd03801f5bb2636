/** The rows of a table one batch after the other, in bounded memory: what a trained model is asked about. */
import { RopeteamError } from '#training';
import { delimiterName, guessDelimiter, readRecords, WHITESPACE } from './csv-records.js';
import { emptyFile, type SourceFile } from './file-bytes.js';
import { excerpt, readLines, readText } from './text-lines.js';

export interface TableRow {
  /** As many as the header has, texts trimmed. */
  readonly cells: readonly (string | number)[];
  /** The row as it stands in the file, without its line end; as CSV where the file is no text, nothing for bare arrays. */
  readonly text: string;
  /** Where it begins, from 1. */
  readonly line: number;
}

export interface TableHeader {
  readonly names: readonly string[];
  /** The header as it stands in the file. */
  readonly text: string;
  readonly line: number;
  readonly delimiter: string;
  /** What `text` is: cells between delimiters, an object of JSON, or nothing. */
  readonly form: 'delimited' | 'json' | 'bare';
}

export interface TableReader {
  /** Called once, before any row. */
  onHeader(header: TableHeader): void;
  /** Reading waits until it resolves: a slow consumer holds the file up and fills no memory. */
  onRows(rows: readonly TableRow[]): Promise<void>;
  readonly signal?: AbortSignal;
}

/**
 * Reads a CSV file with a header line, plain or gzipped.
 * @throws RopeteamError DATA.* with file and line; what `onHeader` and `onRows` throw
 */
export async function readTableRows(file: SourceFile, { onHeader, onRows, signal }: TableReader): Promise<void> {
  const [first, second] = await firstLines(file);
  if (first === undefined) throw emptyFile(file);
  const delimiter = guessDelimiter(first, second);
  let header: TableHeader | undefined;
  let failure: unknown;
  let pending: TableRow[] = [];

  const flush = async (): Promise<void> => {
    if (failure !== undefined) throw failure;
    const rows = pending;
    pending = [];
    if (rows.length > 0) await onRows(rows);
  };
  async function* paced(): AsyncGenerator<string> {
    for await (const text of readText(file, signal === undefined ? {} : { signal })) {
      await flush();
      yield text;
    }
  }
  const unclosed = await readRecords(paced(), delimiter, ({ cells, line, text, strayQuote }) => {
    if (failure !== undefined) return; // the first one is told
    const trimmed = cells.map((cell) => cell.trim());
    if (strayQuote !== undefined) {
      const hint = 'put the whole cell in quotes and double those inside it';
      failure = rowError(file, line, text, 'a quote stands where CSV does not allow it', hint);
    } else if (header === undefined) {
      // Written between single blanks, however many there were.
      header = { names: trimmed, text, line, delimiter: delimiter === WHITESPACE ? ' ' : delimiter, form: 'delimited' };
      try {
        onHeader(header);
      } catch (error) {
        failure = error ?? new Error('the header was refused');
      }
    } else if (cells.length !== header.names.length) {
      const reason = `${cells.length} columns, expected ${header.names.length}`;
      const hint = `correct the row; columns are ${delimiterName(delimiter)}-separated`;
      failure = rowError(file, line, text, reason, hint);
    } else {
      pending.push({ cells: trimmed, text, line });
    }
  });
  await flush();
  if (unclosed !== undefined) {
    throw rowError(file, unclosed.line, '', 'the quote opened here is never closed', 'close it, or double it');
  }
}

async function firstLines(file: SourceFile): Promise<readonly string[]> {
  const lines: string[] = [];
  await readLines(file, (text) => {
    if (text.trim() !== '') lines.push(text);
    return lines.length < 2;
  });
  return lines;
}

function rowError({ name }: SourceFile, line: number, text: string, reason: string, hint: string): RopeteamError {
  const [firstLine = ''] = text.split('\n', 1);
  return new RopeteamError('DATA.ROW', { file: name, line }, `${name}:${line}: ${reason}`, {
    place: { file: name, line, text: excerpt(firstLine) },
    hint,
  });
}
