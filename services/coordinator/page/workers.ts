/** The workers: what each holds, how fast it is beside the others, when it was heard of last. */
import { type Cell, create, drawn, table } from './elements.js';
import type { LiveWorker } from './messages.js';
import type { RunView, WorkerRow } from './run-view.js';
import { clock, elapsed, medianOf } from './words.js';

/** Below this share of the median a worker is called slow. */
const SLOW = 0.5;
/** Longer without a heartbeat is worth a second look: they come twice a second and more. */
const QUIET_MS = 1_500;

type Line = readonly (Cell | string | Node)[];

/** @param agoMs how old the coordinator's last word is */
export function workersTable(view: RunView, agoMs: number): HTMLElement {
  const { live } = view;
  const gone = [...view.workers.values()].filter(({ state }) => live === undefined || state !== 'at work');
  const connected = live?.workers ?? [];
  if (gone.length + connected.length === 0) return create('p', 'No worker has joined yet.', 'quiet');
  const median = medianOf(connected.flatMap(({ samplesPerSecond }) => samplesPerSecond ?? []));
  const fastest = Math.max(1, ...connected.map(({ samplesPerSecond }) => samplesPerSecond ?? 0));
  const heads =
    live === undefined
      ? ['worker', 'state', 'threads', 'process', 'since']
      : [
          'worker',
          'state',
          'holds now',
          'samples/s in its kernel',
          'results',
          'failed',
          'threads',
          'process',
          'last seen',
        ];
  const lines = connected.map((worker) => lineOf(worker, { median, fastest, agoMs }));
  return table('Workers', heads, [...lines, ...gone.map((row) => goneLine(row, live !== undefined))]);
}

const STATES: Readonly<Record<LiveWorker['state'], Cell>> = {
  ready: { text: 'at work', className: 'good' },
  connected: { text: 'opening the run' },
  leaving: { text: 'leaving', className: 'warn' },
};

function lineOf(
  { worker, pid, host, threads, state, holds, samplesPerSecond, failures, counted, lastSeenMs }: LiveWorker,
  { median, fastest, agoMs }: { readonly median: number | undefined; readonly fastest: number; readonly agoMs: number },
): Line {
  const held = holds.map(({ what, heldMs }) => `${what} (${elapsed(heldMs + agoMs)})`).join(', ');
  const seen = lastSeenMs + agoMs;
  return [
    worker,
    STATES[state],
    held === '' ? { text: 'nothing: it is idle', className: 'quiet' } : held,
    speedCell(samplesPerSecond, median, fastest),
    counted.toLocaleString('en'),
    failures === 0 ? '0' : { text: String(failures), className: 'bad' },
    String(threads),
    `${pid} on ${host}`,
    seen < QUIET_MS ? 'now' : { text: `${elapsed(seen)} ago`, className: 'warn' },
  ];
}

function speedCell(speed: number | undefined, median: number | undefined, fastest: number): Cell | Node {
  if (speed === undefined) return { text: '–', className: 'quiet' };
  const cell = create('span', '', 'speed');
  const slow = median !== undefined && speed < SLOW * median;
  const compared = median === undefined || median === speed ? '' : ` ×${(speed / median).toFixed(2)}`;
  const bar = drawn('svg', { width: 48, height: 8, viewBox: '0 0 48 8', 'aria-hidden': 'true' });
  bar.append(
    drawn('rect', { width: 48, height: 8, rx: 2, class: 'track' }),
    drawn('rect', { width: Math.max(1, (48 * speed) / fastest), height: 8, rx: 2, class: slow ? 'slow' : 'fast' }),
  );
  cell.append(
    bar,
    speed.toLocaleString('en'),
    create('span', slow ? `${compared} of the median: slow` : compared, slow ? 'warn' : 'quiet'),
  );
  return cell;
}

function goneLine({ worker, state, threads, pid, since }: WorkerRow, wide: boolean): Line {
  const how: Cell =
    state === 'at work' ? { text: 'there to the end' } : { text: state, className: state === 'lost' ? 'bad' : 'quiet' };
  if (!wide) return [worker, how, String(threads), String(pid), clock(since)];
  return [worker, how, '–', '–', '–', '–', String(threads), String(pid), clock(since)];
}
