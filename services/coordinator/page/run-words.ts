/** Where a run stands and why it waits, in words. Knows nothing of the page itself. */
import type { LiveRun, NeededItem } from './messages.js';
import type { RunView } from './run-view.js';
import { counted, duration, elapsed, listed, medianOf, percent } from './words.js';

/** Where the run stands, in a sentence. */
export function sentenceOf(view: RunView): string {
  const { started, finished, failed, live } = view;
  if (failed !== undefined) return `Failed: ${failed.message}`;
  if (finished !== undefined) {
    const test = finished.test?.accuracy === undefined ? '' : `, test accuracy ${percent(finished.test.accuracy)}`;
    return `Done after ${counted(finished.steps, 'step')} in ${duration(finished.seconds)}${test}`;
  }
  if (started === undefined) {
    return view.summary?.state === 'queued'
      ? 'Queued: another run is in training'
      : 'Preparing: reading data and drawing the first weights';
  }
  if (view.stopping !== undefined) return `Stopping: ${view.stopping}`;
  const done = stepsDone(view);
  const left = timeLeft(view);
  const workers = live?.workers.length ?? [...view.workers.values()].filter(({ state }) => state === 'at work').length;
  const verb = isWaiting(view, 0) ? 'Waiting' : 'Training';
  return (
    `${verb}: step ${done.toLocaleString('en')} of ${started.steps.toLocaleString('en')}, ${counted(workers, 'worker')}` +
    (left === undefined ? '' : `, about ${duration(left)} left`)
  );
}

/** Shorter waits are how steps are made. */
const SHORTEST_WAIT_MS = 1_000;

/** @param agoMs how old the coordinator's last word is */
function isWaiting({ live, summary }: RunView, agoMs: number): boolean {
  if (summary?.waitingFor !== undefined) return true;
  if (live === undefined || live.phase === 'ended') return false;
  return live.sinceCommitMs + agoMs >= Math.max(SHORTEST_WAIT_MS, 4 * (live.usualMs ?? 0));
}

/** Why nothing moves, when nothing moves. @param agoMs how old the coordinator's last word is */
export function reasonToWait(view: RunView, agoMs: number): string {
  if (view.finished !== undefined || view.failed !== undefined) return '';
  if (view.summary?.waitingFor !== undefined) return `It waits for ${view.summary.waitingFor}.`;
  const { live } = view;
  if (live === undefined || !isWaiting(view, agoMs)) return '';
  return `No step for ${elapsed(live.sinceCommitMs + agoMs)}: ${whatIsMissing(live, agoMs)}${lostMeanwhile(view)}`;
}

/** Of more the first few are named. */
const MOST_NAMED = 3;

/** What the current step lacks, and in whose hands it is. */
function whatIsMissing(live: LiveRun, agoMs: number): string {
  const { needed, version, phase, workers } = live;
  if (workers.length === 0) return 'no worker is connected. Start one, and it goes on by itself.';
  if (needed.length === 0) {
    return phase === 'averaging'
      ? `step ${version} has all its blocks and is being averaged.`
      : `step ${version} has all it needs.`;
  }
  const named = needed.slice(0, MOST_NAMED).map((item) => inWords(item, agoMs));
  const rest = needed.length > MOST_NAMED ? [`${needed.length - MOST_NAMED} more`] : [];
  const subject = phase === 'measuring' ? 'the run' : `step ${version}`;
  return `${subject} waits for ${listed([...named, ...rest])}.`;
}

export function inWords({ what, worker, heldMs, failures }: NeededItem, agoMs: number): string {
  const failed = failures === 0 ? '' : ` (failed ${failures === 1 ? 'once' : `${failures} times`} before)`;
  if (worker === undefined) return `${what}${failed}, which nobody has taken yet`;
  const since = heldMs === undefined ? '' : ` for ${elapsed(heldMs + agoMs)}`;
  return `${what}${failed}, held by ${worker}${since}`;
}

/** Both times are of the coordinator's clock. */
function lostMeanwhile({ workers, live }: RunView): string {
  const committedAt = live === undefined ? 0 : live.at - live.sinceCommitMs;
  const lost = [...workers.values()].findLast(
    ({ state, since }) => state === 'lost' && Date.parse(since) >= committedAt,
  );
  return lost === undefined ? '' : ` ${lost.worker} was lost meanwhile.`;
}

function stepsDone({ live, steps }: RunView): number {
  const last = steps.at(-1);
  return live?.version ?? (last === undefined ? 0 : last.step + 1);
}

/** Seconds that the steps still to be made will take, by the median of the last. */
function timeLeft(view: RunView): number | undefined {
  const { started, steps } = view;
  const typicalMs = medianOf(steps.slice(-100).map(({ ms }) => ms));
  if (started === undefined || typicalMs === undefined) return undefined;
  return ((started.steps - stepsDone(view)) * typicalMs) / 1000;
}

/** Share of the run's steps that are done: 0..1. */
export function shareDone(view: RunView): number {
  if (view.finished !== undefined) return 1;
  return view.started === undefined ? 0 : stepsDone(view) / Math.max(1, view.started.steps);
}
