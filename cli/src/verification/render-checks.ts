/** Checks as a table for people. */
import type { Paint } from '../terminal.js';
import { alignColumns } from '../text-columns.js';
import type { Check } from './check.js';

const MARKS = { held: '✓', broken: '✗', unknown: '–' } as const;
const STYLES = { held: 'green', broken: 'red', unknown: 'yellow' } as const;

/** Problems of one check that are shown; `--json` has all. */
const SHOWN_PROBLEMS = 3;

export function renderChecks(path: string, checks: readonly Check[], paint: Paint): string {
  const rows = alignColumns(checks.map(({ name, meaning }) => [name, meaning]));
  const lines = checks.flatMap(({ outcome, says, problems }, index) => [
    `  ${paint(STYLES[outcome], MARKS[outcome])} ${rows[index] ?? ''}`,
    paint('dim', `    ${says}`),
    ...problems
      .slice(0, SHOWN_PROBLEMS)
      .map(
        ({ file, line, message }) => `    ${paint('red', line === undefined ? file : `${file}:${line}`)}: ${message}`,
      ),
    ...(problems.length > SHOWN_PROBLEMS ? [`    … and ${problems.length - SHOWN_PROBLEMS} more: see --json`] : []),
  ]);
  return [verdict(path, checks, paint), ...lines].join('\n');
}

function verdict(path: string, checks: readonly Check[], paint: Paint): string {
  const broken = checks.filter(({ outcome }) => outcome === 'broken').length;
  const open = checks.filter(({ outcome }) => outcome === 'unknown').length;
  if (broken > 0) return `${paint('red', '✗')} ${paint('bold', path)}: ${broken} of ${checks.length} checks are broken`;
  const but = open === 0 ? '' : `; ${open} could not be answered`;
  return `${paint('green', '✓')} ${paint('bold', path)}: ${checks.length - open} checks hold${but}`;
}
