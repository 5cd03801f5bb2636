/** Who did what in the last moments: a lane for each worker, a bar for each block or lease, told apart by pattern too. */
import { create, drawn, element, replaceIfNew, table } from './elements.js';
import type { LiveRun, WorkBar } from './messages.js';
import { elapsed } from './words.js';

const LANE = 30;
const BAR = 16;
const TOP = 4;
const AXIS = 22;
/** So many of the last pieces fit before bars become slivers. */
const PIECES_IN_SIGHT = 48;
const LONGEST_SIGHT_MS = 60_000;
const SHORTEST_SIGHT_MS = 20;
const MOST_ROWS = 40;

/** How a bar is filled, and what that means. */
const LOOKS = [
  ['counted', 'computed, and counted'],
  ['again', 'computed again, or by a second worker, and counted'],
  ['duplicate', 'a copy that came second: left out'],
  ['lost', 'its worker was lost, or it failed'],
  ['held', 'in hand now'],
] as const;
type Look = (typeof LOOKS)[number][0];

export interface Timeline {
  /** @param kept false: there is nothing to be seen of a run that is not in training */
  show(live: LiveRun | undefined): void;
}

export function createTimeline(): Timeline {
  const picture = element('timeline');
  element('timeline-legend').replaceChildren(...LOOKS.map(([look, words]) => legend(look, words)), ...partsLegend());
  return {
    show: (live) => {
      element('timeline-card').hidden = live === undefined;
      if (live === undefined) return;
      const width = Math.max(260, picture.clientWidth);
      picture.replaceChildren(drawTimeline(live, width));
      const rows = element('timeline-rows');
      // Nobody looks: a table of forty rows twice a second would be made for nothing.
      if ((rows.parentElement as HTMLDetailsElement).open) {
        replaceIfNew(rows, String(live.at), () => [rowsOf(live.bars)]);
      }
    },
  };
}

function lookOf({ outcome, earlier }: WorkBar): Look | undefined {
  if (outcome === 'held') return 'held';
  if (outcome === 'lost' || outcome === 'failed') return 'lost';
  if (outcome === 'duplicate' || outcome === 'stale') return 'duplicate';
  if (outcome === 'let go') return undefined;
  return earlier > 0 ? 'again' : 'counted';
}

function drawTimeline(live: LiveRun, width: number): SVGElement {
  const names = [...new Set([...live.workers.map(({ worker }) => worker), ...live.bars.map(({ worker }) => worker)])];
  const lanes = [
    ...names.filter((name) => name !== '').sort((a, b) => a.localeCompare(b, 'en', { numeric: true })),
    '',
  ];
  const labels = Math.min(
    110,
    Math.max(60, 8 * Math.max(...lanes.map((name) => Math.min(12, (name || 'average').length)))),
  );
  const sightMs = sightOf(live.bars);
  const x = (ms: number): number => labels + ((width - labels - 4) * (ms + sightMs)) / sightMs;
  const height = TOP + lanes.length * LANE + AXIS;
  const svg = drawn('svg', {
    width,
    height,
    viewBox: `0 0 ${width} ${height}`,
    role: 'img',
    'aria-label': `The last ${elapsed(sightMs)}: ${lanes.length - 1} workers, ${live.bars.length} pieces of work. The table below has the same in words.`,
  });
  svg.append(patterns('bars'));
  lanes.forEach((name, lane) => {
    const y = TOP + lane * LANE;
    svg.append(
      drawn('line', { x1: labels, x2: width, y1: y + LANE - 2, y2: y + LANE - 2, class: 'lane' }),
      drawn('text', { x: 0, y: y + BAR + 2, class: 'label' }, shortened(name || 'average')),
    );
  });
  for (const bar of live.bars) {
    const endMs = bar.endMs ?? 0;
    if (endMs < -sightMs) continue;
    svg.append(drawBar(bar, TOP + lanes.indexOf(bar.worker) * LANE + 4, (ms) => x(Math.max(-sightMs, ms))));
  }
  for (const share of width < 500 ? [0, 0.5, 1] : [0, 0.25, 0.5, 0.75, 1]) {
    const ms = -sightMs * (1 - share);
    const anchor = share === 1 ? 'end' : share === 0 ? 'start' : 'middle';
    const label = share === 1 ? 'now' : `−${elapsed(-ms)}`;
    svg.append(drawn('text', { x: x(ms), y: height - 5, class: 'tick', 'text-anchor': anchor }, label));
  }
  return svg;
}

/** Back to where the last few dozen pieces began, in round figures so that the picture does not breathe. */
function sightOf(bars: readonly WorkBar[]): number {
  const oldest = Math.min(-SHORTEST_SIGHT_MS, ...bars.slice(-PIECES_IN_SIGHT).map(({ takenMs }) => takenMs));
  const wanted = Math.min(LONGEST_SIGHT_MS, -oldest);
  const unit = 10 ** Math.floor(Math.log10(wanted));
  return [1, 2, 5, 10].map((factor) => factor * unit).find((round) => round >= wanted) ?? wanted;
}

function drawBar(bar: WorkBar, y: number, x: (ms: number) => number): SVGElement {
  const look = lookOf(bar);
  const endMs = bar.endMs ?? 0;
  const computeFromMs = bar.computeFromMs ?? (bar.kind === 'average' ? bar.takenMs : endMs);
  const uploadFromMs = Math.max(computeFromMs, bar.uploadFromMs ?? endMs);
  const group = drawn('g', { class: `bar ${look ?? 'let-go'}` }, drawn('title', {}, titleOf(bar)));
  const middle = y + BAR / 2;
  // Held, but its weights are not there yet, or they are on their way: a line.
  if (look !== 'held' && look !== 'lost')
    group.append(drawn('line', { x1: x(bar.takenMs), x2: x(computeFromMs), y1: middle, y2: middle, class: 'wait' }));
  const block = (from: number, to: number, part: string, fill: string): SVGElement =>
    drawn('rect', { x: x(from), y, width: Math.max(1.5, x(to) - x(from)), height: BAR, rx: 2, class: part, fill });
  if (look === undefined) return group;
  if (look === 'held') {
    group.append(block(bar.takenMs, 0, 'body', 'url(#bars-held)'));
    return group;
  }
  if (look === 'lost') {
    const [from, to] = [x(bar.takenMs), x(endMs)];
    group.append(
      block(bar.takenMs, endMs, 'body', 'none'),
      drawn('path', { d: `M${to - 4} ${y + 3}l8 10m0 -10l-8 10`, class: 'cross' }),
      ...(to - from > 60 ? [drawn('text', { x: from + 5, y: y + 12, class: 'inside' }, bar.outcome)] : []),
    );
    return group;
  }
  group.append(block(computeFromMs, uploadFromMs, 'body', `url(#bars-${bar.kind === 'average' ? 'average' : look})`));
  if (endMs > uploadFromMs) group.append(block(uploadFromMs, endMs, 'upload', 'url(#bars-upload)'));
  return group;
}

function titleOf(bar: WorkBar): string {
  const { what, outcome, earlier, worker } = bar;
  const again = earlier > 0 ? `, in somebody’s hands for the ${earlier + 1}. time` : '';
  const times = timesOf(bar);
  const parts = [
    `wait ${elapsed(times.wait)}`,
    ...(times.compute === undefined ? [] : [`compute ${elapsed(times.compute)}`]),
    ...(times.upload === undefined ? [] : [`upload ${elapsed(times.upload)}`]),
  ];
  const who = worker === '' ? '' : `${worker}: `;
  return bar.kind === 'average'
    ? `${what}: ${elapsed(times.wait)}`
    : `${who}${what}, ${outcome}${again}: ${parts.join(', ')}`;
}

function timesOf({ kind, takenMs, computeFromMs, uploadFromMs, endMs = 0 }: WorkBar) {
  if (computeFromMs === undefined || kind === 'average') return { wait: endMs - takenMs };
  const computedMs = uploadFromMs ?? endMs;
  return {
    wait: Math.max(0, computeFromMs - takenMs),
    compute: Math.max(0, computedMs - computeFromMs),
    upload: Math.max(0, endMs - computedMs),
  };
}

function rowsOf(bars: readonly WorkBar[]): HTMLElement {
  const newest = [...bars].reverse().slice(0, MOST_ROWS);
  return table(
    'The last pieces of work, newest first',
    ['worker', 'work', 'outcome', 'time', 'wait', 'compute', 'upload'],
    newest.map((bar) => {
      const { wait, compute, upload } = timesOf(bar);
      const said = (ms: number | undefined): string => (ms === undefined ? '–' : elapsed(ms));
      const times = bar.earlier === 0 ? 'first' : `${bar.earlier + 1}.`;
      return [bar.worker || 'coordinator', bar.what, bar.outcome, times, said(wait), said(compute), said(upload)];
    }),
  );
}

/** Fills that differ in their strokes, not in their colour alone. */
export function patterns(prefix: string): SVGElement {
  const pattern = (name: string, size: number, ...content: SVGElement[]): SVGElement =>
    drawn(
      'pattern',
      { id: `${prefix}-${name}`, width: size, height: size, patternUnits: 'userSpaceOnUse' },
      ...content,
    );
  const ground = (name: string, size: number): SVGElement =>
    drawn('rect', { width: size, height: size, class: `ground-${name}` });
  const strokes = (d: string): SVGElement => drawn('path', { d, class: 'strokes' });
  return drawn(
    'defs',
    {},
    pattern('counted', 8, ground('counted', 8)),
    pattern('again', 8, ground('again', 8), strokes('M-2 2l4 -4M0 8l8 -8M6 10l4 -4')),
    pattern('duplicate', 8, ground('duplicate', 8), strokes('M0 8l8 -8M0 0l8 8')),
    pattern('held', 6, ground('held', 6), drawn('circle', { cx: 3, cy: 3, r: 1.2, class: 'dots' })),
    pattern('upload', 4, ground('upload', 4), strokes('M2 0v4')),
    pattern('average', 8, ground('average', 8)),
  );
}

function legend(look: Look, words: string): HTMLElement {
  const bar = drawn('g', { class: `bar ${look}` });
  const fill = look === 'lost' ? 'none' : `url(#legend-${look}-${look})`;
  bar.append(drawn('rect', { x: 1, y: 1, width: 24, height: 12, rx: 2, class: 'body', fill }));
  if (look === 'lost') bar.append(drawn('path', { d: 'M21 2l8 10m0 -10l-8 10', class: 'cross' }));
  return swatch(`legend-${look}`, bar, words);
}

function partsLegend(): readonly HTMLElement[] {
  const line = drawn('g', { class: 'bar' }, drawn('line', { x1: 1, x2: 27, y1: 7, y2: 7, class: 'wait' }));
  const upload = drawn('g', { class: 'bar counted' });
  upload.append(
    drawn('rect', { x: 1, y: 1, width: 24, height: 12, class: 'upload', fill: 'url(#legend-upload-upload)' }),
  );
  return [
    swatch('legend-wait', line, 'has it, waits for weights'),
    swatch('legend-upload', upload, 'result on its way'),
  ];
}

/** A small picture and what it stands for. */
export function swatch(prefix: string, content: SVGElement, words: string): HTMLElement {
  const item = create('li', '');
  const svg = drawn(
    'svg',
    { width: 30, height: 14, viewBox: '0 0 30 14', 'aria-hidden': 'true' },
    patterns(prefix),
    content,
  );
  item.append(svg, words);
  return item;
}

const shortened = (name: string): string => (name.length > 12 ? `${name.slice(0, 11)}…` : name);
