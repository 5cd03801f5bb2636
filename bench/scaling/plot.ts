/** Curves over a logarithmic axis of workers, side by side, as one SVG that reads on light and on dark pages. */

export interface Curve {
  readonly name: string;
  /** 0..1, one for each x. */
  readonly values: readonly number[];
  readonly dashed: boolean;
}

export interface Panel {
  readonly title: string;
  readonly curves: readonly Curve[];
}

const WIDTH = 420;
const HEIGHT = 300;
const LEFT = 56;
const TOP = 40;
const GAP = 60;
const LEGEND_ROW = 18;
/** Okabe and Ito's, without those that are lost on white or black: told apart by most eyes. */
const COLOURS = ['#D55E00', '#E69F00', '#CC79A7', '#0072B2', '#56B4E9', '#009E73', '#7F7F7F', '#AA3377'] as const;

export function plot(title: string, workers: readonly number[], panels: readonly Panel[]): string {
  const width = LEFT + panels.length * WIDTH + (panels.length - 1) * GAP + 20;
  const names = panels[0]?.curves ?? [];
  const legendTop = TOP + HEIGHT + 52;
  const height = legendTop + Math.ceil(names.length / 2) * LEGEND_ROW + 8;
  const body = [
    `<title>${escaped(title)}</title>`,
    '<style>text{font:13px system-ui,sans-serif;fill:#555}.t{font-weight:600}.g{stroke:#888;stroke-opacity:.25}' +
      '@media(prefers-color-scheme:dark){text{fill:#bbb}}</style>',
    ...panels.map((panel, index) => drawPanel(panel, workers, LEFT + index * (WIDTH + GAP))),
    ...names.map(({ name, dashed }, index) => {
      const x = LEFT + (index % 2) * (WIDTH + GAP);
      const y = legendTop + Math.floor(index / 2) * LEGEND_ROW;
      return `${stroke(`M${x} ${y - 4}h28`, index, dashed)}<text x="${x + 36}" y="${y}">${escaped(name)}</text>`;
    }),
  ];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">\n${body.join('\n')}\n</svg>\n`;
}

function drawPanel({ title, curves }: Panel, workers: readonly number[], left: number): string {
  const first = Math.log2(workers[0] ?? 1);
  const span = Math.max(1, Math.log2(workers.at(-1) ?? 2) - first);
  const xOf = (count: number): number => round(left + (WIDTH * (Math.log2(count) - first)) / span);
  const yOf = (value: number): number => round(TOP + HEIGHT * (1 - value));
  const shares = [0, 0.25, 0.5, 0.75, 1];
  return [
    `<text class="t" x="${left}" y="${TOP - 16}">${escaped(title)}</text>`,
    ...shares.map(
      (share) =>
        `<path class="g" d="M${left} ${yOf(share)}h${WIDTH}"/>` +
        `<text x="${left - 8}" y="${yOf(share) + 4}" text-anchor="end">${100 * share} %</text>`,
    ),
    ...workers.map((count) => `<text x="${xOf(count)}" y="${TOP + HEIGHT + 18}" text-anchor="middle">${count}</text>`),
    `<text x="${left + WIDTH / 2}" y="${TOP + HEIGHT + 36}" text-anchor="middle">workers</text>`,
    ...curves.map(({ values, dashed }, index) => {
      const points = values.map((value, at) => `${at === 0 ? 'M' : 'L'}${xOf(workers[at] ?? 1)} ${yOf(value)}`);
      return stroke(points.join(''), index, dashed);
    }),
  ].join('\n');
}

function stroke(path: string, index: number, dashed: boolean): string {
  const colour = COLOURS[index % COLOURS.length];
  return `<path d="${path}" fill="none" stroke="${colour}" stroke-width="2.2"${dashed ? ' stroke-dasharray="7 4"' : ''}/>`;
}

const round = (value: number): number => Math.round(value * 10) / 10;

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
