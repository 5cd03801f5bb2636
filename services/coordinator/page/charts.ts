/** The page's curves: uPlot, drawn anew from arrays, with the colours of the page's theme. */
import uPlot from './uplot.js';

export interface Curve {
  readonly label: string;
  readonly colour: string;
  readonly values: readonly (number | null)[];
  /** Filled down to the curve below it. */
  readonly filled?: boolean;
  /** Only the points that are there, joined over the gaps. */
  readonly sparse?: boolean;
  /** On the axis to the right. */
  readonly right?: boolean;
}

export interface Picture {
  readonly steps: readonly number[];
  readonly curves: readonly Curve[];
  readonly log?: boolean;
  /** Where the axis ends, when a few outliers would press the rest down; else it fits all. */
  readonly most?: number;
  /** Steps to mark with a line. */
  readonly marks?: readonly number[];
}

export interface Chart {
  show(picture: Picture): void;
}

const HEIGHT = 210;

/** A chart in an element, as wide as that; all charts of a `group` share one cursor. */
export function createChart(element: HTMLElement, group: string): Chart {
  let plot: uPlot | undefined;
  let shape = '';
  let marks: readonly number[] = [];

  const size = (): { width: number; height: number } => ({
    width: Math.max(200, element.clientWidth),
    height: HEIGHT,
  });
  const style = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const resolved = (name: string): string => {
    const probe = document.createElement('span');
    probe.style.color = style(name);
    document.body.append(probe);
    const colour = getComputedStyle(probe).color;
    probe.remove();
    return colour;
  };

  const build = ({ curves, log, most }: Picture, data: uPlot.AlignedData): uPlot => {
    const [text, line, bad] = [resolved('--quiet'), resolved('--line'), resolved('--bad')];
    const axis = { stroke: text, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
    const options: uPlot.Options = {
      ...size(),
      cursor: { sync: { key: group }, y: false },
      scales: {
        x: { time: false },
        y: { distr: log === true ? 3 : 1, ...(most === undefined ? {} : { range: [0, most] }) },
        right: {},
      },
      axes: [
        axis,
        { ...axis, size: 62, values: (_plot, splits) => splits.map(shortly), ...(log === true ? DECADES : {}) },
        ...(curves.some(({ right }) => right)
          ? [{ ...axis, scale: 'right', side: 1 as const, size: 62, grid: { show: false } }]
          : []),
      ],
      series: [
        { label: 'step' },
        ...curves.map(
          ({ label, colour, values, filled, sparse, right }): uPlot.Series => ({
            label,
            stroke: colour,
            width: filled ? 1 : 1.5,
            scale: right ? 'right' : 'y',
            ...(filled ? { fill: `${colour}99` } : {}),
            spanGaps: true,
            points: { show: sparse === true && FEW_POINTS > present(values), size: 5 },
            value: (_plot, value) => (value === null ? '–' : Number(value.toPrecision(5)).toString()),
          }),
        ),
      ],
      hooks: {
        draw: [
          (drawn) => {
            drawn.ctx.save();
            drawn.ctx.strokeStyle = bad;
            drawn.ctx.setLineDash([4, 4]);
            for (const mark of marks) {
              const x = Math.round(drawn.valToPos(mark, 'x', true));
              drawn.ctx.beginPath();
              drawn.ctx.moveTo(x, drawn.bbox.top);
              drawn.ctx.lineTo(x, drawn.bbox.top + drawn.bbox.height);
              drawn.ctx.stroke();
            }
            drawn.ctx.restore();
          },
        ],
      },
    };
    return new uPlot(options, data, element);
  };

  let latest: Picture | undefined;
  const show = (picture: Picture): void => {
    latest = picture;
    marks = picture.marks ?? [];
    if (picture.steps.length === 0) return;
    const data = [
      [...picture.steps],
      ...picture.curves.map(({ values }) => [...values]),
    ] as unknown as uPlot.AlignedData;
    const wanted = [
      ...picture.curves.map(({ label, values }) => `${label} ${FEW_POINTS > present(values)}`),
      picture.most,
    ].join();
    if (plot !== undefined && wanted === shape) {
      plot.setData(data);
      return;
    }
    plot?.destroy();
    shape = wanted;
    plot = build(picture, data);
  };
  const rebuild = (): void => {
    plot?.destroy();
    plot = undefined;
    if (latest !== undefined) show(latest);
  };
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', rebuild);
  new ResizeObserver(() => plot?.setSize(size())).observe(element);
  return { show };
}

/** More are drawn as a line alone. */
const FEW_POINTS = 60;
const present = (values: readonly (number | null)[]): number => values.filter((value) => value !== null).length;

/** Of a logarithmic axis only the powers of ten get a line and a number. */
const decades = (_plot: uPlot, splits: readonly number[]): (number | null)[] =>
  splits.map((value) => (Number.isInteger(Math.log10(value)) ? value : null));
const DECADES: Pick<uPlot.Axis, 'filter'> = { filter: decades };

const shortly = (value: number | null): string => {
  if (value === null) return '';
  return value !== 0 && (Math.abs(value) < 0.001 || Math.abs(value) >= 100_000)
    ? value.toExponential(0)
    : String(Number(value.toPrecision(3)));
};
