/** What part of the epoch is committed: a strip of its steps, and in words that every sample counts once. */
import { drawn, element, replaceIfNew } from './elements.js';
import type { EpochCoverage, LiveRun } from './messages.js';
import type { RunView } from './run-view.js';
import { patterns, swatch } from './timeline.js';
import { counted, listed } from './words.js';

const MOST_CELLS = 120;
const HEIGHT = 22;
const SIGNS = 12;

const LOOKS = [
  ['counted', 'committed'],
  ['held', 'announced or in work'],
  ['to-come', 'to come'],
] as const;

export interface Coverage {
  show(view: RunView): void;
}

export function createCoverage(): Coverage {
  const legends = LOOKS.map(([look, words]) => {
    const fill = look === 'to-come' ? 'none' : `url(#cells-${look}-${look})`;
    const cell = drawn('g', { class: `bar ${look}` });
    cell.append(drawn('rect', { x: 1, y: 1, width: 24, height: 12, class: 'body', fill }));
    return swatch(`cells-${look}`, cell, words);
  });
  const signs = (['again', 'copy'] as const).map((kind) =>
    swatch(`sign-${kind}`, sign(kind, 13, 2), kind === 'again' ? 'computed again' : 'a second copy came, left out'),
  );
  element('coverage-legend').replaceChildren(...legends, ...signs);
  return {
    show: (view) => {
      const card = element('coverage-card');
      const { live, finished } = view;
      card.hidden = live === undefined && finished === undefined;
      element('coverage-legend').hidden = live === undefined;
      element('coverage-words').textContent = live === undefined ? afterwards(view) : nowInWords(live);
      const picture = element('coverage');
      picture.hidden = live === undefined;
      if (live === undefined) return;
      const width = Math.max(240, picture.clientWidth);
      replaceIfNew(picture, JSON.stringify([live.coverage, width]), () => [drawCoverage(live.coverage, width)]);
    },
  };
}

function nowInWords({ coverage, counts }: LiveRun): string {
  const { epoch, epochs, samples, committedSamples } = coverage;
  const left = counts.duplicate + counts.conflicting + counts.stale;
  const what = [
    ...(counts.reissued === 0 ? [] : [`${counted(counts.reissued, 'piece')} of work given to somebody again`]),
    ...(left === 0 ? [] : [`${left === 1 ? '1 second or late copy' : `${left} second or late copies`} left out`]),
  ];
  const faults = what.length === 0 ? 'Nothing came twice.' : `${capital(listed(what))}: nothing is added twice.`;
  return (
    `Epoch ${epoch + 1} of ${epochs}: ${committedSamples.toLocaleString('en')} of ${counted(samples, 'sample')} ` +
    `committed, each exactly once. ${faults}`
  );
}

function afterwards({ finished, started }: RunView): string {
  if (finished === undefined || started === undefined) return '';
  const { epochs, blocksReissued } = finished;
  const again = blocksReissued === 0 ? '' : ` ${counted(blocksReissued, 'piece')} of work had to be done again.`;
  return (
    `${counted(epochs, 'whole epoch')}: each of the ${counted(started.samples.train, 'training sample')} counted exactly ` +
    `once in each.${again} The ledger has the proof: ropeteam verify ${finished.run}`
  );
}

function drawCoverage(
  { epoch, firstStep, steps, committedSteps, announcedSteps, disturbed }: EpochCoverage,
  width: number,
): SVGElement {
  const cells = Math.min(MOST_CELLS, steps, Math.floor(width / 5));
  const per = steps / cells;
  const height = HEIGHT + SIGNS + 4;
  const svg = drawn('svg', {
    width,
    height,
    viewBox: `0 0 ${width} ${height}`,
    role: 'img',
    'aria-label': `Epoch ${epoch + 1}: ${committedSteps} of ${steps} steps committed`,
  });
  svg.append(patterns('cells'));
  for (let cell = 0; cell < cells; cell++) {
    const [from, end] = [Math.round(cell * per), Math.round((cell + 1) * per)];
    const look = end <= committedSteps ? 'counted' : from < announcedSteps ? 'held' : 'to-come';
    const [x, next] = [(width * cell) / cells, (width * (cell + 1)) / cells];
    const words = `${end - from === 1 ? `step ${firstStep + from}` : `steps ${firstStep + from} to ${firstStep + end - 1}`}: ${wordsFor(look)}`;
    const fill = look === 'to-come' ? 'none' : `url(#cells-${look})`;
    const box = { x: x + 0.5, y: 1, width: Math.max(1.5, next - x - 1.5), height: HEIGHT - 2, class: 'body', fill };
    svg.append(drawn('g', { class: `bar ${look}` }, drawn('title', {}, words), drawn('rect', box)));
    const marks = new Set(
      disturbed.filter((one) => one.from - firstStep < end && one.end - firstStep > from).map(({ kind }) => kind),
    );
    svg.append(...[...marks].map((kind, index) => sign(kind, (x + next) / 2 + index * 9, HEIGHT + 2)));
  }
  return svg;
}

/** A triangle or a diamond. */
function sign(kind: 'again' | 'copy', x: number, y: number): SVGElement {
  const d = kind === 'again' ? `M${x} ${y}l5 9h-10z` : `M${x} ${y}l5 5l-5 5l-5 -5z`;
  return drawn(
    'path',
    { d, class: `sign ${kind}` },
    drawn('title', {}, kind === 'again' ? 'computed again' : 'a second copy came'),
  );
}

const wordsFor = (look: string): string => LOOKS.find(([one]) => one === look)?.[1] ?? '';
const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
