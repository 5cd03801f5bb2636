/** Writes a run's view into the page. Whatever comes from a run is set as text, never as markup. */
import { type Chart, createChart } from './charts.js';
import {
  counted,
  duration,
  type EpochPoint,
  percent,
  type RunView,
  reasonToWait,
  sentenceOf,
  shareDone,
} from './run-view.js';

const COLOURS = {
  train: '#4c8dff',
  validation: '#c96a08',
  rate: '#459040',
  norm: '#a0628f',
  phases: ['#4c8dff', '#459040', '#c96a08', '#7d8796', '#a0628f', '#d4474a'],
} as const;

const PHASES = [
  ['broadcastMs', 'broadcast'],
  ['computeMs', 'compute'],
  ['uploadMs', 'upload'],
  ['waitMs', 'wait for the job'],
  ['averageMs', 'average'],
  ['commitMs', 'commit'],
] as const;

export interface Renderer {
  /** @param waitingFor what the coordinator says the run waits for */
  render(view: RunView, waitingFor: string | undefined): void;
}

export function element(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no element ${id}`);
  return found;
}

export function createRenderer(): Renderer {
  const chart = (id: string): Chart => createChart(element(id), 'steps');
  const [loss, accuracy, anatomy, rates] = [chart('loss'), chart('accuracy'), chart('anatomy'), chart('rates')];
  const progress = element('progress') as HTMLProgressElement;
  let shownLog: unknown;
  let shownWorkers: string | undefined;
  return {
    render(view, waitingFor) {
      element('sentence').textContent = sentenceOf(view);
      element('sentence').className = view.failed === undefined ? (view.finished === undefined ? '' : 'good') : 'bad';
      element('why').textContent = view.failed?.hint ?? reasonToWait(view, waitingFor, Date.now());
      progress.value = shareDone(view);
      fill(element('figures'), figuresOf(view));
      drawCurves(view, { loss, accuracy, anatomy, rates });
      const workers = JSON.stringify([...view.workers.values()]);
      if (shownWorkers !== workers) element('workers').replaceChildren(workersTable(view));
      shownWorkers = workers;
      if (shownLog !== view.log[0]) element('log').replaceChildren(...view.log.map(logLine));
      shownLog = view.log[0];
      element('result-card').hidden = view.finished === undefined;
      if (view.finished !== undefined) fill(element('result'), resultOf(view.finished));
    },
  };
}

function drawCurves(view: RunView, charts: Readonly<Record<'loss' | 'accuracy' | 'anatomy' | 'rates', Chart>>): void {
  const { marks } = view;
  const steps = view.steps.map(({ step }) => step);
  // Few of many steps are here, and the last of an epoch is seldom one of them: the axis has both.
  const lastOf = ({ step }: EpochPoint): number => step - 1;
  const both = [...new Set([...steps, ...view.epochs.map(lastOf)])].sort((a, b) => a - b);
  const losses = new Map(view.steps.map(({ step, loss }) => [step, loss > 0 ? loss : null]));
  const validated = new Map(view.epochs.map((epoch) => [lastOf(epoch), epoch.validation?.loss]));
  charts.loss.show({
    steps: both,
    marks,
    log: true,
    curves: [
      { label: 'training', colour: COLOURS.train, values: both.map((step) => losses.get(step) ?? null) },
      {
        label: 'validation',
        colour: COLOURS.validation,
        values: both.map((step) => validated.get(step) ?? null),
        sparse: true,
      },
    ],
  });
  const kind = view.epochs[0]?.train.accuracy === undefined ? 'r2' : 'accuracy';
  element('accuracy-title').textContent = kind === 'r2' ? 'r²' : 'Accuracy';
  charts.accuracy.show({
    steps: view.epochs.map(({ step }) => step),
    marks,
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
      },
    ],
  });
  // Stacked: each curve is the sum of its phase and those below, the highest drawn first.
  const sums = PHASES.map((_, index) =>
    view.steps.map(({ phases }) => PHASES.slice(0, index + 1).reduce((sum, [key]) => sum + phases[key], 0)),
  );
  charts.anatomy.show({
    steps,
    marks,
    ...axisWithoutOutliers(view.steps.map(({ durationMs }) => durationMs)),
    curves: PHASES.map(([, label], index) => ({
      label,
      colour: COLOURS.phases[index] ?? COLOURS.train,
      values: sums[index] ?? [],
      filled: true,
    })).reverse(),
  });
  charts.rates.show({
    steps,
    marks,
    curves: [
      { label: 'learning rate', colour: COLOURS.rate, values: view.steps.map(({ learningRate }) => learningRate) },
      {
        label: 'gradient norm',
        colour: COLOURS.norm,
        values: view.steps.map(({ gradientNorm }) => gradientNorm),
        right: true,
      },
    ],
  });
}

/** A first step of 100 ms would press steps of 1 ms to the ground. Rounded up, so that the axis seldom moves. */
function axisWithoutOutliers(values: readonly number[]): { readonly most?: number } {
  const usual = [...values].sort((a, b) => a - b)[Math.floor(values.length * 0.98)];
  if (usual === undefined || usual <= 0) return {};
  const unit = 10 ** Math.floor(Math.log10(usual * 1.2));
  return { most: Math.ceil((usual * 1.2) / unit) * unit };
}

type Pairs = readonly (readonly [string, string])[];

function figuresOf(view: RunView): Pairs {
  const last = view.steps.at(-1);
  const epoch = view.epochs.at(-1);
  const validation = epoch?.validation;
  const figures: (readonly [string, string | undefined])[] = [
    ['loss', last?.loss.toPrecision(4)],
    ['validation loss', validation?.loss.toPrecision(4)],
    ['validation accuracy', validation?.accuracy === undefined ? undefined : percent(validation.accuracy)],
    ['samples a second', (view.finished ?? view).samplesPerSecond?.toLocaleString('en', { maximumFractionDigits: 0 })],
    ['ms a step', last?.durationMs.toFixed(2)],
    ['epoch', epochOf(view)],
    ['checkpoint', view.checkpointStep === undefined ? undefined : `step ${view.checkpointStep.toLocaleString('en')}`],
    ['goodput', view.finished === undefined ? undefined : percent(view.finished.goodput)],
  ];
  return figures.flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]));
}

function epochOf({ started, finished, epochs }: RunView): string | undefined {
  const done = finished?.epochs ?? epochs.at(-1)?.epoch;
  return started === undefined || done === undefined ? undefined : `${done} of ${started.epochs}`;
}

function resultOf(finished: NonNullable<RunView['finished']>): Pairs {
  const { test, workersLost, blocksReissued } = finished;
  const faults = `${counted(workersLost, 'worker')} lost, ${counted(blocksReissued, 'block')} run again`;
  return [
    ...(test?.accuracy === undefined ? [] : [['test accuracy', percent(test.accuracy)] as const]),
    ...(test === undefined ? [] : [['test loss', test.loss.toPrecision(5)] as const]),
    ['time', duration(finished.seconds)],
    ['faults', workersLost + blocksReissued === 0 ? 'none' : `${faults}; the weights are the same as without`],
    ['weights sha256', finished.weightsSha256],
    ['kernel', finished.kernel],
    ['model', finished.modelPath],
  ];
}

function fill(list: HTMLElement, pairs: Pairs): void {
  const inGroups = list.classList.contains('figures');
  const nodes = pairs.map(([name, value]) => {
    const [term, description] = [create('dt', name), create('dd', value)];
    if (!inGroups) return [term, description];
    const group = create('div', '');
    group.append(term, description);
    return [group];
  });
  list.replaceChildren(...nodes.flat());
}

function workersTable(view: RunView): HTMLElement {
  if (view.workers.size === 0) return create('p', 'No worker has joined yet.', 'quiet');
  const table = create('table', '');
  const head = create('tr', '');
  head.append(...['worker', 'state', 'threads', 'process', 'since'].map((title) => create('th', title)));
  const tones = { 'at work': 'good', lost: 'bad', left: 'quiet' } as const;
  const rows = [...view.workers.values()].map(({ worker, state, threads, pid, since }) => {
    const row = create('tr', '');
    row.append(create('td', worker), create('td', state, tones[state]));
    row.append(...[String(threads), String(pid), clock(since)].map((cell) => create('td', cell)));
    return row;
  });
  table.append(head, ...rows);
  return table;
}

function logLine({ time, text, tone }: RunView['log'][number]): HTMLElement {
  const line = create('li', '');
  const when = create('time', clock(time)) as HTMLTimeElement;
  when.dateTime = time;
  line.append(when, create('span', text, tone === 'plain' ? undefined : tone));
  return line;
}

function create(tag: string, text: string, className?: string): HTMLElement {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className !== undefined) made.className = className;
  return made;
}

const clock = (time: string): string => new Date(time).toLocaleTimeString('en-GB');
