/** Collects what is wrong with a data set, so that all of it is reported at once, each with its place. */
import { type ErrorPlace, RopeteamError } from '#training';
import { locateCell } from './csv-records.js';
import type { SourceFile } from './file-bytes.js';
import { locateKey } from './json-lines.js';
import { excerpt, readLines } from './text-lines.js';

/** Problems reported at most. */
export const MAX_PROBLEMS = 20;

export interface Problem {
  readonly code: 'DATA.FORMAT' | 'DATA.ROW' | 'DATA.CELL' | 'DATA.LABEL' | 'DATA.COLUMN';
  readonly file: SourceFile;
  readonly line: number;
  /** Name of the table's column and, where the line has it, which of its cells that is, from 0, from which character on. */
  readonly cell?: { readonly name?: string; readonly index?: number; readonly offset?: number };
  readonly reason: string;
  readonly hint: string;
  /** Leaving the row out does not help. True of every problem with the format or a column. */
  readonly fatal?: boolean;
}

export interface Problems {
  /** How many there were, also beyond those kept. */
  readonly count: number;
  /** How many of them leaving rows out cannot help. */
  readonly fatalCount: number;
  add(problem: Problem): void;
  /** One error for all of them, or undefined when there were none. Reads the lines again to quote them. */
  toError(delimiter: string, heading?: string): Promise<RopeteamError | undefined>;
}

export function collectProblems(): Problems {
  const kept: Problem[] = [];
  let count = 0;
  let fatalCount = 0;
  return {
    get count() {
      return count;
    },
    get fatalCount() {
      return fatalCount;
    },
    add(problem) {
      count++;
      if (problem.fatal === true || problem.code === 'DATA.COLUMN' || problem.code === 'DATA.FORMAT') fatalCount++;
      if (kept.length < MAX_PROBLEMS) kept.push(problem);
    },
    async toError(delimiter, heading) {
      if (kept.length === 0) return undefined;
      const lines = await quoteLines(kept);
      const errors = kept
        .toSorted((a, b) => (a.file === b.file ? a.line - b.line : 0))
        .map((problem) => toError(problem, delimiter, lines.get(problem.file)?.get(problem.line)));
      const [first] = errors;
      if (first !== undefined && count === 1 && heading === undefined) return first;
      const more = count > kept.length ? `; the first ${kept.length} are listed` : '';
      const message = `${heading ?? `${count} problems in the data`}${more}`;
      return new RopeteamError('CONFIG.SEVERAL', { count }, message, {
        problems: errors,
        ...(first?.hint === undefined ? {} : { hint: first.hint }),
      });
    },
  };
}

function toError(problem: Problem, delimiter: string, text: string | undefined): RopeteamError {
  const { code, line, cell, hint } = problem;
  const file = problem.file.name;
  const index = cell?.index;
  const locate = (text: string, index: number) =>
    problem.file.content === 'json'
      ? locateKey(text, cell?.name ?? '')
      : locateCell(text, problem.file.delimiter ?? delimiter, index);
  const located = index === undefined || text === undefined ? undefined : locate(text, index);
  const offset = cell?.offset ?? 0;
  const place: ErrorPlace = {
    file,
    line,
    ...(located === undefined ? {} : { column: located.column + offset, length: located.length - offset }),
    ...(text === undefined ? {} : { text: excerpt(text) }),
  };
  const details = { hint, place };
  const name = cell?.name ?? '';
  const inColumn = index !== undefined && cell?.name !== undefined;
  const rowOfBinary = code === 'DATA.COLUMN' ? file : `${file}, row ${line}`;
  const row = problem.file.content === 'binary' ? rowOfBinary : `${file}:${line}`;
  const where = inColumn ? `${row}, column ${JSON.stringify(name)}` : row;
  const message = `${where}: ${problem.reason}`;
  switch (code) {
    case 'DATA.FORMAT':
      return new RopeteamError(code, { file }, message, details);
    case 'DATA.ROW':
    case 'DATA.LABEL':
      return new RopeteamError(code, { file, line }, message, details);
    case 'DATA.CELL':
      return new RopeteamError(code, { file, line, column: name }, message, details);
    case 'DATA.COLUMN':
      return new RopeteamError(code, { file, column: name }, message, details);
    default:
      return code satisfies never;
  }
}

async function quoteLines(problems: readonly Problem[]): Promise<ReadonlyMap<SourceFile, ReadonlyMap<number, string>>> {
  const quoted = new Map<SourceFile, Map<number, string>>();
  for (const file of new Set(problems.map((problem) => problem.file))) {
    if (file.content === 'binary') continue;
    const wanted = new Set(problems.filter((problem) => problem.file === file).map(({ line }) => line));
    const last = Math.max(...wanted);
    const lines = new Map<number, string>();
    await readLines(file, (text, line) => {
      if (wanted.has(line)) lines.set(line, text);
      return line < last;
    });
    quoted.set(file, lines);
  }
  return quoted;
}
