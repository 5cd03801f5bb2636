/** The curves of a run: which figures are in which chart, and how smooth. */
import { type Chart, type Curve, createChart } from './charts.js';
import { element } from './elements.js';
import type { EpochPoint, RunView, StepPoint } from './run-view.js';

const COLOURS = {
  train: '#3b7ded',
  validation: '#c2620a',
  rate: '#3f8a3b',
  norm: '#a0628f',
  phases: ['#3b7ded', '#3f8a3b', '#c2620a', '#7d8796', '#a0628f', '#d4474a'],
} as const;

const PHASES = [
  ['broadcastMs', 'broadcast'],
  ['computeMs', 'compute'],
  ['uploadMs', 'upload'],
  ['waitMs', 'wait for the job'],
  ['averageMs', 'average'],
  ['commitMs', 'commit'],
] as const;

export interface Curves {
  show(view: RunView): void;
}

/** Charts, and the settings that are in force for them. */
export function createCurves(changed: () => void): Curves {
  const chart = (id: string): Chart => createChart(element(id), 'steps');
  const charts = {
    loss: chart('loss'),
    accuracy: chart('accuracy'),
    anatomy: chart('anatomy'),
    speed: chart('speed'),
    rates: chart('rates'),
  };
  const smoothing = element('smoothing') as HTMLInputElement;
  const logarithmic = element('logarithmic') as HTMLInputElement;
  const told = element('smoothing-value');
  const apply = (): void => {
    told.textContent = smoothing.value === '0' ? 'off' : `${smoothing.value} %`;
    smoothing.setAttribute('aria-valuetext', told.textContent);
    changed();
  };
  smoothing.addEventListener('input', apply);
  logarithmic.addEventListener('change', changed);
  apply();
  return {
    show: (view) => drawCurves(view, charts, Number(smoothing.value) / 100, logarithmic.checked),
  };
}

type Charts = Readonly<Record<'loss' | 'accuracy' | 'anatomy' | 'speed' | 'rates', Chart>>;

function drawCurves(view: RunView, charts: Charts, smoothing: number, log: boolean): void {
  const { marks } = view;
  const steps = view.steps.map(({ step }) => step);
  const most = Math.max(steps.at(-1) ?? 0, (view.epochs.at(-1)?.step ?? 1) - 1);
  const shared = { marks, mostStep: most };
  // Few of many steps are here, and the last of an epoch is seldom one of them: the axis has both.
  const lastOf = ({ step }: EpochPoint): number => step - 1;
  const both = [...new Set([...steps, ...view.epochs.map(lastOf)])].sort((a, b) => a - b);
  const validated = new Map(view.epochs.map((epoch) => [lastOf(epoch), epoch.validation?.loss]));
  charts.loss.show({
    ...shared,
    steps: both,
    log,
    curves: [
      ...lossCurves(view, both, smoothing, log),
      {
        label: 'validation',
        colour: COLOURS.validation,
        values: both.map((step) => validated.get(step) ?? null),
        sparse: true,
        dashed: true,
      },
    ],
  });
  const kind = view.epochs[0]?.train.accuracy === undefined ? 'r2' : 'accuracy';
  element('accuracy-card').hidden = !view.epochs.some(({ train }) => train[kind] !== undefined);
  element('accuracy-title').textContent = kind === 'r2' ? 'r²' : 'Accuracy';
  charts.accuracy.show({
    ...shared,
    steps: view.epochs.map(lastOf),
    curves: [
      {
        label: 'training',
        colour: COLOURS.train,
        values: view.epochs.map(({ train }) => train[kind] ?? null),
        sparse: true,
      },
      {
        label: 'validation',
        colour: COLOURS.validation,
        values: view.epochs.map(({ validation }) => validation?.[kind] ?? null),
        sparse: true,
        dashed: true,
      },
    ],
  });
  const windows = meansOf(view.steps);
  const middles = windows.map(({ step }) => step);
  // Stacked: each curve is the sum of its phase and those below, the highest drawn first; what is told is the phase alone.
  charts.anatomy.show({
    ...shared,
    steps: middles,
    ...axisWithoutOutliers(windows.map(({ ms }) => ms)),
    curves: PHASES.map(([key, label], index) => ({
      label,
      colour: COLOURS.phases[index] ?? COLOURS.train,
      values: windows.map(({ phases }) => PHASES.slice(0, index + 1).reduce((sum, [below]) => sum + phases[below], 0)),
      told: windows.map(({ phases }) => phases[key]),
      filled: true,
    })).reverse(),
  });
  charts.speed.show({
    ...shared,
    steps: middles,
    fromZero: true,
    curves: [
      {
        label: 'samples a second',
        colour: COLOURS.rate,
        values: windows.map(({ samplesPerSecond }) => samplesPerSecond),
      },
    ],
  });
  charts.rates.show({
    ...shared,
    steps,
    curves: [
      { label: 'learning rate', colour: COLOURS.rate, values: view.steps.map(({ learningRate }) => learningRate) },
      {
        label: 'gradient norm',
        colour: COLOURS.norm,
        values: smoothed(
          view.steps.map(({ gradientNorm }) => gradientNorm),
          smoothing,
        ),
        right: true,
        dashed: true,
      },
    ],
  });
}

/** More would be a hedge: times of single steps jump by ten. */
const MOST_WINDOWS = 90;

type Window = Pick<StepPoint, 'step' | 'ms' | 'samplesPerSecond' | 'phases'>;

/** Means over windows of as many points each. */
function meansOf(points: readonly StepPoint[]): readonly Window[] {
  const size = Math.ceil(points.length / MOST_WINDOWS);
  return Array.from({ length: Math.ceil(points.length / Math.max(1, size)) }, (_, index): Window => {
    const window = points.slice(index * size, (index + 1) * size);
    const mean = (of: (point: StepPoint) => number): number =>
      window.reduce((sum, point) => sum + of(point), 0) / window.length;
    const ms = mean((point) => point.ms);
    return {
      step: window[Math.floor(window.length / 2)]?.step ?? 0,
      ms,
      // All samples over all of the time, which the mean of speeds is not.
      samplesPerSecond: mean((point) => point.samplesPerSecond * point.ms) / Math.max(1e-9, ms),
      phases: {
        broadcastMs: mean(({ phases }) => phases.broadcastMs),
        computeMs: mean(({ phases }) => phases.computeMs),
        uploadMs: mean(({ phases }) => phases.uploadMs),
        waitMs: mean(({ phases }) => phases.waitMs),
        averageMs: mean(({ phases }) => phases.averageMs),
        commitMs: mean(({ phases }) => phases.commitMs),
      },
    };
  });
}

/** The loss of the steps; smoothed, what it was made from stays behind it. */
function lossCurves(view: RunView, both: readonly number[], smoothing: number, log: boolean): readonly Curve[] {
  const steps = view.steps.map(({ step }) => step);
  const at = (values: readonly number[]): readonly (number | null)[] => {
    const byStep = new Map(steps.map((step, index) => [step, values[index]]));
    return both.map((step) => {
      const value = byStep.get(step);
      return value === undefined || (log && value <= 0) ? null : value;
    });
  };
  const losses = view.steps.map(({ loss }) => loss);
  if (smoothing === 0) return [{ label: 'training', colour: COLOURS.train, values: at(losses) }];
  return [
    { label: 'each step', colour: COLOURS.train, values: at(losses), faint: true },
    { label: 'training', colour: COLOURS.train, values: at(smoothed(losses, smoothing)) },
  ];
}

/** Exponential mean, corrected for its beginning: the first value stands for itself, not for a mean with zeros. */
export function smoothed(values: readonly number[], weight: number): readonly number[] {
  let mean = 0;
  let sum = 0;
  return values.map((value) => {
    mean = weight * mean + (1 - weight) * value;
    sum = weight * sum + (1 - weight);
    return mean / sum;
  });
}

/** A first step of 100 ms would press steps of 1 ms to the ground. Rounded up, so that the axis seldom moves. */
function axisWithoutOutliers(values: readonly number[]): { readonly most?: number } {
  const usual = [...values].sort((a, b) => a - b)[Math.floor(values.length * 0.98)];
  if (usual === undefined || usual <= 0) return {};
  const unit = 10 ** Math.floor(Math.log10(usual * 1.2));
  return { most: Math.ceil((usual * 1.2) / unit) * unit };
}
