/** The report of `validate --data` for people: columns, classes, and what to look at before training. */
import type { ColumnReport, DataReport, Finding } from '#storage';
import { formatCount, plural } from './plain-numbers.js';
import type { Paint } from './terminal.js';
import { alignColumns } from './text-columns.js';

/** An image has hundreds of columns that look alike; `--json` has them all. */
const MOST_COLUMNS = 40;
const MOST_CLASSES = 20;
const MOST_NAMES = 5;

export function renderDataReport(report: DataReport, paint: Paint): string {
  const { rows, skippedRows, features, targets, classes, findings } = report;
  const shown = features.slice(0, MOST_COLUMNS);
  const columns = alignColumns([
    ['column', 'holds', 'missing', 'different', 'range'],
    ...targets.map((target) => cellsOf({ ...target, name: `${target.name} (target)` })),
    ...shown.map(cellsOf),
  ]);
  const skipped = skippedRows === 0 ? '' : `, ${plural(skippedRows, 'row')} skipped`;
  return [
    `${paint('bold', 'data')}     ${plural(rows, 'row')} of ${plural(features.length, 'column')} and ${plural(targets.length, 'target')}${skipped}`,
    ...columns.map((line, index) => `  ${index === 0 ? paint('dim', line) : line}`),
    ...(features.length > shown.length
      ? [paint('dim', `  and ${plural(features.length - shown.length, 'column')} more; --json has all`)]
      : []),
    ...classLines(classes, rows, paint),
    ...(findings.length === 0 ? [`  ${paint('green', 'nothing odd was found')}`] : []),
    ...findings.map((finding) => `  ${paint('yellow', 'look at')} ${sentence(finding)}`),
  ].join('\n');
}

function cellsOf({ name, holds, missing, different, range }: ColumnReport): readonly string[] {
  const bounds = range === undefined ? '' : `${short(range.least)} to ${short(range.most)}, mean ${short(range.mean)}`;
  const count = different === undefined ? (holds === 'hashed words' ? '' : 'many') : formatCount(different);
  return [name, holds, missing === 0 ? '' : formatCount(missing), count, bounds];
}

const short = (value: number): string => String(Number(value.toPrecision(5)));

function classLines(classes: DataReport['classes'], rows: number, paint: Paint): readonly string[] {
  if (classes.length === 0) return [];
  const shown = classes.slice(0, MOST_CLASSES);
  const lines = alignColumns([
    ['class', 'rows', 'share'],
    ...shown.map((each) => [each.label, formatCount(each.rows), `${((100 * each.rows) / rows).toFixed(1)} %`]),
  ]);
  const more = classes.length - shown.length;
  return [
    ...lines.map((line, index) => `  ${index === 0 ? paint('dim', line) : line}`),
    ...(more === 0 ? [] : [paint('dim', `  and ${plural(more, 'class', 'classes')} more; --json has all`)]),
  ];
}

/** What was found, and what to do about it. */
function sentence({ kind, names }: Finding): string {
  const listed = list(names);
  switch (kind) {
    case 'constant':
      return `${listed}: the same value in every row. It teaches nothing: leave it out with data.features`;
    case 'mostlyMissing':
      return `${listed}: empty in more than half of the rows. Fill it where it comes from, or leave it out`;
    case 'rowNumber':
      return `${listed}: counts the rows. A model would learn the order of the file: leave it out`;
    case 'sameColumn':
      return `${listed}: the same in every row. One of them is enough`;
    case 'tellsTarget':
      return `${listed}: tells the target exactly. Is it known when you predict? If not, leave it out`;
    case 'rareClasses':
      return `${listed}: less than a twentieth of the most frequent class. Try train.classWeights: balanced, and judge by macroF1`;
    case 'farFromOne':
      return `${listed}: targets in the thousands and beyond. They are not scaled, and a network starts near 0: set data.scaleTarget: standard`;
    default:
      return kind satisfies never;
  }
}

function list(names: readonly string[]): string {
  const shown = names.slice(0, MOST_NAMES).join(', ');
  return names.length > MOST_NAMES ? `${shown} and ${names.length - MOST_NAMES} more` : shown;
}
