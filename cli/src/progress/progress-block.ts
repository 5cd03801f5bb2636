/** The redrawn block of a live terminal, and the single line for narrow ones and logs. Strings in, strings out. */
import {
  formatClock,
  formatCount,
  formatMilliseconds,
  formatPercent,
  formatRate,
  formatSeconds,
  formatSignificant,
  plural,
} from '../plain-numbers.js';
import type { Paint, Style } from '../terminal.js';
import { harmless, widthOf } from './redraw.js';
import {
  committedSteps,
  epochNumber,
  formatMetrics,
  type Rates,
  type RunView,
  ratesOf,
  workerCount,
} from './run-view.js';
import { connected, isSlow, shareBar, type WorkerMark, type WorkerMarks } from './worker-marks.js';

/** A piece of a line; pieces at the end give way first when the line is too long. */
interface Piece {
  readonly text: string;
  readonly style?: Style;
}

/** What the events can't say: how long there has been none. */
export interface Moment {
  /** Since the last sign of life of the run, on the reader's clock. */
  readonly quietMs: number;
}

/** Narrower terminals get one line. */
export const NARROW = 60;
const BAR_CELLS = 22;
/** Below this many columns the bar makes room for the loss. */
const WIDE = 80;
const SHORT_BAR_CELLS = 8;
const GAP = '  ';
/** Without a step for this long, and for ten times what one takes, the time left is no longer known. */
const QUIET_MS = 3_000;
const QUIET_STEPS = 10;

/** Lines to draw, none wider than `columns`. */
export function renderBlock(
  view: RunView,
  columns: number,
  paint: Paint,
  moment: Moment = { quietMs: 0 },
): readonly string[] {
  if (columns < NARROW) return [join(narrowLine(view, moment), columns, paint)];
  const notices = view.notices.map((text) => paint('dim', clip(`${GAP}${harmless(text)}`, columns)));
  const lines = [
    join(headline(view, columns < WIDE ? SHORT_BAR_CELLS : BAR_CELLS), columns, paint),
    join(rateLine(view, moment), columns, paint),
    join(workersLine(view, columns), columns, paint),
    join(pageLine(view), columns, paint),
  ];
  return [...lines, ...notices].filter((line) => line !== '');
}

/** The same in one line without drawing, for logs and pipes. */
export function renderLine(view: RunView): string {
  const rates = ratesOf(view);
  const rest = rates === undefined ? [] : [speed(rates), timeLeft(rates)];
  return [...headline(view, 0), ...rest].map(({ text }) => text).join(GAP);
}

/** What matters most where there is no room. */
function narrowLine(view: RunView, moment: Moment): readonly Piece[] {
  const step = /^step /;
  const [epoch, ...rest] = headline(view, 0).filter(({ text }) => !step.test(text));
  if (epoch === undefined) return [];
  const [share, loss, ...more] = rest;
  return [epoch, share, loss, ...left(view, moment), ...more].filter((piece) => piece !== undefined);
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

function rateLine(view: RunView, moment: Moment): readonly Piece[] {
  const rates = ratesOf(view);
  if (rates === undefined || view.phases === undefined) return left(view, moment);
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
  return [
    { text: ` ${speed(rates).text}` },
    ...left(view, moment),
    { text: `${formatMilliseconds(stepMs)} ms/step (${phases.join(' · ')})`, style: 'dim' },
  ];
}

/** How long it will take, or why nobody can say. */
function left(view: RunView, { quietMs }: Moment): readonly Piece[] {
  if (view.started === undefined) return [];
  if (view.state !== 'training') return [{ text: view.state, style: 'yellow' }];
  const rates = ratesOf(view);
  const stepMs = rates === undefined ? 0 : 1000 / rates.stepsPerSecond;
  if (quietMs > Math.max(QUIET_MS, QUIET_STEPS * stepMs)) {
    const why = workerCount(view) === 0 ? ': no worker is connected' : '';
    return [
      { text: `no step for ${formatSeconds(Math.floor(quietMs / 1000)).replace('.0 s', ' s')}${why}`, style: 'yellow' },
    ];
  }
  return rates === undefined ? [] : [timeLeft(rates)];
}

function workersLine(view: RunView, columns: number): readonly Piece[] {
  const { workers, started, state } = view;
  if (started === undefined || state === 'finished' || state === 'failed') return [];
  const there = connected(workers).length;
  const head = workers.size === 0 ? plural(workerCount(view), 'worker') : `workers ${there}/${workers.size}`;
  const pieces = [...workers.values()].map((mark) => workerPiece(mark, workers));
  return fitted({ text: ` ${head}` }, pieces, columns);
}

/** Words, not colour alone, say what is wrong with one. */
function workerPiece(mark: WorkerMark, marks: WorkerMarks): Piece {
  if (mark.lostAtMs !== undefined) return { text: `${mark.worker} lost`, style: 'red' };
  const text = [mark.worker, shareBar(mark.shares)].filter((part) => part !== '').join(' ');
  return isSlow(mark, marks) ? { text: `${text} slow`, style: 'yellow' } : { text };
}

/** Where there are too many for the line, those with something to tell come first, and the others are counted. */
function fitted(head: Piece, pieces: readonly Piece[], columns: number): readonly Piece[] {
  const cells = (some: readonly Piece[]): number =>
    some.reduce((sum, { text }) => sum + GAP.length + widthOf(text), widthOf(head.text));
  if (cells(pieces) <= columns) return [head, ...pieces];
  const ranked = [
    ...pieces.filter(({ style }) => style !== undefined),
    ...pieces.filter(({ style }) => style === undefined),
  ];
  const more = (shown: number): Piece => ({ text: `+ ${pieces.length - shown} more`, style: 'dim' });
  let shown = ranked.length;
  while (shown > 0 && cells([...ranked.slice(0, shown), more(shown)]) > columns) shown--;
  return [head, ...ranked.slice(0, shown), more(shown)];
}

/** Where the rest of it is to be seen. */
function pageLine({ started, state }: RunView): readonly Piece[] {
  if (started === undefined || state !== 'training') return [];
  return [{ text: ` live page ${started.dashboard}`, style: 'dim' }];
}

function speed(rates: Rates): Piece {
  return { text: `${formatCount(rates.samplesPerSecond)} samples/s` };
}

function timeLeft(rates: Rates): Piece {
  return { text: `${formatClock(rates.secondsLeft)} left` };
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
    if (fitting.length > 0 && needed + widthOf(text) > columns) break;
    const shown = clip(text, columns);
    fitting.push(style === undefined ? shown : paint(style, shown));
    width = needed + widthOf(shown);
  }
  return fitting.join(GAP);
}

function clip(text: string, columns: number): string {
  if (widthOf(text) <= columns) return text;
  const kept: string[] = [];
  let width = 0;
  for (const { segment } of graphemes.segment(text)) {
    width += widthOf(segment);
    if (width > columns - 1) break;
    kept.push(segment);
  }
  return columns < 1 ? '' : `${kept.join('')}…`;
}

function beforeStart({ run, rowsRead }: RunView): string {
  if (run === '') return 'starting';
  return rowsRead === undefined ? `${run}: preparing` : `${run}: reading the data, ${plural(rowsRead, 'row')} so far`;
}

const graphemes = new Intl.Segmenter();
