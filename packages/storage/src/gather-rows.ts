/** The rows of all files of a split in one table, in whichever order a file has its columns. */
import type { DataSpec } from '#training';
import type { BlockSpace } from './block-store.js';
import { columnSpec, MAX_CLASSES } from './column-kinds.js';
import type { SourceFile } from './file-bytes.js';
import { addColumnProblem, type ChosenColumns, checkHeader, type Header, type NamedColumn } from './header.js';
import type { Problems } from './problems.js';
import { buildTable, type Table, type TableBuilder, type TableColumn } from './table.js';

export interface RowGathering {
  /** So far, of all files. */
  readonly rows: number;
  /** Begins a file; undefined when problems were added, and its rows are of no use. */
  begin(header: Header): FileRows | undefined;
  /** Undefined when no file was begun. */
  finish(): GatheredRows | undefined;
}

/** Takes the rows of one file. */
export interface FileRows {
  /** What is kept of a row, where it is in this file. */
  readonly columns: ChosenColumns;
  /** @param cells all of the record, in the order of its file's header */
  add(cells: readonly (string | number)[], line: number): void;
}

export interface GatheredRows {
  /** Of the first file. */
  readonly header: Header;
  readonly columns: ChosenColumns;
  /** Features in the order of `columns.features`, then the targets. */
  readonly table: Table;
  /** The file a row came from. */
  fileOf(row: number): SourceFile;
}

export interface GatheringOptions {
  readonly spec: DataSpec;
  readonly problems: Problems;
  /** Picks the columns of the first file, or adds to `problems` and returns undefined. */
  choose(header: Header, problems: Problems): ChosenColumns | undefined;
  readonly space?: BlockSpace;
}

interface FirstFile {
  readonly header: Header;
  readonly columns: ChosenColumns;
  readonly builder: TableBuilder;
}

export function gatherRows({ spec, problems, choose, space }: GatheringOptions): RowGathering {
  const begun: { readonly file: SourceFile; readonly firstRow: number }[] = [];
  let first: FirstFile | undefined;
  let rows = 0;

  const keep = (builder: TableBuilder, cells: readonly (string | number)[], line: number): void => {
    builder.add(cells, line);
    rows++;
  };

  return {
    get rows() {
      return rows;
    },
    begin(header) {
      begun.push({ file: header.file, firstRow: rows });
      if (first === undefined) {
        const columns = choose(header, problems);
        if (columns === undefined) return undefined;
        const builder = buildTable(tableColumns(columns, spec), space);
        first = { header, columns, builder };
        return { columns, add: (cells, line) => keep(builder, cells, line) };
      }
      if (!hasSameColumns(header, first.header, problems)) return undefined;
      const { builder } = first;
      const here = (column: NamedColumn): NamedColumn => ({
        name: column.name,
        index: header.cells.indexOf(column.name),
      });
      const features = first.columns.features.map(here);
      const targets = first.columns.targets.map(here);
      const moves = [...first.columns.features, ...first.columns.targets].map(({ index }, at) => ({
        to: index,
        from: [...features, ...targets][at]!.index,
      }));
      const columns = { features, targets };
      if (moves.every(({ from, to }) => from === to)) {
        return { columns, add: (cells, line) => keep(builder, cells, line) };
      }
      const moved: (string | number)[] = header.cells.map(() => '');
      return {
        columns,
        add(cells, line) {
          for (const { from, to } of moves) moved[to] = cells[from]!;
          keep(builder, moved, line);
        },
      };
    },
    finish() {
      if (first === undefined) return undefined;
      const { header, columns, builder } = first;
      return { header, columns, table: builder.finish(), fileOf: (row) => fileOfRow(begun, row) };
    },
  };
}

/** What the table keeps: features, then targets, each with the size of its dictionary. */
function tableColumns({ features, targets }: ChosenColumns, spec: DataSpec): readonly TableColumn[] {
  return [
    // One more for the empty text, one more so that too many are seen to be too many.
    ...features.map((column) => {
      const buckets = columnSpec(spec, column.name)?.buckets;
      return { ...column, limit: spec.maxCategories + 2, ...(buckets === undefined ? {} : { buckets }) };
    }),
    ...targets.map((column) => ({ ...column, limit: MAX_CLASSES + 1 })),
  ];
}

/** Whether a file has the columns of the first one, in any order; each that differs is a problem. */
function hasSameColumns(header: Header, first: Header, problems: Problems): boolean {
  const before = problems.count;
  checkHeader(header, problems);
  if (problems.count > before) return false;
  const [here, there] = [new Set(header.cells), new Set(first.cells)];
  const hint = `write the same columns into all files, as in ${first.file.name}, or name fewer files in data.source`;
  for (const name of first.cells) {
    if (here.has(name)) continue;
    const reason = `has no column ${JSON.stringify(name)}, which ${first.file.name} has`;
    addColumnProblem(header, { name }, reason, hint, problems);
  }
  for (const [index, name] of header.cells.entries()) {
    if (there.has(name)) continue;
    addColumnProblem(header, { name, index }, `is a column that ${first.file.name} does not have`, hint, problems);
  }
  return problems.count === before;
}

function fileOfRow(begun: readonly { readonly file: SourceFile; readonly firstRow: number }[], row: number) {
  let [low, high] = [0, begun.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (begun[middle]!.firstRow <= row) low = middle;
    else high = middle - 1;
  }
  return begun[low]!.file;
}
