/** What the columns of a training table hold: numbers or words, classes or measurements. */
import type { ColumnSpec, DataSpec, Task } from '#training';
import { RopeteamError } from '#training';
import type { Problem } from './problems.js';
import type { ColumnContent } from './table.js';

/** Different labels a target may have: beyond that it can only be numbers. */
export const MAX_CLASSES = 65_536;
/** Columns a file may have. */
export const MAX_COLUMNS = 100_000;

export type FeatureKind =
  | { readonly kind: 'number'; readonly name: string }
  | { readonly kind: 'words'; readonly name: string; readonly categories: readonly string[] }
  | { readonly kind: 'hashed'; readonly name: string; readonly buckets: number };

export type TargetKind =
  | { readonly kind: 'regression' }
  /** `numeric`: labels are whole numbers and equal as numbers; otherwise they are texts. */
  | { readonly kind: 'classification'; readonly numeric: boolean; readonly classes: readonly string[] };

/** Why a column cannot be used: a problem without its place. */
export type ColumnProblem = Pick<Problem, 'reason' | 'hint'>;

/** What a job says of a column, if it says anything. */
export function columnSpec({ columns }: Pick<DataSpec, 'columns'>, name: string): ColumnSpec | undefined {
  return columns !== undefined && Object.hasOwn(columns, name) ? columns[name] : undefined;
}

/**
 * A column holds numbers when most of its cells are numbers (also unusable ones, like `1,5`: those are reported), and
 * words otherwise. Empty cells don't count. `data.columns` overrules.
 */
export function decideFeature(
  content: ColumnContent,
  spec: Pick<DataSpec, 'columns' | 'maxCategories'>,
): FeatureKind | ColumnProblem {
  const { name, buckets } = content.column;
  const { maxCategories } = spec;
  if (columnSpec(spec, name) === undefined && holdsNumbers(content)) return { kind: 'number', name };
  if (content.counts.word === 0 && !content.texts?.some((text) => text !== '')) {
    return { reason: 'has no value in any row', hint: 'leave the column out with data.features' };
  }
  if (buckets !== undefined) return { kind: 'hashed', name, buckets };
  const categories = content.texts?.filter((text) => text !== '').toSorted(byCodePoint);
  if (categories === undefined || categories.length > maxCategories) {
    return {
      reason: `holds more than ${maxCategories} different words, and each would become an input of its own`,
      hint: `hash them with data.columns: { ${JSON.stringify(name)}: { kind: category, buckets: 1024 } }, raise data.maxCategories, or leave the column out with data.features`,
    };
  }
  return { kind: 'words', name, categories };
}

/**
 * Classification or regression. Several targets: regression. Words: classification. Numbers: classification when they are
 * whole, at most 20 different ones, and each occurs three times on average; else regression. `data.task` overrules.
 */
export function decideTarget(
  spec: DataSpec,
  targets: readonly ColumnContent[],
  rows: number,
): TargetKind | ColumnProblem {
  const task = spec.task ?? inferTask(targets, rows);
  if (task === 'regression') return { kind: 'regression' };
  const [target] = targets;
  if (target === undefined || targets.length > 1) {
    throw new RopeteamError(
      'CONFIG.CONFLICT',
      { key: 'data.target' },
      'classification has one target column, not several',
      {
        hint: 'name one column in data.target, or set data.task to regression',
      },
    );
  }
  return decideClasses(target);
}

function inferTask(targets: readonly ColumnContent[], rows: number): Task {
  const [target] = targets;
  if (target === undefined || targets.length > 1) return 'regression';
  if (!holdsNumbers(target)) return 'classification';
  const numbers = target.cells.filter(({ kind }) => kind === 'number').map(({ value }) => value);
  const different = new Set(numbers).size;
  const fewWhole = target.texts !== undefined && different <= 20 && numbers.every(Number.isSafeInteger);
  return fewWhole && different * 3 <= rows ? 'classification' : 'regression';
}

function decideClasses(target: ColumnContent): TargetKind | ColumnProblem {
  if (target.texts === undefined) {
    return {
      reason: `holds more than ${MAX_CLASSES} different labels`,
      hint: 'set data.task to regression if these are measurements',
    };
  }
  const numeric = holdsNumbers(target);
  const classes = numeric
    ? [...new Set(target.cells.map(({ value }) => value).filter(Number.isSafeInteger))]
        .sort((a, b) => a - b)
        .map(String)
    : target.texts.filter((text) => text !== '').toSorted(byCodePoint);
  if (classes.length === 0) {
    return { reason: 'holds fractions, not labels', hint: 'set data.task to regression if these are measurements' };
  }
  if (classes.length === 1) {
    return {
      reason: `has one class only, ${JSON.stringify(classes[0])}: there is nothing to learn`,
      hint: 'add rows of other classes, or name another column in data.target',
    };
  }
  return { kind: 'classification', numeric, classes };
}

function holdsNumbers({ counts }: ColumnContent): boolean {
  return counts.number + counts.unusable > counts.word;
}

/** By code point, not by UTF-16 unit and not by locale: the same order on every machine. */
function byCodePoint(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
