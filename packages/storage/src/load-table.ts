/** Reads a CSV file into a table: header, columns, rows. What is wrong with it goes to `problems`. */
import type { Hash } from 'node:crypto';
import type { DataSpec } from '#training';
import type { BlockSpace } from './block-store.js';
import { columnSpec, MAX_CLASSES } from './column-kinds.js';
import { type CsvRecord, countCells, delimiterName, guessDelimiter, readRecords } from './csv-records.js';
import { emptyFile, type SourceFile } from './file-bytes.js';
import { type ChosenColumns, chooseDelimiter, type Header } from './header.js';
import { MAX_PROBLEMS, type Problem, type Problems } from './problems.js';
import { buildTable, type Table, type TableBuilder, type TableColumn } from './table.js';
import { excerpt, readLines, readText } from './text-lines.js';

export interface LoadedTable {
  readonly file: SourceFile;
  /** Where the targets come from, when they are in a file of their own. */
  readonly labelsFile?: SourceFile;
  readonly delimiter: string;
  readonly header: Header;
  readonly columns: ChosenColumns;
  /** Features in the order of `columns.features`, then the targets. */
  readonly table: Table;
  /** Rows that were no proper records; the table does not hold them. */
  readonly brokenRows: number;
}

export interface UselessFile {
  readonly delimiter: string;
  readonly table: undefined;
  readonly brokenRows: number;
}

export interface LoadOptions {
  readonly spec: DataSpec;
  readonly hash: Hash;
  /** Picks the columns, or adds to `problems` and returns undefined. */
  choose(header: Header, problems: Problems): ChosenColumns | undefined;
  readonly problems: Problems;
  /** Where cells go; absent: they stay in memory. */
  readonly space?: BlockSpace;
  readonly signal?: AbortSignal;
  /** Called now and then with the number of rows read so far. */
  readonly onProgress?: (rows: number) => void;
}

export const PROGRESS_ROWS = 10_000;

/** The file's rows; no table when `problems` has something that makes it useless. */
export async function loadTable(file: SourceFile, options: LoadOptions): Promise<LoadedTable | UselessFile> {
  const { spec, problems, onProgress } = options;
  const goesOn = whileWorthwhile(spec, problems);

  const [first, second] = await firstLines(file);
  if (first === undefined) throw emptyFile(file);
  const delimiter = chooseDelimiter(spec, file, first, second?.text, problems);
  let header: Header | undefined;
  let columns: ChosenColumns | undefined;
  let builder: TableBuilder | undefined;
  let rows = 0;
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
      columns = options.choose(header, problems);
      builder = columns && buildTable(tableColumns(columns, spec), options.space);
    } else if (cells.length !== header.cells.length) {
      const [firstLine = ''] = text.split('\n', 1);
      const reason = `${cells.length} columns, expected ${header.cells.length}: ${excerpt(firstLine)}`;
      addBroken({ line, reason, hint: columnCountHint(delimiter, firstLine, header.cells.length) });
    } else {
      builder?.add(cells, line);
      rows++;
      if (rows % PROGRESS_ROWS === 0) onProgress?.(rows);
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
  onProgress?.(rows);
  if (header === undefined || columns === undefined || builder === undefined || !goesOn()) {
    return { delimiter, table: undefined, brokenRows };
  }
  return { file, delimiter, header, columns, table: builder.finish(), brokenRows };
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

async function* textWhile(goesOn: () => boolean, file: SourceFile, options: LoadOptions): AsyncGenerator<string> {
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

/** What the table keeps: features, then targets, each with the size of its dictionary. */
export function tableColumns({ features, targets }: ChosenColumns, spec: DataSpec): readonly TableColumn[] {
  return [
    // One more for the empty text, one more so that too many are seen to be too many.
    ...features.map((column) => {
      const buckets = columnSpec(spec, column.name)?.buckets;
      return { ...column, limit: spec.maxCategories + 2, ...(buckets === undefined ? {} : { buckets }) };
    }),
    ...targets.map((column) => ({ ...column, limit: MAX_CLASSES + 1 })),
  ];
}

function columnCountHint(delimiter: string, text: string, expected: number): string {
  const guess = guessDelimiter(text, undefined);
  if (guess !== delimiter && countCells(text, guess) === expected) {
    return `this row looks ${delimiterName(guess)}-separated`;
  }
  return 'correct the row, put cells that hold the delimiter in quotes, or set data.badRows to "skip"';
}
