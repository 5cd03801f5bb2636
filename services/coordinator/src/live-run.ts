/** What the page is told of a run in training: a pure projection of the step protocol's state and what was seen of it lately. */
import { type RunState, samplesOfStep, versionOf } from '#training';
import type { EpochCoverage, LiveRun, LiveWorker, NeededItem, WorkBar } from '../page/messages.js';
import type { Member } from './membership.js';
import { describeItem, type Piece, type RunActivity } from './run-activity.js';

/** More items are not named one by one. */
const MOST_NEEDED = 64;
/** More are not in sight: the page shows the last few dozen. */
const MOST_BARS = 72;

export interface Moment {
  /** The monotonic clock of the activity, and the wall clock, at one moment. */
  readonly now: number;
  readonly wall: number;
  readonly goodput: number;
}

export function liveRun(
  state: RunState,
  activity: RunActivity,
  members: readonly Member[],
  { now, wall, goodput }: Moment,
): LiveRun {
  const { usualMs } = activity;
  return {
    at: wall,
    version: state.version,
    phase: state.phase,
    judging: state.judging,
    sinceCommitMs: whole(now - activity.committedAt),
    ...(usualMs === undefined ? {} : { usualMs: tenths(usualMs) }),
    needed: neededNow(state, activity, now),
    coverage: coverageOf(state, activity),
    counts: activity.counts,
    workers: members.map((member) => liveWorker(member, state, activity, now)),
    bars: activity.pieces.slice(-MOST_BARS).map((piece) => barOf(piece, now)),
    goodput,
  };
}

/** What the current version lacks: it cannot go on without. */
function neededNow(state: RunState, { pieces }: RunActivity, now: number): readonly NeededItem[] {
  const needed = [...state.items.values()].filter(
    ({ item, receipt }) => receipt === undefined && versionOf(item) === state.version,
  );
  return needed.slice(0, MOST_NEEDED).map(({ item, holder, failedOn }) => {
    const what = describeItem(item, 'step');
    if (holder === undefined) return { what, failures: failedOn.length };
    const taken = pieces.findLast(
      (piece) => piece.worker === holder.worker && piece.outcome === 'held' && piece.what === describeItem(item),
    );
    const held = taken === undefined ? {} : { heldMs: whole(now - taken.takenAt) };
    return { what, worker: holder.worker, ...held, failures: failedOn.length };
  });
}

function coverageOf({ shape, version, announced }: RunState, activity: RunActivity): EpochCoverage {
  // At the very end there is no next step: the last epoch is shown whole.
  const step = Math.min(version, shape.steps - 1);
  const { epoch, firstPosition } = samplesOfStep(shape, step);
  const firstStep = epoch * shape.stepsPerEpoch;
  const steps = Math.min(shape.stepsPerEpoch, shape.steps - firstStep);
  const done = version > step;
  return {
    epoch,
    epochs: shape.epochs,
    firstStep,
    steps,
    committedSteps: done ? steps : step - firstStep,
    announcedSteps: Math.min(steps, Math.max(0, announced - firstStep)),
    samples: samplesOfStep(shape, firstStep + steps - 1).endPosition,
    committedSamples: done ? samplesOfStep(shape, step).endPosition : firstPosition,
    disturbed: activity.disturbed.filter(({ end }) => end > firstStep),
  };
}

function liveWorker(member: Member, { shape }: RunState, activity: RunActivity, now: number): LiveWorker {
  const { hello, readyFor, draining, heardAt } = member;
  const { samplesPerMs, failures, counted } = activity.speedOf(hello.worker);
  const ready = readyFor?.run === shape.run && readyFor.fence === shape.fence;
  const held = activity.pieces.filter(({ worker, outcome }) => worker === hello.worker && outcome === 'held');
  return {
    worker: hello.worker,
    pid: hello.pid,
    host: hello.host,
    threads: hello.threads,
    state: draining === undefined ? (ready ? 'ready' : 'connected') : 'leaving',
    holds: held.map(({ what, takenAt }) => ({ what, heldMs: whole(now - takenAt) })),
    ...(samplesPerMs === undefined ? {} : { samplesPerSecond: whole(samplesPerMs * 1000) }),
    failures,
    counted,
    lastSeenMs: whole(Math.max(0, now - heardAt)),
  };
}

function barOf(piece: Piece, now: number): WorkBar {
  const { worker, kind, step, what, earlier, outcome, takenAt, computeMs, uploadFrom, endedAt } = piece;
  // The worker timed its kernel; when that was follows from when the result came.
  const computedBy = uploadFrom ?? endedAt;
  const computeFrom = computeMs === undefined || computedBy === undefined ? undefined : computedBy - computeMs;
  return {
    worker,
    kind,
    step,
    what,
    earlier,
    outcome,
    takenMs: tenths(takenAt - now),
    ...(computeFrom === undefined ? {} : { computeFromMs: tenths(Math.max(takenAt, computeFrom) - now) }),
    ...(uploadFrom === undefined ? {} : { uploadFromMs: tenths(uploadFrom - now) }),
    ...(endedAt === undefined ? {} : { endMs: tenths(endedAt - now) }),
  };
}

const whole = (value: number): number => Math.round(value);
const tenths = (value: number): number => Math.round(value * 10) / 10;
