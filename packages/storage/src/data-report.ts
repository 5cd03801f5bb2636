/** What lies in the columns of a data set, before anything is trained on it, and what is odd about them. */
import { setImmediate } from 'node:timers/promises';
import type { DataSpec } from '#training';
import { openBlockSpace } from './block-store.js';
import type { FeatureKind } from './column-kinds.js';
import { type ColumnFacts, type ColumnTally, tallyColumn } from './column-tally.js';
import { type DatasetReading, readDataset } from './dataset-reading.js';
import { FAR_TARGET } from './far-targets.js';
import type { ColumnContent } from './table.js';

export interface ColumnReport {
  readonly name: string;
  readonly holds: 'numbers' | 'words' | 'hashed words' | 'classes';
  /** Empty cells, of all rows that were read. */
  readonly missing: number;
  /** Different values; absent: more than were counted, or hashed. */
  readonly different?: number;
  /** Of numbers, over the rows that can be used; absent where there is none. */
  readonly range?: { readonly least: number; readonly most: number; readonly mean: number };
}

/** Something to look at before training. Nothing of it ends a run. */
export interface Finding {
  readonly kind:
    | 'constant'
    | 'mostlyMissing'
    | 'rowNumber'
    | 'sameColumn'
    | 'tellsTarget'
    | 'rareClasses'
    | 'farFromOne';
  /** Columns, or labels with `rareClasses`. */
  readonly names: readonly string[];
}

export interface DataReport {
  /** Of `data.source`, that can be used. */
  readonly rows: number;
  readonly skippedRows: number;
  readonly features: readonly ColumnReport[];
  readonly targets: readonly ColumnReport[];
  /** Of a classification, with the most frequent first. */
  readonly classes: readonly { readonly label: string; readonly rows: number }[];
  readonly findings: readonly Finding[];
}

export interface ReportOptions {
  /** Without patterns: `expandSources` replaces them. */
  readonly spec: DataSpec;
  resolve(path: string): string | Promise<string>;
  /** Where cells go that are too many for memory. */
  readonly directory: string;
  readonly signal?: AbortSignal;
}

const MOSTLY = 0.5;
/** A class this much rarer than the most frequent one is easily never predicted. */
const RARE = 1 / 20;
const CELLS_A_TURN = 1 << 18;

/**
 * Reads all files of a data set as `prepareDataset` does and describes the rows of `data.source`. Memory is bounded as there.
 * @throws RopeteamError CONFIG or DATA, with every problem of the files
 */
export async function describeData({ spec, resolve, directory, signal }: ReportOptions): Promise<DataReport> {
  using space = openBlockSpace(directory);
  const reading = await readDataset({ spec, resolve, space, ...(signal === undefined ? {} : { signal }) });
  const tallies = await tally(reading, signal);
  const facts = tallies.map((each) => each.finish());
  const { features, target, source } = reading;
  const { table } = source.loaded;
  const reports = table.columns.map((content, column) =>
    reportOf(content, features[column], facts[column]!, target.kind),
  );
  const [own, targets] = [reports.slice(0, features.length), reports.slice(features.length)];
  const classes = target.kind === 'classification' ? classesOf(target.classes, facts[features.length]!) : [];
  return {
    rows: source.rows.length,
    skippedRows: reading.skippedRows,
    features: own,
    targets,
    classes,
    findings: [
      ...findingsOf(own, facts, table.rows),
      ...finding('rareClasses', rareOf(classes)),
      ...finding('farFromOne', target.kind === 'regression' && spec.scaleTarget === 'none' ? farOf(targets) : []),
    ],
  };
}

/** One pass over the rows, each column beside the first target. */
async function tally(
  { source, features, target }: DatasetReading,
  signal?: AbortSignal,
): Promise<readonly ColumnTally[]> {
  const { table } = source.loaded;
  const groupsOf = (column: number): number => {
    const kind = features[column];
    if (kind === undefined) return target.kind === 'classification' ? target.classes.length : 0;
    return kind.kind === 'words' ? kind.categories.length : kind.kind === 'hashed' ? kind.buckets : 0;
  };
  const tallies = table.columns.map((_, column) => tallyColumn(groupsOf(column), target.kind));
  const turn = Math.max(1, Math.floor(CELLS_A_TURN / tallies.length));
  for (let at = 0; at < source.rows.length; at++) {
    if (at % turn === 0) {
      await setImmediate();
      signal?.throwIfAborted();
    }
    const row = source.rows[at]!;
    const wanted = table.cell(row, features.length);
    for (let column = 0; column < tallies.length; column++) tallies[column]!.add(table.cell(row, column), wanted);
  }
  return tallies;
}

function reportOf(
  { column, counts, texts, cells }: ColumnContent,
  feature: FeatureKind | undefined,
  { range }: ColumnFacts,
  task: 'regression' | 'classification',
): ColumnReport {
  const kinds = { number: 'numbers', words: 'words', hashed: 'hashed words' } as const;
  const holds = feature === undefined ? (task === 'regression' ? 'numbers' : 'classes') : kinds[feature.kind];
  const different = texts === undefined ? undefined : cells.filter(({ kind }) => kind !== 'missing').length;
  return {
    name: column.name,
    holds,
    missing: counts.missing,
    ...(different === undefined ? {} : { different }),
    ...(holds === 'numbers' && range !== undefined ? { range } : {}),
  };
}

function classesOf(labels: readonly string[], { groups }: ColumnFacts): DataReport['classes'] {
  return labels
    .map((label, index) => ({ label, rows: groups[index] ?? 0 }))
    .toSorted((one, other) => other.rows - one.rows);
}

/** @param rows that were read */
function findingsOf(
  features: readonly ColumnReport[],
  facts: readonly ColumnFacts[],
  rows: number,
): readonly Finding[] {
  const named = (isSo: (facts: ColumnFacts, column: ColumnReport) => boolean): readonly string[] =>
    features.filter((column, index) => isSo(facts[index]!, column)).map(({ name }) => name);
  const first = new Map<string, string>();
  const twins = features.flatMap(({ name }, index) => {
    const { isConstant, digest } = facts[index]!;
    if (isConstant) return [];
    const before = first.get(digest);
    if (before === undefined) first.set(digest, name);
    return before === undefined ? [] : [`${name} = ${before}`];
  });
  return [
    ...finding(
      'constant',
      named(({ isConstant }) => isConstant),
    ),
    ...finding(
      'mostlyMissing',
      named((_, { missing }) => missing > MOSTLY * rows),
    ),
    ...finding(
      'rowNumber',
      named(({ countsRows }) => countsRows),
    ),
    ...finding('sameColumn', twins),
    ...finding(
      'tellsTarget',
      named(({ tellsTarget }) => tellsTarget),
    ),
  ];
}

const finding = (kind: Finding['kind'], names: readonly string[]): readonly Finding[] =>
  names.length === 0 ? [] : [{ kind, names }];

function rareOf(classes: DataReport['classes']): readonly string[] {
  const most = classes[0]?.rows ?? 0;
  return classes.filter(({ rows }) => rows < RARE * most).map(({ label }) => label);
}

function farOf(targets: readonly ColumnReport[]): readonly string[] {
  return targets
    .filter(({ range }) => range !== undefined && Math.max(Math.abs(range.least), Math.abs(range.most)) > FAR_TARGET)
    .map(({ name }) => name);
}
