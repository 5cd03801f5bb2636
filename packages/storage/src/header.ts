/** Which columns of a file are features and which are targets. */
import type { DataSpec } from '#training';
import { readCell } from './cell.js';
import { countCells, delimiterName, guessDelimiter } from './csv-records.js';
import type { SourceFile } from './file-bytes.js';
import type { Problems } from './problems.js';

export interface NamedColumn {
  readonly name: string;
  /** Position in the header, from 0. */
  readonly index: number;
}

export interface Header {
  readonly file: SourceFile;
  readonly line: number;
  readonly cells: readonly string[];
}

export interface ChosenColumns {
  /** In the order of the header. */
  readonly features: readonly NamedColumn[];
  /** In the order of `data.target`. */
  readonly targets: readonly NamedColumn[];
}

/** The field separator: as the job says, or by looking at the first two lines. Says so when the job's can't be right. */
export function chooseDelimiter(
  spec: DataSpec,
  file: SourceFile,
  first: { readonly text: string; readonly line: number },
  second: string | undefined,
  problems: Problems,
): string {
  const guess = guessDelimiter(first.text, second);
  if (spec.delimiter === 'auto') return guess;
  if (countCells(first.text, spec.delimiter) === 1 && countCells(first.text, guess) > 1) {
    problems.add({
      code: 'DATA.FORMAT',
      file,
      line: first.line,
      reason: `the header has no ${delimiterName(spec.delimiter)} in it; it looks ${delimiterName(guess)}-separated`,
      hint: `set data.delimiter to ${JSON.stringify(guess)} or leave it out`,
    });
  }
  return spec.delimiter;
}

/** Checks the header and picks the columns; undefined when problems were added. */
export function chooseColumns(spec: DataSpec, header: Header, problems: Problems): ChosenColumns | undefined {
  const before = problems.count;
  checkHeader(header, problems);
  if (problems.count > before) return undefined;
  const columns = header.cells.map((name, index) => ({ name, index }));

  const targets = spec.target.flatMap((name) => findColumn(name, 'data.target', header, problems));
  const targetNames = new Set(spec.target);
  const features =
    spec.features === 'all' ? columns.filter(({ name }) => !targetNames.has(name)) : matchFeatures(spec.features);
  if (problems.count === before && features.length === 0) {
    addColumnProblem(header, undefined, 'no column is left to be a feature', 'name columns in data.features', problems);
  }
  for (const name of Object.keys(spec.columns ?? {})) {
    const [column] = findColumn(name, 'data.columns', header, problems);
    if (column === undefined || features.some(({ index }) => index === column.index)) continue;
    const reason = `data.columns names ${JSON.stringify(name)}, which is not one of the features`;
    addColumnProblem(header, column, reason, 'take it out of data.columns, or add it to data.features', problems);
  }
  return problems.count > before ? undefined : { features, targets };

  function matchFeatures(patterns: readonly string[]): readonly NamedColumn[] {
    const chosen = new Set<number>();
    for (const pattern of patterns) {
      if (!/[*?]/.test(pattern)) {
        for (const { index } of findColumn(pattern, 'data.features', header, problems)) chosen.add(index);
        if (targetNames.has(pattern)) {
          const reason = 'is both a feature and the target: the model would read the answer';
          const column = columns.find(({ name }) => name === pattern);
          addColumnProblem(header, column, reason, 'take it out of data.features', problems);
        }
      } else {
        const regex = globRegex(pattern);
        const matches = columns.filter(({ name }) => regex.test(name) && !targetNames.has(name));
        for (const { index } of matches) chosen.add(index);
        if (matches.length === 0) {
          const reason = `no column matches ${JSON.stringify(pattern)} of data.features`;
          addColumnProblem(header, undefined, reason, columnsHint(header), problems);
        }
      }
    }
    return columns.filter(({ index }) => chosen.has(index));
  }
}

/** The same columns, by name, in a file of its own for validation or test. */
export function findColumns(chosen: ChosenColumns, header: Header, problems: Problems): ChosenColumns | undefined {
  const before = problems.count;
  checkHeader(header, problems);
  if (problems.count > before) return undefined;
  const find = (columns: readonly NamedColumn[]) =>
    columns.flatMap(({ name }) => findColumn(name, 'data.source', header, problems));
  const found = { features: find(chosen.features), targets: find(chosen.targets) };
  return problems.count > before ? undefined : found;
}

function checkHeader(header: Header, problems: Problems): void {
  const seen = new Map<string, number>();
  const isText = header.file.content === undefined; // elsewhere a name is never a row that was taken for one
  if (isText && header.cells.every((name) => name === '' || readCell(name).kind === 'number')) {
    const hint = 'put a line with the names of the columns above the data';
    addColumnProblem(header, undefined, 'the first line holds numbers, not the names of columns', hint, problems);
    return;
  }
  for (const [index, name] of header.cells.entries()) {
    const first = seen.get(name);
    if (name === '') {
      const hint = 'name it, or write the file without its index column (pandas: to_csv(index=False))';
      addColumnProblem(header, { name, index }, `column ${index + 1} has no name`, hint, problems);
    } else if (first !== undefined) {
      const reason = `columns ${first + 1} and ${index + 1} have the same name`;
      addColumnProblem(header, { name, index }, reason, 'rename one of them', problems);
    } else {
      seen.set(name, index);
    }
  }
}

function findColumn(name: string, key: string, header: Header, problems: Problems): NamedColumn[] {
  const index = header.cells.indexOf(name);
  if (index >= 0) return [{ name, index }];
  const near = header.cells.find((cell) => cell.toLowerCase() === name.toLowerCase());
  const reason = `no column is called ${JSON.stringify(name)}, which ${key} names`;
  const hint = near === undefined ? columnsHint(header) : `did you mean ${JSON.stringify(near)}?`;
  const { file, line } = header;
  problems.add({ code: 'DATA.COLUMN', file, line, cell: { name }, reason, hint });
  return [];
}

function addColumnProblem(
  header: Header,
  cell: NamedColumn | undefined,
  reason: string,
  hint: string,
  problems: Problems,
): void {
  const { file, line } = header;
  problems.add({ code: 'DATA.COLUMN', file, line, reason, hint, ...(cell === undefined ? {} : { cell }) });
}

function columnsHint(header: Header): string {
  const shown = header.cells.slice(0, 10).join(', ');
  return `the columns here are ${shown}${header.cells.length > 10 ? `, … (${header.cells.length})` : ''}`;
}

function globRegex(pattern: string): RegExp {
  const escaped = pattern.replaceAll(/[.+^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`, 'su');
}
