/** What the page shows of one run, gathered from its events in order. Knows nothing of the page itself. */

import type { ClassFigures } from '../../../packages/training/src/class-report.js';
import type { Metrics, RunEvent, RunSummary, StepPhases } from '../../../packages/training/src/events.js';
import type { LiveRun, PageFrame, StepRow, StepRows } from './messages.js';
import { counted, elapsed } from './words.js';

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
  /** Means over the steps the point stands for. */
  readonly ms: number;
  readonly samplesPerSecond: number;
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

/** Where something happened, on the axis of steps. */
export interface Mark {
  readonly step: number;
  readonly kind: 'fault' | 'checkpoint';
}

/** Which classes were taken for which, of a split. */
export interface ClassCounts {
  /** `test split` or `validation split`. */
  readonly of: string;
  readonly figures: readonly ClassFigures[];
  /** Row: the class of the sample; column: what it was taken for. */
  readonly confusion: readonly (readonly number[])[];
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
  marks: Mark[];
  readonly workers: Map<string, WorkerRow>;
  /** Newest first. */
  log: LogEntry[];
  grain: string | undefined;
  samplesPerSecond: number | undefined;
  checkpointStep: number | undefined;
  grainEvent: (RunEvent & { readonly event: 'grain_chosen' }) | undefined;
  /** Of a classification, once it was measured by class. */
  classes: ClassCounts | undefined;
  summary: RunSummary | undefined;
  live: LiveRun | undefined;
  /** When that came, on the page's own clock. */
  liveAt: number;
}

/** Epochs kept; more are thinned to every other one. A screen has fewer columns. */
const MOST_EPOCHS = 2_000;
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
    checkpointStep: undefined,
    grainEvent: undefined,
    classes: undefined,
    summary: undefined,
    live: undefined,
    liveAt: 0,
  };
}

/** Takes in a message of the coordinator. @param now on the page's own clock, milliseconds */
export function applyFrame(view: RunView, { events, steps, live, summary }: PageFrame, now: number): void {
  for (const { step, event } of events) advanceView(view, event, step);
  if (steps !== undefined) applySteps(view, steps);
  view.summary = summary;
  view.live = live;
  view.liveAt = now;
}

export function applySteps(view: RunView, { from, rows }: StepRows): void {
  const before = view.steps.findIndex(({ step }) => step >= from);
  view.steps = [...(before < 0 ? view.steps : view.steps.slice(0, before)), ...rows.map(pointOf)];
}

function pointOf(row: StepRow): StepPoint {
  const [step = 0, loss = 0, learningRate = 0, gradientNorm = 0, ms = 0, samplesPerSecond = 0, ...phases] = row;
  const [broadcastMs = 0, computeMs = 0, uploadMs = 0, waitMs = 0, averageMs = 0, commitMs = 0] = phases;
  return {
    ...{ step, loss, learningRate, gradientNorm, ms, samplesPerSecond },
    phases: { broadcastMs, computeMs, uploadMs, waitMs, averageMs, commitMs },
  };
}

/** Takes in the next event. @param step how many steps were committed by then */
export function advanceView(view: RunView, event: RunEvent, step: number): void {
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
      mark(view, event.step, 'fault');
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
      mark(view, step, 'fault');
      say(
        `${event.worker} lost (${event.reason}), noticed in ${elapsed(event.detectedInMs)}: ${counted(event.blocksReissued, 'block')} handed to others`,
        'bad',
      );
      break;
    case 'worker_left':
      markWorker(view, event, 'left');
      say(`${event.worker} left: ${event.reason}`);
      break;
    case 'workers_measured':
      break;
    case 'step_committed':
      break; // steps come as a curve
    case 'epoch_finished':
      view.samplesPerSecond = event.samplesPerSecond;
      view.epochs = kept([...view.epochs.filter((known) => known.step < event.step), event]);
      break;
    case 'checkpoint_saved':
      view.checkpointStep = event.step;
      mark(view, event.step, 'checkpoint');
      say(`checkpoint of step ${event.step} saved in ${elapsed(event.durationMs)}`);
      break;
    case 'checkpoint_failed':
      say(`checkpoint failed: ${event.message}; training goes on, the last good one is kept`, 'bad');
      break;
    case 'copy_failed':
      say(`copy in object storage falls behind: ${event.message}; training goes on`, 'bad');
      break;
    case 'copy_caught_up':
      say(`copy in object storage complete again, after ${elapsed(event.afterSeconds * 1000)}`);
      break;
    case 'grain_chosen':
      view.grainEvent = event;
      view.grain = event.grain === 'run' ? `whole steps, leased (${event.stepsPerLease})` : 'each step shared out';
      say(`${view.grain}: ${event.reason}`);
      break;
    case 'run_rolled_back':
      mark(view, event.toStep, 'fault');
      // What comes after is made anew, with other figures.
      view.steps = view.steps.filter(({ step }) => step < event.toStep);
      view.epochs = view.epochs.filter(({ step }) => step <= event.toStep);
      say(
        `back to step ${event.toStep} with half the learning rate: step ${event.step} is not finite (${event.reason})`,
        'bad',
      );
      break;
    case 'step_skipped':
      say(`step ${event.step} left out, it is not finite: ${event.reason}`, 'bad');
      break;
    case 'worker_quarantined':
      say(`${event.worker} gets no work for ${event.seconds} s: ${event.reason}`, 'bad');
      break;
    case 'coordinator_stalled':
      say(`the coordinator stood still for ${event.seconds} s`, 'bad');
      break;
    case 'verification_idle':
      say(event.reason, 'warn');
      break;
    case 'block_copied':
      say(`${event.item} given to a second worker: ${event.worker} had it for too long`, 'warn');
      break;
    case 'gradient_outlier':
      say(
        `gradient norm ${event.gradientNorm.toPrecision(3)} at step ${event.step}, usually ${event.usual.toPrecision(3)}`,
        'warn',
      );
      break;
    case 'run_stopping':
      view.stopping = event.reason;
      say(`stopping: ${event.reason}`, 'warn');
      break;
    case 'run_finished':
      view.finished = event;
      view.classes = classesOf(event.test, 'test split') ?? classesOf(event.validation, 'validation split');
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

/** Every other one where there are too many; the last stays. */
function kept<Point>(points: Point[]): Point[] {
  return points.length <= MOST_EPOCHS
    ? points
    : points.filter((_, index) => index % 2 === points.length % 2 || index === points.length - 1);
}

/** Not every run has been measured by class: figures of regressions and of older runs have neither field. */
type ByClass = Metrics & { readonly classes?: ClassCounts['figures']; readonly confusion?: ClassCounts['confusion'] };

function classesOf(metrics: ByClass | undefined, of: string): ClassCounts | undefined {
  const { classes: figures, confusion } = metrics ?? {};
  return figures === undefined || confusion === undefined ? undefined : { of, figures, confusion };
}

function mark(view: RunView, step: number, kind: Mark['kind']): void {
  view.marks = [...view.marks.slice(1 - MOST_MARKS), { step, kind }];
}

function workerOf({ worker, pid, time }: { worker: string; pid: number; time: string }) {
  return { worker, pid, since: time };
}

function markWorker(view: RunView, event: { worker: string; pid: number; time: string }, state: 'lost' | 'left'): void {
  const threads = view.workers.get(event.worker)?.threads ?? 0;
  view.workers.set(event.worker, { ...workerOf(event), threads, state });
}
