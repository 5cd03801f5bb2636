/** The redrawn block of a live terminal, and the single line for narrow ones and logs. Strings in, strings out. */
import {
  formatClock,
  formatCount,
  formatMilliseconds,
  formatPercent,
  formatRate,
  formatSignificant,
  plural,
} from '../plain-numbers.js';
import type { Paint, Style } from '../terminal.js';
import { committedSteps, epochNumber, formatMetrics, type RunView, ratesOf, workerCount } from './run-view.js';

/** A piece of a line; pieces at the end give way first when the line is too long. */
interface Piece {
  readonly text: string;
  readonly style?: Style;
}

/** Narrower terminals get one line. */
export const NARROW = 60;
const BAR_CELLS = 22;
const GAP = '  ';

/** Lines to draw, none wider than `columns`. */
export function renderBlock(view: RunView, columns: number, paint: Paint): readonly string[] {
  if (columns < NARROW) return [join(headline(view, 0), columns, paint)];
  const notices = view.notices.map((text) => paint('dim', clip(`${GAP}${text}`, columns)));
  const lines = [headline(view, BAR_CELLS), rateLine(view), pageLine(view)].map((line) => join(line, columns, paint));
  return [...lines, ...notices].filter((line) => line !== '');
}

/** The same in one line without drawing, for logs and pipes. */
export function renderLine(view: RunView): string {
  const rates = ratesOf(view);
  const rest = rates === undefined ? [] : speed(rates);
  return [...headline(view, 0), ...rest].map(({ text }) => text).join(GAP);
}

function headline(view: RunView, barCells: number): readonly Piece[] {
  const { started, latest } = view;
  if (started === undefined) return [{ text: beforeStart(view), style: 'dim' }];
  const done = latest === undefined ? 0 : committedSteps(latest);
  const share = started.steps === 0 ? 0 : Math.min(1, done / started.steps);
  const epoch = latest === undefined ? 1 : epochNumber(latest);
  return [
    { text: `epoch ${epoch}/${started.epochs}`, style: 'bold' },
    ...(barCells === 0 ? [] : [{ text: bar(share, barCells), style: 'cyan' as const }]),
    { text: formatPercent(share).replace(/\.\d/, '') },
    { text: `step ${formatCount(done)}/${formatCount(started.steps)}` },
    ...(latest === undefined ? [] : [{ text: `loss ${formatSignificant(latest.loss)}`, style: 'bold' as const }]),
    ...(view.validation === undefined ? [] : [{ text: `val ${formatMetrics(view.validation)}` }]),
    ...(latest === undefined ? [] : [{ text: `lr ${formatRate(latest.learningRate)}`, style: 'dim' as const }]),
  ];
}

function rateLine(view: RunView): readonly Piece[] {
  const rates = ratesOf(view);
  if (rates === undefined || view.phases === undefined) return [];
  const { broadcastMs, computeMs, uploadMs, averageMs } = view.phases;
  const stepMs = 1000 / rates.stepsPerSecond;
  const wireMs = broadcastMs + uploadMs;
  const phases = [
    `compute ${formatMilliseconds(computeMs)}`,
    `wire ${formatMilliseconds(wireMs)}`,
    `average ${formatMilliseconds(averageMs)}`,
    // Waiting, the journal, and the evaluations between epochs, which no step counts.
    `other ${formatMilliseconds(Math.max(0, stepMs - computeMs - wireMs - averageMs))}`,
  ];
  const [samples, left] = speed(rates);
  return [
    { text: ` ${samples?.text}` },
    ...(view.state === 'training' && left !== undefined ? [left] : [{ text: view.state, style: 'yellow' as const }]),
    { text: plural(workerCount(view), 'worker') },
    { text: `${formatMilliseconds(stepMs)} ms/step (${phases.join(' · ')})`, style: 'dim' },
  ];
}

/** Where the rest of it is to be seen. */
function pageLine({ started, state }: RunView): readonly Piece[] {
  if (started === undefined || state !== 'training') return [];
  return [{ text: ` live page ${started.dashboard}`, style: 'dim' }];
}

function speed(rates: { readonly samplesPerSecond: number; readonly secondsLeft: number }): readonly Piece[] {
  return [
    { text: `${formatCount(rates.samplesPerSecond)} samples/s` },
    { text: `${formatClock(rates.secondsLeft)} left` },
  ];
}

/** A bar with half cells: `━━━━╸───`. */
function bar(share: number, cells: number): string {
  const halves = Math.round(share * cells * 2);
  const full = Math.floor(halves / 2);
  const half = halves % 2 === 1 ? '╸' : '';
  return `${'━'.repeat(full)}${half}${'─'.repeat(cells - full - half.length)}`;
}

/** Joins as many pieces as fit, in order; the first is clipped if even that is too wide. */
function join(pieces: readonly Piece[], columns: number, paint: Paint): string {
  let width = 0;
  const fitting: string[] = [];
  for (const { text, style } of pieces) {
    const needed = fitting.length === 0 ? 0 : width + GAP.length;
    if (fitting.length > 0 && needed + text.length > columns) break;
    const shown = clip(text, columns);
    fitting.push(style === undefined ? shown : paint(style, shown));
    width = needed + shown.length;
  }
  return fitting.join(GAP);
}

function clip(text: string, columns: number): string {
  return text.length <= columns ? text : `${text.slice(0, Math.max(0, columns - 1))}…`;
}

function beforeStart({ run, rowsRead }: RunView): string {
  if (run === '') return 'starting';
  return rowsRead === undefined ? `${run}: preparing` : `${run}: reading the data, ${plural(rowsRead, 'row')} so far`;
}
