/** How a run is shown while it goes: redrawn, in lines, as JSON events, or not at all. */

import { createLogUpdate } from 'log-update';
import type { RunEvent } from '#training';
import { plural } from '../plain-numbers.js';
import type { Terminal } from '../terminal.js';
import { renderBlock, renderLine } from './progress-block.js';
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
  const draw = createLogUpdate(terminal.talkStream);
  let view = emptyView;
  let dirty = true;
  const redraw = (): void => {
    if (!dirty) return;
    dirty = false;
    draw(renderBlock(view, terminal.columns(), terminal.paintTalk).join('\n'));
  };
  const timer = setInterval(redraw, REDRAW_MS);
  const note = (text: string): void => {
    draw.clear();
    terminal.say(text);
    dirty = true;
    redraw();
  };
  return {
    event: (event) => {
      for (const remark of remarksOf(event)) note(remark);
      view = advanceView(view, event);
      dirty = true;
    },
    note,
    [Symbol.dispose]: () => {
      clearInterval(timer);
      redraw();
      draw.done();
    },
  };
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
