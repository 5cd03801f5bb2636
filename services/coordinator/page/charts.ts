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
  readonly dashed?: boolean;
  /** Behind another curve. */
  readonly faint?: boolean;
  /** What is said under the cursor, where that is not the curve's own height. */
  readonly told?: readonly number[];
}

/** Something that happened at a step. */
export interface ChartMark {
  readonly step: number;
  /** A dashed line with a head; a small triangle on the axis. */
  readonly kind: 'fault' | 'checkpoint';
}

export interface Picture {
  readonly steps: readonly number[];
  readonly curves: readonly Curve[];
  readonly log?: boolean;
  /** Where the axis ends, when a few outliers would press the rest down; else it fits all. */
  readonly most?: number;
  /** The axis begins with 0. */
  readonly fromZero?: boolean;
  readonly marks?: readonly ChartMark[];
  /** Where the axis of steps ends: at the same step in all charts, so that the cursor is at one place in all. */
  readonly mostStep: number;
}

export interface Chart {
  show(picture: Picture): void;
}

const HEIGHT = 210;

/** A chart in an element, as wide as that; all charts of a `group` share one cursor. */
export function createChart(element: HTMLElement, group: string): Chart {
  let plot: uPlot | undefined;
  let shape = '';
  let marks: readonly ChartMark[] = [];
  let mostStep = 0;
  let told: readonly (readonly number[] | undefined)[] = [];

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

  const build = ({ curves, log, most, fromZero }: Picture, data: uPlot.AlignedData): uPlot => {
    const [text, line, bad] = [resolved('--quiet'), resolved('--line'), resolved('--bad')];
    const axis = { stroke: text, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
    const options: uPlot.Options = {
      ...size(),
      cursor: { sync: { key: group }, y: false },
      scales: {
        x: { time: false, range: () => [0, Math.max(1, mostStep)] },
        y: { distr: log === true ? 3 : 1, ...rangeOf(most, fromZero) },
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
          ({ label, colour, values, filled, sparse, right, dashed, faint }, index): uPlot.Series => ({
            label,
            stroke: faint ? `${colour}55` : colour,
            width: filled || faint ? 1 : 1.75,
            ...(dashed ? { dash: [6, 3] } : {}),
            scale: right ? 'right' : 'y',
            ...(filled ? { fill: colour } : {}),
            spanGaps: true,
            points: { show: sparse === true && FEW_POINTS > present(values), size: 5 },
            value: (_plot, value, _series, at) => {
              const said = at === null ? value : (told[index]?.[at] ?? value);
              return said === null || said === undefined ? '–' : Number(said.toPrecision(4)).toString();
            },
          }),
        ),
      ],
      hooks: {
        draw: [
          (drawn) => {
            drawn.ctx.save();
            for (const mark of marks) drawMark(drawn, mark, bad, text);
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
    mostStep = picture.mostStep;
    told = picture.curves.map((curve) => curve.told);
    if (picture.steps.length === 0) return;
    const data = [
      [...picture.steps],
      ...picture.curves.map(({ values }) => [...values]),
    ] as unknown as uPlot.AlignedData;
    const wanted = [
      ...picture.curves.map(({ label, values }) => `${label} ${FEW_POINTS > present(values)}`),
      picture.most,
      picture.log,
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

function rangeOf(most: number | undefined, fromZero: boolean | undefined): Pick<uPlot.Scale, 'range'> {
  if (most !== undefined) return { range: [0, most] };
  return fromZero ? { range: (_plot, _min, max) => [0, max > 0 ? max * 1.1 : 1] } : {};
}

function drawMark({ ctx, bbox, valToPos }: uPlot, { step, kind }: ChartMark, fault: string, checkpoint: string): void {
  const x = Math.round(valToPos(step, 'x', true));
  const bottom = bbox.top + bbox.height;
  const size = 5 * devicePixelRatio;
  ctx.beginPath();
  if (kind === 'checkpoint') {
    ctx.fillStyle = checkpoint;
    ctx.moveTo(x, bottom - size * 1.6);
    ctx.lineTo(x - size * 0.8, bottom);
    ctx.lineTo(x + size * 0.8, bottom);
    ctx.fill();
    return;
  }
  ctx.strokeStyle = fault;
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
  ctx.moveTo(x, bbox.top);
  ctx.lineTo(x, bottom);
  ctx.stroke();
  ctx.beginPath();
  ctx.fillStyle = fault;
  ctx.moveTo(x, bbox.top + size * 1.4);
  ctx.lineTo(x - size, bbox.top);
  ctx.lineTo(x + size, bbox.top);
  ctx.fill();
}

/** More are drawn as a line alone. */
const FEW_POINTS = 60;
const present = (values: readonly (number | null)[]): number => values.filter((value) => value !== null).length;

/** Of a logarithmic axis the powers of ten get a line and a number; where it has less than two of them, 2 and 5 too. */
const decades = (_plot: uPlot, splits: readonly number[]): (number | null)[] => {
  const digitOf = (value: number): number => Math.round(value / 10 ** Math.floor(Math.log10(value) + 1e-9));
  const few = splits.filter((value) => digitOf(value) === 1).length < 2;
  return splits.map((value) => ([1, ...(few ? [2, 5] : [])].includes(digitOf(value)) ? value : null));
};
const DECADES: Pick<uPlot.Axis, 'filter'> = { filter: decades };

const shortly = (value: number | null): string => {
  if (value === null) return '';
  return value !== 0 && (Math.abs(value) < 0.001 || Math.abs(value) >= 100_000)
    ? value.toExponential(0)
    : String(Number(value.toPrecision(3)));
};
