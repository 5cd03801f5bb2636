/** What the events of a run so far add up to: the state behind every display. Pure: time comes from the events. */
import type { Metrics, RunEvent, StepPhases } from '#training';
import { formatBytes, formatMilliseconds, formatSeconds, formatSignificant, plural } from '../plain-numbers.js';
import { advanceMarks, connected, type WorkerMarks } from './worker-marks.js';

export interface RunView {
  readonly state: 'waiting' | 'training' | 'stopping' | 'finished' | 'failed';
  readonly run: string;
  /** Rows of the data files so far; undefined: not yet a second's worth. */
  readonly rowsRead: number | undefined;
  readonly started: Extract<RunEvent, { event: 'run_started' }> | undefined;
  readonly latest: Extract<RunEvent, { event: 'step_committed' }> | undefined;
  readonly validation: Metrics | undefined;
  readonly epochsFinished: number;
  readonly workers: WorkerMarks;
  /** Milliseconds a step by phase, averaged over the last twenty or so steps. */
  readonly phases: StepPhases | undefined;
  /** Marks of the last `WINDOW_MS`, oldest first: the rates shown are taken between the first and the last. */
  readonly window: readonly WindowMark[];
  /** The end of the last epoch and of the one before. */
  readonly epochEnds: readonly WindowMark[];
  /** Last five things that happened, oldest first, each with its local time of day. */
  readonly notices: readonly string[];
}

interface WindowMark {
  readonly timeMs: number;
  readonly step: number;
  readonly samplesCommitted: number;
}

/** Long enough to even out evaluations between epochs, short enough to follow a lost worker. */
const WINDOW_MS = 15_000;
const MARK_EVERY_MS = 250;
const MAX_NOTICES = 5;
/** Weight of the newest step in the averaged phases. */
const SMOOTHING = 0.1;

export const emptyView: RunView = {
  state: 'waiting',
  run: '',
  rowsRead: undefined,
  started: undefined,
  latest: undefined,
  validation: undefined,
  epochsFinished: 0,
  workers: new Map(),
  phases: undefined,
  window: [],
  epochEnds: [],
  notices: [],
};

/** The view after one more event. */
export function advanceView(view: RunView, event: RunEvent): RunView {
  const now = notice({ ...view, run: event.run, workers: advanceMarks(view.workers, event) }, event);
  switch (event.event) {
    case 'run_queued':
    case 'data_prepared':
    case 'checkpoint_saved':
    case 'checkpoint_failed':
    case 'copy_failed':
    case 'copy_caught_up':
    case 'grain_chosen':
    case 'worker_joined':
    case 'worker_lost':
    case 'worker_left':
    case 'workers_measured':
    case 'step_skipped':
    case 'run_rolled_back':
    case 'worker_quarantined':
    case 'coordinator_stalled':
    case 'verification_idle':
    case 'block_copied':
    case 'gradient_outlier':
      return now;
    case 'data_progressed':
      return { ...now, rowsRead: event.rows };
    case 'run_started':
      return { ...now, state: 'training', started: event, window: [mark(event.time, 0, 0)] };
    case 'run_resumed':
      // The time in between is no rate.
      return {
        ...now,
        state: 'training',
        epochEnds: [],
        window: [mark(event.time, event.step, committedSamples(now.started, event.step))],
      };
    case 'step_committed': {
      const steps = committedSteps(event);
      return {
        ...now,
        latest: event,
        phases: smooth(now.phases, event.phases, steps - (now.latest === undefined ? 0 : committedSteps(now.latest))),
        window: extend(now.window, mark(event.time, steps, committedSamples(now.started, steps))),
      };
    }
    case 'epoch_finished':
      return {
        ...now,
        epochsFinished: now.epochsFinished + 1,
        epochEnds: [
          ...now.epochEnds.slice(-1),
          mark(event.time, event.step, committedSamples(now.started, event.step)),
        ],
        ...(event.validation === undefined ? {} : { validation: event.validation }),
      };
    case 'run_stopping':
      return { ...now, state: 'stopping' };
    case 'run_finished': {
      // Ten steps a second are told of, and the last of all may not have been one of them.
      const step = event.steps - 1;
      const latest = now.latest && { ...now.latest, step, epoch: epochOf(now.started, step) ?? now.latest.epoch };
      return { ...now, state: 'finished', latest };
    }
    case 'run_failed':
      return { ...now, state: 'failed' };
    default:
      // An event of a newer coordinator: shown by `--json`, of no meaning here.
      event satisfies never;
      return now;
  }
}

/** Steps behind us after this event: steps count from 0. */
export function committedSteps(event: { readonly step: number }): number {
  return event.step + 1;
}

function epochOf(started: RunView['started'], step: number): number | undefined {
  return started && Math.floor(step / Math.ceil(started.samples.train / started.batch));
}

/** Samples in the first `steps` steps: the last step of an epoch may be a short one. */
function committedSamples(started: RunView['started'], steps: number): number {
  if (started === undefined) return 0;
  const { batch, samples } = started;
  const stepsPerEpoch = Math.ceil(samples.train / batch);
  return Math.floor(steps / stepsPerEpoch) * samples.train + (steps % stepsPerEpoch) * batch;
}

/** Epochs count from 0 in events and from 1 for people. */
export function epochNumber(event: { readonly epoch: number }): number {
  return event.epoch + 1;
}

/** Workers at work now. Events of a run that was joined late may not name those that were there before. */
export function workerCount(view: RunView): number {
  return view.workers.size > 0 ? connected(view.workers).length : (view.latest?.workers ?? view.started?.workers ?? 0);
}

export interface Rates {
  readonly samplesPerSecond: number;
  readonly stepsPerSecond: number;
  readonly secondsLeft: number;
}

/** Rates over the window, or undefined before two steps are in. */
export function ratesOf(view: RunView): Rates | undefined {
  const [first, last] = [view.window[0], view.window.at(-1)];
  if (first === undefined || last === undefined || view.started === undefined) return undefined;
  const seconds = (last.timeMs - first.timeMs) / 1000;
  if (seconds <= 0 || last.step <= first.step) return undefined;
  const stepsPerSecond = (last.step - first.step) / seconds;
  return {
    stepsPerSecond,
    samplesPerSecond: (last.samplesCommitted - first.samplesCommitted) / seconds,
    secondsLeft: Math.max(0, view.started.steps - last.step) * secondsPerStep(view, seconds, 1 / stepsPerSecond),
  };
}

/**
 * For the time that is left: over the window, or over the last whole epoch where that took longer. Between two epochs the
 * validation rows are measured, and a window within one of them would not know.
 */
function secondsPerStep({ epochEnds: [before, last] }: RunView, windowSeconds: number, inWindow: number): number {
  if (before === undefined || last === undefined || last.step <= before.step) return inWindow;
  const epochSeconds = (last.timeMs - before.timeMs) / 1000;
  return epochSeconds > windowSeconds ? epochSeconds / (last.step - before.step) : inWindow;
}

function mark(time: string, step: number, samplesCommitted: number): WindowMark {
  return { timeMs: Date.parse(time), step, samplesCommitted };
}

/** The last mark moves with every step; a new one is kept every quarter second. */
function extend(window: readonly WindowMark[], newest: WindowMark): readonly WindowMark[] {
  const beforeLast = window.at(-2);
  const replace = beforeLast !== undefined && newest.timeMs - beforeLast.timeMs < MARK_EVERY_MS;
  const kept = replace ? window.slice(0, -1) : window;
  // One before the window stays: steps may take longer than that.
  const fresh = kept.filter((_, index) => newest.timeMs - (kept[index + 1] ?? newest).timeMs <= WINDOW_MS);
  return [...fresh, newest];
}

/** @param steps how many the newest phases stand for: not every step is told of */
function smooth(average: StepPhases | undefined, newest: StepPhases, steps: number): StepPhases {
  if (average === undefined) return newest;
  const weight = 1 - (1 - SMOOTHING) ** Math.max(1, steps);
  const blend = (phase: keyof StepPhases): number => average[phase] + weight * (newest[phase] - average[phase]);
  return {
    broadcastMs: blend('broadcastMs'),
    computeMs: blend('computeMs'),
    uploadMs: blend('uploadMs'),
    waitMs: blend('waitMs'),
    averageMs: blend('averageMs'),
    commitMs: blend('commitMs'),
  };
}

function notice(view: RunView, event: RunEvent): RunView {
  const text = noticeOf(event);
  if (text === undefined) return view;
  const at = new Date(event.time).toTimeString().slice(0, 8);
  return { ...view, notices: [...view.notices, `${at} ${text}`].slice(-MAX_NOTICES) };
}

function roundsOf(local: (RunEvent & { event: 'run_started' })['localSteps']): string {
  if (local === undefined) return '';
  return `, each ${plural(local.steps, 'local step')} of ${local.batch} by ${plural(local.replicas, 'replica')}`;
}

/** One event in words, or undefined for those whose numbers are shown anyway. */
export function noticeOf(event: RunEvent): string | undefined {
  switch (event.event) {
    case 'run_queued':
      return `${event.run} queued`;
    case 'data_prepared':
      return event.reused
        ? `data as an earlier run prepared it: ${plural(event.samples, 'sample')}, ${formatBytes(event.bytes)}`
        : undefined;
    case 'run_started':
      return (
        `training ${event.job}: ${plural(event.samples.train, 'sample')}, ${plural(event.parameters, 'parameter')}, ` +
        `${plural(event.steps, 'step')} of ${event.batch}${roundsOf(event.localSteps)}`
      );
    case 'run_resumed': {
      const redone = event.redoneSteps === 0 ? '' : `, ${plural(event.redoneSteps, 'step')} made again`;
      const damaged =
        event.damaged.length === 0 ? '' : `, ${plural(event.damaged.length, 'damaged checkpoint')} passed over`;
      return `coordinator back after ${formatSeconds(event.afterSeconds)} at step ${event.step}${redone}${damaged}`;
    }
    case 'worker_joined':
      return `${event.worker} joined (${plural(event.threads, 'thread')}, pid ${event.pid})`;
    case 'worker_left':
      return `${event.worker} left (${event.reason})`;
    case 'worker_lost':
      return (
        `${event.worker} lost (${event.reason}), noticed in ${formatSeconds(event.detectedInMs / 1000)}: ` +
        `${plural(event.blocksReissued, 'block')} handed to others`
      );
    case 'grain_chosen':
      return `${grainOf(event)}: ${event.reason}`;
    case 'checkpoint_saved':
      return `checkpoint at step ${event.step} saved in ${formatMilliseconds(event.durationMs)} ms`;
    case 'checkpoint_failed':
      return `checkpoint could not be saved: ${event.message}`;
    case 'copy_failed':
      return `the copy in object storage falls behind, training goes on: ${event.message}`;
    case 'copy_caught_up':
      return `the copy in object storage is complete again, after ${formatSeconds(event.afterSeconds)}`;
    case 'step_skipped':
      return `step ${event.step} left out, it is not finite: ${event.reason}`;
    case 'run_rolled_back':
      return `back to step ${event.toStep} with half the learning rate: step ${event.step} is not finite (${event.reason})`;
    case 'worker_quarantined':
      return `${event.worker} gets no work for ${formatSeconds(event.seconds)}: ${event.reason}`;
    case 'coordinator_stalled':
      return `the coordinator stood still for ${formatSeconds(event.seconds)}: workers that left come back`;
    case 'verification_idle':
      return event.reason;
    case 'block_copied':
      return `${event.item} given to a second worker: ${event.worker} had it for too long`;
    case 'gradient_outlier':
      return `gradient norm ${formatSignificant(event.gradientNorm)} at step ${event.step}, usually ${formatSignificant(event.usual)}`;
    case 'run_stopping':
      return `stopping: ${event.reason}`;
    case 'run_failed':
      return `failed: ${event.message}`;
    case 'data_progressed':
    case 'epoch_finished':
    case 'step_committed':
    case 'workers_measured':
    case 'run_finished':
      return undefined;
    default:
      event satisfies never;
      return undefined;
  }
}

/** What to know about a run before its first step: too important to scroll away with the notices. */
export function remarksOf(event: RunEvent): readonly string[] {
  if (event.event !== 'run_started') return [];
  const { initFrom, warnings } = event;
  const from =
    initFrom === undefined
      ? []
      : [`starts from the weights of ${initFrom.file}, sha256 ${initFrom.weightsSha256.slice(0, 16)}…`];
  return [...from, ...warnings.map((warning) => `warning: ${warning}`)];
}

function grainOf({ grain, stepsPerLease }: Extract<RunEvent, { event: 'grain_chosen' }>): string {
  return grain === 'step' ? 'step by step' : `leases of ${plural(stepsPerLease, 'step')}`;
}

/** `accuracy 97.1 %  loss 0.0912`, best known first. */
export function formatMetrics(metrics: Metrics): string {
  const quality =
    metrics.accuracy !== undefined
      ? `accuracy ${formatAccuracy(metrics.accuracy)}  `
      : metrics.r2 !== undefined
        ? `r2 ${metrics.r2.toFixed(4)}  `
        : '';
  return `${quality}loss ${formatSignificant(metrics.loss)}`;
}

function formatAccuracy(share: number): string {
  return `${(share * 100).toFixed(2)} %`;
}
