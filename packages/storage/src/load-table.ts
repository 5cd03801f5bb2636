/** Reads a CSV file: header, columns, rows. What is wrong with it goes to `problems`. */
import type { Hash } from 'node:crypto';
import type { DataSpec } from '#training';
import { type CsvRecord, countCells, delimiterName, guessDelimiter, readRecords } from './csv-records.js';
import { emptyFile, type SourceFile } from './file-bytes.js';
import type { FileRows, GatheredRows, RowGathering } from './gather-rows.js';
import { chooseDelimiter, type Header } from './header.js';
import { MAX_PROBLEMS, type Problem, type Problems } from './problems.js';
import { excerpt, readLines, readText } from './text-lines.js';

/** All files of a split. */
export interface LoadedTable extends GatheredRows {
  /** The first of them. */
  readonly file: SourceFile;
  /** Where the targets come from, when they are in a file of their own. */
  readonly labelsFile?: SourceFile;
  readonly delimiter: string;
  /** Rows that were no proper records; the table does not hold them. */
  readonly brokenRows: number;
}

export interface UselessFile {
  readonly delimiter: string;
  readonly table: undefined;
  readonly brokenRows: number;
}

/** What became of one file's rows beside those that were gathered. */
export interface ReadFile {
  readonly delimiter: string;
  readonly brokenRows: number;
  /** `problems` has something that makes it useless. */
  readonly useless: boolean;
}

export interface ReadOptions {
  readonly spec: DataSpec;
  readonly hash: Hash;
  /** Where its rows go, behind those of the files before it. */
  readonly gathering: RowGathering;
  readonly problems: Problems;
  readonly signal?: AbortSignal;
  /** Called now and then with the number of rows read so far. */
  readonly onProgress?: (rows: number) => void;
}

export const PROGRESS_ROWS = 10_000;

export async function loadTable(named: SourceFile, options: ReadOptions): Promise<ReadFile> {
  const { spec, problems, gathering, onProgress } = options;
  const goesOn = whileWorthwhile(spec, problems);

  const [first, second] = await firstLines(named);
  if (first === undefined) throw emptyFile(named);
  const delimiter = chooseDelimiter(spec, named, first, second?.text, problems);
  const file: SourceFile = { ...named, delimiter };
  let header: Header | undefined;
  let into: FileRows | undefined;
  let brokenRows = 0;

  const addBroken = (problem: Pick<Problem, 'line' | 'reason' | 'hint' | 'cell' | 'fatal'>): void => {
    brokenRows++;
    problems.add({ code: 'DATA.ROW', file, ...problem });
  };

  const take = ({ cells, line, text, strayQuote }: CsvRecord): void => {
    if (line > first.line && !goesOn()) return;
    if (strayQuote !== undefined) {
      addBroken({ ...strayQuoteProblem(strayQuote, cells), line, fatal: header === undefined });
    } else if (header === undefined) {
      header = { file, line, cells: cells.map((cell) => cell.trim()) };
      into = gathering.begin(header);
    } else if (cells.length !== header.cells.length) {
      const [firstLine = ''] = text.split('\n', 1);
      const reason = `${cells.length} columns, expected ${header.cells.length}: ${excerpt(firstLine)}`;
      addBroken({ line, reason, hint: columnCountHint(delimiter, firstLine, header.cells.length) });
    } else {
      into?.add(cells, line);
      if (gathering.rows % PROGRESS_ROWS === 0) onProgress?.(gathering.rows);
    }
  };

  const unclosed = await readRecords(textWhile(goesOn, file, options), delimiter, take);
  if (unclosed !== undefined && goesOn()) {
    addBroken({
      line: unclosed.line,
      cell: { index: unclosed.cell },
      reason: 'the quote opened here is never closed',
      hint: 'close the quote, or double it if it belongs to the text',
      fatal: true,
    });
  }
  onProgress?.(gathering.rows);
  return { delimiter, brokenRows, useless: into === undefined || !goesOn() };
}

/** Whether reading on can still matter: it does not once the file is useless. */
export function whileWorthwhile({ badRows, maxBadRows }: DataSpec, problems: Problems): () => boolean {
  // One more than is allowed decides it; with `error`, more than can be shown.
  const enoughProblems = Math.max(badRows === 'skip' ? maxBadRows : 0, MAX_PROBLEMS);
  return () => problems.fatalCount === 0 && problems.count <= enoughProblems;
}

/** The first two lines that are not blank. */
async function firstLines(file: SourceFile): Promise<readonly { readonly text: string; readonly line: number }[]> {
  const lines: { text: string; line: number }[] = [];
  await readLines(file, (text, line) => {
    if (text.trim() !== '') lines.push({ text, line });
    return lines.length < 2;
  });
  return lines;
}

async function* textWhile(goesOn: () => boolean, file: SourceFile, options: ReadOptions): AsyncGenerator<string> {
  const { hash, signal } = options;
  for await (const text of readText(file, { hash, ...(signal === undefined ? {} : { signal }) })) {
    yield text;
    if (!goesOn()) return;
  }
}

function strayQuoteProblem(index: number, cells: readonly string[]): Pick<Problem, 'cell' | 'reason' | 'hint'> {
  const offset = cells[index]!.indexOf('"');
  return {
    cell: { index, offset },
    reason: offset > 0 ? 'a quote stands inside a cell that is not quoted' : 'a cell goes on after its closing quote',
    hint: 'put the whole cell in quotes and double those inside it',
  };
}

function columnCountHint(delimiter: string, text: string, expected: number): string {
  const guess = guessDelimiter(text, undefined);
  if (guess !== delimiter && countCells(text, guess) === expected) {
    return `this row looks ${delimiterName(guess)}-separated`;
  }
  return 'correct the row, put cells that hold the delimiter in quotes, or set data.badRows to "skip"';
}
