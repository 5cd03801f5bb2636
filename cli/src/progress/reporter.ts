/** How a run is shown while it goes: redrawn, in lines, as JSON events, or not at all. */

import type { RunEvent } from '#training';
import { plural } from '../plain-numbers.js';
import type { Terminal } from '../terminal.js';
import { renderBlock, renderLine } from './progress-block.js';
import { openRedraw } from './redraw.js';
import { advanceView, emptyView, epochNumber, formatMetrics, noticeOf, type RunView, remarksOf } from './run-view.js';

export interface Reporter extends Disposable {
  event(event: RunEvent): void;
  /** A word from the command itself, above or between the display. */
  note(text: string): void;
}

export interface ReporterOptions {
  readonly json: boolean;
  readonly quiet: boolean;
}

/** At most ten redraws a second. */
const REDRAW_MS = 100;
/** Without a terminal: a line of progress this often. */
const LINE_MS = 10_000;
/** Without a terminal: this many epoch lines in a run, evenly spread. */
const EPOCH_LINES = 10;

export function openReporter(terminal: Terminal, options: ReporterOptions): Reporter {
  if (options.json) return jsonReporter(terminal, options);
  if (options.quiet) return quietReporter();
  return terminal.live ? liveReporter(terminal) : lineReporter(terminal);
}

function jsonReporter(terminal: Terminal, options: ReporterOptions): Reporter {
  return {
    event: (event) => terminal.result(JSON.stringify(event)),
    note: (text) => {
      if (!options.quiet) terminal.say(text);
    },
    [Symbol.dispose]: () => undefined,
  };
}

function quietReporter(): Reporter {
  return { event: () => undefined, note: () => undefined, [Symbol.dispose]: () => undefined };
}

function liveReporter(terminal: Terminal): Reporter {
  const block = openRedraw(terminal.talkStream, terminal.columns);
  let view = emptyView;
  let heardAt = performance.now();
  let over = false;
  // The same lines are not drawn twice; time alone changes them when no step comes, and so does a resized terminal.
  const redraw = (): void => {
    const quietMs = performance.now() - heardAt;
    block.draw(renderBlock(view, terminal.columns(), terminal.paintTalk, { quietMs }));
  };
  const timer = setInterval(redraw, REDRAW_MS);
  const note = (text: string): void => {
    block.clear();
    terminal.say(text);
    redraw();
  };
  return {
    event: (event) => {
      for (const remark of remarksOf(event)) note(remark);
      view = advanceView(view, event);
      if (isSignOfLife(event)) heardAt = performance.now();
    },
    note,
    [Symbol.dispose]: () => {
      if (over) return;
      over = true;
      clearInterval(timer);
      redraw();
      block.done();
    },
  };
}

/** Training moves, or begins to. */
function isSignOfLife({ event }: RunEvent): boolean {
  return event === 'step_committed' || event === 'epoch_finished' || event === 'run_started' || event === 'run_resumed';
}

function lineReporter(terminal: Terminal): Reporter {
  let view = emptyView;
  let lineAtMs = Number.NEGATIVE_INFINITY;
  return {
    event: (event) => {
      view = advanceView(view, event);
      const text = lineFor(view, event, Date.parse(event.time) - lineAtMs >= LINE_MS);
      if (text === undefined) return;
      if (event.event === 'step_committed' || event.event === 'data_progressed') lineAtMs = Date.parse(event.time);
      terminal.say(text);
      for (const remark of remarksOf(event)) terminal.say(remark);
    },
    note: (text) => terminal.say(text),
    [Symbol.dispose]: () => undefined,
  };
}

/** The line an event is worth without a terminal, if any. `due`: no line of progress for ten seconds, or none yet. */
export function lineFor(view: RunView, event: RunEvent, due: boolean): string | undefined {
  switch (event.event) {
    case 'step_committed':
      return due ? renderLine(view) : undefined;
    case 'epoch_finished': {
      const spacing = Math.max(1, Math.ceil(event.epochs / EPOCH_LINES));
      const number = epochNumber(event);
      if (number % spacing !== 0 && number !== event.epochs) return undefined;
      const validation = event.validation === undefined ? '' : `  val ${formatMetrics(event.validation)}`;
      return `epoch ${number}/${event.epochs}  train ${formatMetrics(event.train)}${validation}`;
    }
    case 'data_progressed':
      return due ? `reading the data: ${plural(event.rows, 'row')} so far` : undefined;
    case 'checkpoint_saved':
      return undefined;
    default:
      return noticeOf(event);
  }
}
