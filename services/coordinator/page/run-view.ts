/** What the page shows of one run, gathered from its events in order. Knows nothing of the page itself. */
import type { Metrics, RunEvent, StepPhases } from '../../../packages/training/src/events.js';

/** How an entry of the log is meant. */
export type Tone = 'plain' | 'good' | 'warn' | 'bad';

export interface LogEntry {
  readonly time: string;
  readonly text: string;
  readonly tone: Tone;
}

export interface StepPoint {
  readonly step: number;
  readonly loss: number;
  readonly learningRate: number;
  readonly gradientNorm: number;
  readonly durationMs: number;
  readonly phases: StepPhases;
}

export interface EpochPoint {
  readonly epoch: number;
  /** The step after its last. */
  readonly step: number;
  readonly train: Metrics;
  readonly validation?: Metrics;
}

export interface WorkerRow {
  readonly worker: string;
  readonly pid: number;
  readonly threads: number;
  readonly state: 'at work' | 'lost' | 'left';
  readonly since: string;
}

type Started = RunEvent & { readonly event: 'run_started' };
type Finished = RunEvent & { readonly event: 'run_finished' };

export interface RunView {
  started: Started | undefined;
  finished: Finished | undefined;
  failed: { readonly code: string; readonly message: string; readonly hint?: string } | undefined;
  stopping: string | undefined;
  steps: StepPoint[];
  epochs: EpochPoint[];
  /** Steps at which something was lost or taken up again. */
  marks: number[];
  readonly workers: Map<string, WorkerRow>;
  /** Newest first. */
  log: LogEntry[];
  grain: string | undefined;
  samplesPerSecond: number | undefined;
  lastEventAt: number | undefined;
  lastStepAt: number | undefined;
  checkpointStep: number | undefined;
}

/** Points kept; more are thinned to every other one. A screen has fewer columns. */
const MOST_POINTS = 4_000;
const MOST_LOG_ENTRIES = 300;
const MOST_MARKS = 200;

export function emptyView(): RunView {
  return {
    started: undefined,
    finished: undefined,
    failed: undefined,
    stopping: undefined,
    steps: [],
    epochs: [],
    marks: [],
    workers: new Map(),
    log: [],
    grain: undefined,
    samplesPerSecond: undefined,
    lastEventAt: undefined,
    lastStepAt: undefined,
    checkpointStep: undefined,
  };
}

/** Takes in the next event. */
export function advanceView(view: RunView, event: RunEvent): void {
  view.lastEventAt = Date.parse(event.time);
  const say = (text: string, tone: Tone = 'plain'): void => {
    view.log.unshift({ time: event.time, text, tone });
    if (view.log.length > MOST_LOG_ENTRIES) view.log.length = MOST_LOG_ENTRIES;
  };
  switch (event.event) {
    case 'run_queued':
      say(`queued as ${event.run}`);
      break;
    case 'data_progressed':
      break;
    case 'data_prepared':
      say(`data ${event.reused ? 'found prepared' : 'prepared'}: ${counted(event.samples, 'sample')}`);
      break;
    case 'run_started':
      view.started = event;
      for (const warning of event.warnings) say(warning, 'warn');
      say(`started: ${counted(event.parameters, 'parameter')}, ${counted(event.samples.train, 'training sample')}`);
      break;
    case 'run_resumed':
      Object.assign(view, { finished: undefined, failed: undefined, stopping: undefined });
      mark(view, event.step);
      // What comes after is made again.
      view.steps = view.steps.filter(({ step }) => step < event.step);
      view.epochs = view.epochs.filter(({ step }) => step <= event.step);
      say(
        `a coordinator took the run up again at step ${event.step}; ${counted(event.redoneSteps, 'step')} made again`,
        'warn',
      );
      break;
    case 'worker_joined':
      view.workers.set(event.worker, { ...workerOf(event), state: 'at work', threads: event.threads });
      say(`${event.worker} joined with ${counted(event.threads, 'thread')}`, 'good');
      break;
    case 'worker_lost':
      markWorker(view, event, 'lost');
      mark(view, view.steps.at(-1)?.step ?? 0);
      say(
        `${event.worker} lost (${event.reason}), noticed in ${seconds(event.detectedInMs)}: ${counted(event.blocksReissued, 'block')} handed to others`,
        'bad',
      );
      break;
    case 'worker_left':
      markWorker(view, event, 'left');
      say(`${event.worker} left: ${event.reason}`);
      break;
    case 'step_committed':
      addStep(view, event);
      break;
    case 'epoch_finished':
      view.samplesPerSecond = event.samplesPerSecond;
      view.epochs = kept([...view.epochs, event]);
      break;
    case 'checkpoint_saved':
      view.checkpointStep = event.step;
      say(`checkpoint of step ${event.step} saved in ${seconds(event.durationMs)}`);
      break;
    case 'checkpoint_failed':
      say(`checkpoint failed: ${event.message}; training goes on, the last good one is kept`, 'bad');
      break;
    case 'grain_chosen':
      view.grain = event.grain === 'run' ? `whole steps, leased (${event.stepsPerLease})` : 'each step shared out';
      say(`${view.grain}: ${event.reason}`);
      break;
    case 'run_stopping':
      view.stopping = event.reason;
      say(`stopping: ${event.reason}`, 'warn');
      break;
    case 'run_finished':
      view.finished = event;
      say(`done after ${counted(event.steps, 'step')}`, 'good');
      break;
    case 'run_failed':
      view.failed = {
        code: event.code,
        message: event.message,
        ...(event.hint === undefined ? {} : { hint: event.hint }),
      };
      say(`${event.code}: ${event.message}`, 'bad');
      break;
    default:
      event satisfies never;
  }
}

function addStep(view: RunView, event: RunEvent & { readonly event: 'step_committed' }): void {
  view.lastStepAt = Date.parse(event.time);
  view.steps.push(event);
  view.steps = kept(view.steps);
}

/** Every other one where there are too many; the last stays. */
function kept<Point>(points: Point[]): Point[] {
  return points.length <= MOST_POINTS
    ? points
    : points.filter((_, index) => index % 2 === points.length % 2 || index === points.length - 1);
}

function mark(view: RunView, step: number): void {
  view.marks = [...view.marks.slice(1 - MOST_MARKS), step];
}

function workerOf({ worker, pid, time }: { worker: string; pid: number; time: string }) {
  return { worker, pid, since: time };
}

function markWorker(view: RunView, event: { worker: string; pid: number; time: string }, state: 'lost' | 'left'): void {
  const threads = view.workers.get(event.worker)?.threads ?? 0;
  view.workers.set(event.worker, { ...workerOf(event), threads, state });
}

/** Where the run stands, in a sentence. */
export function sentenceOf(view: RunView): string {
  const { started, finished, failed } = view;
  if (failed !== undefined) return `Failed: ${failed.message}`;
  if (finished !== undefined) {
    const test = finished.test?.accuracy === undefined ? '' : `, test accuracy ${percent(finished.test.accuracy)}`;
    return `Done after ${counted(finished.steps, 'step')} in ${duration(finished.seconds)}${test}`;
  }
  if (started === undefined) return 'Preparing: reading data and drawing the first weights';
  if (view.stopping !== undefined) return `Stopping: ${view.stopping}`;
  const last = view.steps.at(-1);
  const done = last === undefined ? 0 : last.step + 1;
  const left = timeLeft(view);
  const workers = [...view.workers.values()].filter(({ state }) => state === 'at work').length;
  return (
    `Training: step ${done.toLocaleString('en')} of ${started.steps.toLocaleString('en')}, ${counted(workers, 'worker')}` +
    (left === undefined ? '' : `, about ${duration(left)} left`)
  );
}

/** Why nothing moves, when nothing moves. */
export function reasonToWait(view: RunView, waitingFor: string | undefined, now: number): string {
  if (view.finished !== undefined || view.failed !== undefined) return '';
  if (waitingFor !== undefined) return `It waits for ${waitingFor}.`;
  if (view.started === undefined || view.lastEventAt === undefined) return '';
  const quietMs = now - view.lastEventAt;
  const typicalMs = medianOf(view.steps.slice(-50).map(({ durationMs }) => durationMs));
  if (quietMs < Math.max(3_000, 10 * (typicalMs ?? 0))) return '';
  const atWork = [...view.workers.values()].filter(({ state }) => state === 'at work');
  const since = `No step for ${seconds(quietMs)}`;
  if (atWork.length === 0) return `${since}: no worker is connected. Start one, and it goes on by itself.`;
  const { lastStepAt = 0 } = view;
  const lost = [...view.workers.values()].findLast(
    ({ state, since: at }) => state === 'lost' && Date.parse(at) >= lastStepAt,
  );
  if (lost !== undefined)
    return `${since}: ${lost.worker} was lost, its blocks are computed by ${atWork.map(({ worker }) => worker).join(', ')}.`;
  return `${since}; ${counted(atWork.length, 'worker')} connected: ${atWork.map(({ worker }) => worker).join(', ')}.`;
}

/** Seconds that the steps still to be made will take, by the median of the last. */
function timeLeft({ started, steps }: RunView): number | undefined {
  const last = steps.at(-1);
  const typicalMs = medianOf(steps.slice(-100).map(({ durationMs }) => durationMs));
  if (started === undefined || last === undefined || typicalMs === undefined) return undefined;
  return ((started.steps - last.step - 1) * typicalMs) / 1000;
}

/** Share of the run's steps that are done: 0..1. */
export function shareDone({ started, finished, steps }: RunView): number {
  if (finished !== undefined) return 1;
  const last = steps.at(-1);
  return started === undefined || last === undefined ? 0 : (last.step + 1) / started.steps;
}

function medianOf(values: readonly number[]): number | undefined {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

export const counted = (count: number, what: string): string =>
  `${count.toLocaleString('en')} ${what}${count === 1 ? '' : 's'}`;

export const percent = (share: number): string => `${(share * 100).toFixed(2)} %`;

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

export function duration(wholeSeconds: number): string {
  if (wholeSeconds < 90) return `${wholeSeconds < 10 ? wholeSeconds.toFixed(1) : Math.round(wholeSeconds)} s`;
  const minutes = Math.round(wholeSeconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
