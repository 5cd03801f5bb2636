/** The end of `ropeteam chaos`, as a table for people. */
import { formatPercent, formatSeconds, plural } from '../plain-numbers.js';
import type { Paint } from '../terminal.js';
import { alignColumns } from '../text-columns.js';
import type { FaultTally, Outcome, Survival } from './survival.js';

/** Lines for stdout. `replay` is the command that does it all again. */
export function renderSurvival(survival: Survival, replay: string, paint: Paint): string {
  const { faults, missed, calm, disturbed, sameBits } = survival;
  const struck = faults.reduce((sum, one) => sum + one.struck, 0);
  const [header = '', ...rows] = alignColumns([
    ['fault', 'struck', 'survived', 'noticed within', 'next step within'],
    ...faults.map(faultRow),
  ]);
  const [outcomeHeader = '', ...outcomes] = alignColumns([
    ['run', 'time', 'goodput', 'folder'],
    outcomeRow('calm', calm),
    ...(disturbed === undefined ? [] : [outcomeRow('with faults', disturbed)]),
  ]);
  return [
    headline(survival, struck, paint),
    '',
    ...(struck === 0
      ? [`  ${paint('yellow', 'The run was over before the first fault: try a shorter --every, or more epochs.')}`]
      : [`  ${paint('dim', header)}`, ...rows.map((row) => `  ${row}`)]),
    ...(missed === 0 ? [] : [paint('dim', `  ${missed} more found nobody to hit`)]),
    '',
    `  ${paint('dim', outcomeHeader)}`,
    ...outcomes.map((row) => `  ${row}`),
    '',
    ...hashes('weights', calm.weightsSha256, disturbed?.weightsSha256, paint),
    ...hashes('optimizer', calm.optimizerSha256, disturbed?.optimizerSha256, paint),
    `  ${paint('dim', 'same bits'.padEnd(10))} ${sameBits ? paint('green', 'YES') : paint('red', 'NO')}`,
    `  ${paint('dim', 'replay'.padEnd(10))} ${replay}`,
  ].join('\n');
}

function headline({ calm, disturbed, sameBits }: Survival, struck: number, paint: Paint): string {
  const faults = plural(struck, 'fault');
  if (disturbed === undefined) return `${paint('red', '✗')} ${paint('bold', calm.run)}  did not survive ${faults}`;
  if (!sameBits) return `${paint('red', '✗')} ${paint('bold', disturbed.run)}  other bits after ${faults}`;
  return `${paint('green', '✓')} ${paint('bold', disturbed.run)}  ${faults}, and the same bits as the calm run`;
}

function faultRow({ kind, struck, survived, noticedMs, nextStepMs }: FaultTally): readonly string[] {
  return [kind, String(struck), String(survived), secondsOf(noticedMs), secondsOf(nextStepMs)];
}

function secondsOf(milliseconds: number | undefined): string {
  return milliseconds === undefined ? '–' : `${(milliseconds / 1000).toFixed(2)} s`;
}

function outcomeRow(name: string, { seconds, goodput, run }: Outcome): readonly string[] {
  return [name, formatSeconds(seconds), formatPercent(goodput), run];
}

/** One line where they agree, both where they don't. */
function hashes(name: string, calm: string, disturbed: string | undefined, paint: Paint): readonly string[] {
  const line = (title: string, text: string): string => `  ${paint('dim', title.padEnd(10))} ${text}`;
  if (calm === disturbed) return [line(name, `sha256 ${calm}`)];
  return [line(name, `sha256 ${calm} calm`), line('', `sha256 ${disturbed ?? 'none'} with faults`)];
}
