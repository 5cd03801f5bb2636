/** What the reading of all files of one data set shares: the problems, the counts, the hash over their bytes. */
import { createHash } from 'node:crypto';
import type { DataSpec, SplitSource } from '#training';
import { RopeteamError } from '#training';
import type { BlockSpace } from './block-store.js';
import { decideFeature, decideTarget, type FeatureKind, type TargetKind } from './column-kinds.js';
import { encodeTable } from './encode-table.js';
import type { SourceFile } from './file-bytes.js';
import { chooseColumns, findColumns, type NamedColumn } from './header.js';
import { loadFile } from './load-file.js';
import type { LoadedTable, LoadOptions } from './load-table.js';
import { collectProblems } from './problems.js';
import { vetRows } from './vet-rows.js';

export interface ReadingOptions {
  readonly spec: DataSpec;
  resolve(path: string): string | Promise<string>;
  /** Where what was read goes. */
  readonly space: BlockSpace;
  readonly signal?: AbortSignal;
  onProgress?(rows: number): void;
}

/** A table whose cells are numbers, and the rows of it that are samples. */
export interface Samples {
  readonly loaded: LoadedTable;
  readonly rows: Uint32Array;
}

export interface DatasetReading {
  readonly source: Samples;
  /** Only those that are files of their own. */
  readonly validation: Samples | undefined;
  readonly test: Samples | undefined;
  readonly features: readonly FeatureKind[];
  readonly target: TargetKind;
  /** SHA-256 of the files' bytes. */
  readonly sha256: string;
  readonly skippedRows: number;
  readonly warnings: readonly string[];
}

/** What the job calls a file, and that of its labels if it has one. */
interface NamedPaths {
  readonly path: string;
  readonly labels?: string;
}

/** Reads all files of a data set into tables of numbers, or throws everything that is wrong with them. */
export async function readDataset(options: ReadingOptions): Promise<DatasetReading> {
  const { spec, signal } = options;
  const problems = collectProblems();
  const hash = createHash('sha256');
  let rowsBefore = 0;
  let badRows = 0;
  let droppedRows = 0;

  /** Throws when there are problems that `badRows` does not allow. */
  const check = async (delimiter: string, fatalOnly: boolean): Promise<void> => {
    const tolerated = spec.badRows === 'skip' && badRows <= spec.maxBadRows;
    const stops = problems.fatalCount > 0 || (!fatalOnly && problems.count > 0 && !tolerated);
    if (!stops) return;
    const tooMany = `${badRows} bad rows, more than the ${spec.maxBadRows} that data.maxBadRows allows`;
    const error = await problems.toError(
      delimiter,
      spec.badRows === 'skip' && problems.fatalCount === 0 ? tooMany : undefined,
    );
    if (error !== undefined) throw error;
  };

  const load = async (from: NamedPaths, choose: LoadOptions['choose']): Promise<LoadedTable> => {
    const named = async (name: string): Promise<SourceFile> => ({ name, path: await options.resolve(name) });
    const file = await named(from.path);
    const files = from.labels === undefined ? { samples: file } : { samples: file, labels: await named(from.labels) };
    const loaded = await loadFile(files, {
      spec,
      hash,
      choose,
      problems,
      space: options.space,
      ...(signal === undefined ? {} : { signal }),
      onProgress: (rows) => options.onProgress?.(rowsBefore + rows),
    });
    badRows += loaded.brokenRows;
    if (loaded.table === undefined) {
      await check(loaded.delimiter, false);
      throw new Error('a file without a table must have left a problem');
    }
    if (loaded.table.rows === 0) {
      await check(loaded.delimiter, false);
      throw noRows(file, loaded.brokenRows);
    }
    rowsBefore += loaded.table.rows;
    return loaded;
  };

  const source = await load(
    { path: spec.source, ...(spec.labels === undefined ? {} : { labels: spec.labels }) },
    (header, found) => chooseColumns(spec, header, found),
  );
  const { features, target } = decideKinds(source);
  await check(source.delimiter, true);

  const accept = async (loaded: LoadedTable): Promise<Samples> => {
    const encoded = encodeTable(loaded.table, features, target);
    const vetted = await vetRows(loaded, encoded, features, target, spec.missing, problems);
    badRows += vetted.badRows;
    droppedRows += vetted.droppedRows;
    return { loaded: { ...loaded, table: encoded.table }, rows: vetted.rows };
  };
  const own = async (split: SplitSource): Promise<Samples | undefined> =>
    split.kind === 'fraction'
      ? undefined
      : accept(await load(split, (header, found) => findColumns(source.columns, header, found)));

  const samples = await accept(source);
  const validation = await own(spec.split.validation);
  const test = await own(spec.split.test);
  await check(source.delimiter, false);
  return {
    source: samples,
    validation,
    test,
    features,
    target,
    sha256: hash.digest('hex'),
    skippedRows: badRows + droppedRows,
    warnings: [
      ...(badRows > 0 ? [`${badRows} bad rows were skipped`] : []),
      ...(droppedRows > 0 ? [`${droppedRows} rows with a missing value were dropped`] : []),
    ],
  };

  function decideKinds(loaded: LoadedTable): { features: readonly FeatureKind[]; target: TargetKind } {
    const contents = loaded.table.columns;
    const targetContents = contents.slice(loaded.columns.features.length);
    const features = loaded.columns.features.flatMap((column, index) => {
      const decided = decideFeature(contents[index]!, spec);
      if ('kind' in decided) return [decided];
      addColumnProblem(loaded, column, decided);
      return [];
    });
    const target = decideTarget(spec, targetContents, loaded.table.rows);
    if ('kind' in target) return { features, target };
    addColumnProblem(loaded, loaded.columns.targets[0]!, target);
    return { features, target: { kind: 'regression' } }; // never used: the problem stops the reading
  }

  function addColumnProblem(loaded: LoadedTable, cell: NamedColumn, problem: { reason: string; hint: string }): void {
    const { file, line } = loaded.header;
    problems.add({ code: 'DATA.COLUMN', file, line, cell, ...problem });
  }
}

function noRows(file: SourceFile, brokenRows: number): RopeteamError {
  const found =
    brokenRows === 0 ? 'a header and no rows below it' : `no row that could be used (${brokenRows} bad rows)`;
  return new RopeteamError('DATA.TOO_FEW', { samples: 0 }, `${file.name} has ${found}`, {
    place: { file: file.name, line: 1 },
    hint: 'write one line a sample below the header',
  });
}
