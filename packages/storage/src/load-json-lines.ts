/** Reads files of JSON Lines. What is wrong with them goes to `problems`. */
import { RopeteamError } from '#training';
import { MAX_COLUMNS } from './column-kinds.js';
import { type BytesOptions, emptyFile, type SourceFile } from './file-bytes.js';
import type { Header, NamedColumn } from './header.js';
import { cellOfKey, describeJson, readJsonLine } from './json-lines.js';
import { PROGRESS_ROWS, type ReadFile, type ReadOptions, whileWorthwhile } from './load-table.js';
import { readText } from './text-lines.js';

const HINT = 'write each sample as an object on a line of its own (an array of them: jq -c ".[]")';

/**
 * The keys of all files together, which are the columns of each: a key that is nowhere in a file is missing on its lines.
 * @throws RopeteamError as `readText` does; DATA.LIMIT for more different keys than columns are read
 */
export async function findAllKeys(files: readonly SourceFile[], options: BytesOptions): Promise<readonly string[]> {
  const keys = new Set<string>();
  for (const file of files) await addKeys({ ...file, content: 'json' }, options, keys);
  return [...keys];
}

/**
 * Reads the file once more than `findAllKeys` did: which columns there are is known only behind the last line.
 * @param keys of all files
 */
export async function loadJsonLines(
  named: SourceFile,
  keys: readonly string[],
  options: ReadOptions,
): Promise<ReadFile> {
  const { spec, problems, gathering, onProgress, hash, signal } = options;
  const file: SourceFile = { ...named, content: 'json' };
  const bytesOptions = signal === undefined ? {} : { signal };
  let brokenRows = 0;
  const read = (useless: boolean): ReadFile => ({ delimiter: ',', brokenRows, useless });

  const header: Header = { file, line: 1, cells: keys };
  if (keys.length === 0) await refuseKeyless();
  const into = problems.fatalCount > 0 ? undefined : gathering.begin(header);
  if (into === undefined) return read(true);

  const chosen = [...into.columns.features, ...into.columns.targets];
  const goesOn = whileWorthwhile(spec, problems);
  const cells: (string | number)[] = keys.map(() => '');
  let isEmpty = true;

  for await (const { text, line } of linesOf(file, { hash, ...bytesOptions })) {
    isEmpty = false;
    const parsed = readJsonLine(text);
    if (parsed.kind === 'broken') {
      brokenRows++;
      problems.add({ code: 'DATA.ROW', file, line, reason: parsed.reason, hint: HINT });
    } else if (takeCells(parsed.values, line)) {
      into.add(cells, line);
      if (gathering.rows % PROGRESS_ROWS === 0) onProgress?.(gathering.rows);
    } else {
      brokenRows++;
    }
    if (!goesOn()) return read(true);
  }
  if (isEmpty) throw emptyFile(file);
  onProgress?.(gathering.rows);
  return read(false);

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
      const parsed = readJsonLine(text);
      const reason = parsed.kind === 'broken' ? parsed.reason : 'the object has no keys';
      brokenRows++;
      problems.add({ code: 'DATA.ROW', file, line, reason, hint: HINT, fatal: true });
      return;
    }
    throw emptyFile(file);
  }
}

/** The keys of all lines, in the order they first occur. Lines that are no objects have none. */
async function addKeys(file: SourceFile, options: BytesOptions, keys: Set<string>): Promise<void> {
  for await (const { text, line } of linesOf(file, options)) {
    const read = readJsonLine(text);
    if (read.kind === 'broken') continue; // told when its row is taken
    for (const key of Object.keys(read.values)) keys.add(key);
    if (keys.size > MAX_COLUMNS) throw tooManyKeys(file, line);
  }
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
