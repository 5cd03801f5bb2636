/** What the nemesis does and what the system does about it, as it happens: lines, on a terminal with a status below. */
import type { RunEvent } from '#training';
import { renderBlock } from '../progress/progress-block.js';
import { openRedraw } from '../progress/redraw.js';
import type { Reporter } from '../progress/reporter.js';
import { advanceView, emptyView, noticeOf } from '../progress/run-view.js';
import type { Terminal } from '../terminal.js';
import type { InflictedFault } from './nemesis.js';

export interface Timeline extends Reporter {
  fault(fault: InflictedFault): void;
}

const REDRAW_MS = 100;
/** `coordinator-kill` and two spaces. */
const KIND_CELLS = 18;

export interface TimelineOptions {
  readonly run: string;
  readonly json: boolean;
}

export function openTimeline(terminal: Terminal, options: TimelineOptions): Timeline {
  return options.json ? jsonTimeline(terminal, options.run) : lineTimeline(terminal);
}

function jsonTimeline(terminal: Terminal, run: string): Timeline {
  return {
    event: (event) => terminal.result(JSON.stringify(event)),
    fault: ({ time, kind, ...rest }) =>
      terminal.result(
        JSON.stringify({ event: 'fault_injected', time: new Date(time).toISOString(), run, kind, ...rest }),
      ),
    note: (text) => terminal.say(text),
    [Symbol.dispose]: () => undefined,
  };
}

function lineTimeline(terminal: Terminal): Timeline {
  const { paintTalk: paint } = terminal;
  const block = terminal.live ? openRedraw(terminal.talkStream, terminal.columns) : undefined;
  let view = emptyView;
  let startedAt: number | undefined;
  const redraw = (): void => block?.draw(renderBlock({ ...view, notices: [] }, terminal.columns(), paint));
  const timer = block && setInterval(redraw, REDRAW_MS);
  const line = (time: number, text: string): void => {
    block?.clear();
    const seconds = startedAt === undefined ? 0 : Math.max(0, time - startedAt) / 1000;
    terminal.say(`${paint('dim', `${seconds.toFixed(1).padStart(7)} s`)}  ${text}`);
    redraw();
  };
  return {
    event: (event) => {
      view = advanceView(view, event);
      const time = Date.parse(event.time);
      if (event.event === 'run_started') startedAt ??= time;
      const text = answerOf(event);
      if (text !== undefined) line(time, `  ${paint(event.event === 'run_failed' ? 'red' : 'green', text)}`);
    },
    fault: ({ time, kind, text, missed }) => {
      const what = `${kind.padEnd(KIND_CELLS)}${missed ? `missed: ${text}` : text}`;
      line(time, paint(missed ? 'dim' : 'yellow', `${missed ? '·' : '✗'} ${what}`));
    },
    // Until the first step: what Redis is used, what is fetched. Later, the events tell of every loss and return.
    note: (text) => {
      if (view.latest === undefined || view.state === 'stopping') line(Date.now(), `  ${text}`);
    },
    [Symbol.dispose]: () => {
      clearInterval(timer);
      block?.clear();
      block?.done();
    },
  };
}

/** What the system did, in words; nothing of its everyday work. */
export function answerOf(event: RunEvent): string | undefined {
  if (event.event === 'checkpoint_saved' || event.event === 'grain_chosen' || event.event === 'run_queued')
    return undefined;
  if (event.event === 'run_finished') return `finished after ${event.steps} steps`;
  return noticeOf(event);
}
