/** Reads a file of JSON Lines into a table. What is wrong with it goes to `problems`. */
import { RopeteamError } from '#training';
import { MAX_COLUMNS } from './column-kinds.js';
import { type BytesOptions, emptyFile, type SourceFile } from './file-bytes.js';
import type { Header, NamedColumn } from './header.js';
import { cellOfKey, describeJson, readJsonLine } from './json-lines.js';
import {
  type LoadedTable,
  type LoadOptions,
  PROGRESS_ROWS,
  tableColumns,
  type UselessFile,
  whileWorthwhile,
} from './load-table.js';
import { buildTable } from './table.js';
import { readText } from './text-lines.js';

const HINT = 'write each sample as an object on a line of its own (an array of them: jq -c ".[]")';

/**
 * Reads the file twice: which columns there are is known only behind its last line.
 * @throws RopeteamError as `readText` does; DATA.LIMIT for more different keys than columns are read
 */
export async function loadJsonLines(named: SourceFile, options: LoadOptions): Promise<LoadedTable | UselessFile> {
  const { spec, problems, onProgress, hash, signal } = options;
  const file: SourceFile = { ...named, content: 'json' };
  const bytesOptions = signal === undefined ? {} : { signal };
  const useless = (brokenRows: number): UselessFile => ({ delimiter: ',', table: undefined, brokenRows });
  let brokenRows = 0;

  const header: Header = { file, line: 1, cells: await findKeys(file, bytesOptions) };
  if (header.cells.length === 0) await refuseKeyless();
  const columns = problems.fatalCount > 0 ? undefined : options.choose(header, problems);
  if (columns === undefined) return useless(brokenRows);

  const builder = buildTable(tableColumns(columns, spec), options.space);
  const chosen = [...columns.features, ...columns.targets];
  const goesOn = whileWorthwhile(spec, problems);
  const cells: (string | number)[] = header.cells.map(() => '');
  let rows = 0;

  for await (const { text, line } of linesOf(file, { hash, ...bytesOptions })) {
    const read = readJsonLine(text);
    if (read.kind === 'broken') {
      brokenRows++;
      problems.add({ code: 'DATA.ROW', file, line, reason: read.reason, hint: HINT });
    } else if (takeCells(read.values, line)) {
      builder.add(cells, line);
      rows++;
      if (rows % PROGRESS_ROWS === 0) onProgress?.(rows);
    } else {
      brokenRows++;
    }
    if (!goesOn()) return useless(brokenRows);
  }
  onProgress?.(rows);
  return { file, delimiter: ',', header, columns, table: builder.finish(), brokenRows };

  function takeCells(values: Readonly<Record<string, unknown>>, line: number): boolean {
    for (const column of chosen) {
      const cell = cellOfKey(values, column.name);
      if (cell === undefined) {
        addNested(column, values[column.name], line);
        return false;
      }
      cells[column.index] = cell;
    }
    return true;
  }

  function addNested(cell: NamedColumn, value: unknown, line: number): void {
    const reason = `${describeJson(value)} stands where a number or a text belongs`;
    const hint = 'write what is in it as keys of its own, or leave the column out with data.features';
    problems.add({ code: 'DATA.CELL', file, line, cell, reason, hint });
  }

  /** Says what is on the lines of a file without a single key. */
  async function refuseKeyless(): Promise<void> {
    for await (const { text, line } of linesOf(file, bytesOptions)) {
      const read = readJsonLine(text);
      const reason = read.kind === 'broken' ? read.reason : 'the object has no keys';
      brokenRows++;
      problems.add({ code: 'DATA.ROW', file, line, reason, hint: HINT, fatal: true });
      return;
    }
    throw emptyFile(file);
  }
}

/** The keys of all lines, in the order they first occur. Lines that are no objects have none. */
export async function findKeys(file: SourceFile, options: BytesOptions): Promise<readonly string[]> {
  const keys = new Set<string>();
  for await (const { text, line } of linesOf(file, options)) {
    const read = readJsonLine(text);
    if (read.kind === 'broken') continue; // told when its row is taken
    for (const key of Object.keys(read.values)) keys.add(key);
    if (keys.size > MAX_COLUMNS) throw tooManyKeys(file, line);
  }
  return [...keys];
}

/** The lines that are not blank, with their numbers from 1. */
export async function* linesOf(
  file: SourceFile,
  options: BytesOptions,
): AsyncGenerator<{ readonly text: string; readonly line: number }> {
  let line = 0;
  for await (const text of readText(file, options)) {
    for (const each of text.slice(0, -1).split('\n')) {
      line++;
      if (each.trim() !== '') yield { text: each, line };
    }
  }
}

function tooManyKeys(file: SourceFile, line: number): RopeteamError {
  const message = `${file.name}:${line}: more than ${MAX_COLUMNS} different keys, and each is a column`;
  return new RopeteamError('DATA.LIMIT', { file: file.name, limit: MAX_COLUMNS }, message, {
    place: { file: file.name, line },
    hint: 'write what varies as a value, not as a key',
  });
}
