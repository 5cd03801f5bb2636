/** One run from the queue to its last event: prepare, wait for workers, train, save, tell. */
import { collectClosedMemory } from '#engine';
import { classWeightsByLabel } from '#job';
import { forgetInputs } from '#storage';
import { knownError } from '#telemetry';
import {
  failpoint,
  fromEnvelope,
  isOutsideFailure,
  type LocalShape,
  RopeteamError,
  type RunShape,
  type RunSummary,
  toEnvelope,
} from '#training';
import { CheckpointSchedule } from './checkpoint-schedule.js';
import { readEarlierLife } from './earlier-life.js';
import { finishRun } from './finish-run.js';
import { liveRun } from './live-run.js';
import { logEvent } from './log-event.js';
import { type PreparedRun, prepareRun } from './prepare-run.js';
import { ReadyWorkers } from './ready-workers.js';
import type { Resumed } from './resume-run.js';
import { rollBack } from './roll-back.js';
import type { RunEntry } from './run-book.js';
import type { CoordinatorContext, RunContext } from './run-context.js';
import type { RunOutcome } from './run-outcome.js';
import { RunTraces } from './run-traces.js';
import { watchStalls } from './stall-watch.js';
import { RunTrainer } from './train-run.js';

/** How soon a worker that waits behind a lost item is noticed. */
const PROGRESS_CHECK_MS = 25;

export async function conductRun(shared: CoordinatorContext, entry: RunEntry, shutdown: AbortSignal): Promise<void> {
  const log = shared.log.with({ run: entry.run });
  const traces = new RunTraces(entry.run);
  const context: RunContext = { ...shared, log, events: entry.events, traces };
  shared.copies?.follow(entry.folder, entry.events);
  entry.events.listen((event) => {
    logEvent(log, event);
    shared.copies?.heard(event);
  });
  let mayGoOn = false;
  try {
    update(context, entry, { state: 'preparing' });
    const ended = AbortSignal.any([entry.stopping.signal, shutdown]);
    let end = await trainOnce(context, entry, ended);
    for (; end === 'rolled back'; end = await trainOnce(context, entry, ended)) {
      // From here on as after the death of a coordinator, under a new fence: nothing of what is undone can come back.
      entry.earlier = await readEarlierLife(entry.folder.eventsPath);
    }
    mayGoOn = end === 'may go on';
  } catch (error) {
    // A known error is the better answer even when somebody asked for an end meanwhile.
    const first = firstOf(error);
    const known = knownError(first) ?? stopping(entry, shutdown) ?? unexpected(first, entry);
    if (known.code === 'COORD.FENCED') return shared.onFenced(known);
    mayGoOn = tellFailure(context, entry, known, error) === 'may go on';
  } finally {
    traces.ended();
    entry.dataset = undefined;
    await entry.eventLog.flush();
    failpoint('before-cleanup');
    if (!mayGoOn) await forgetInputs(entry.folder);
    shared.copies?.changed(entry.run);
    await shared.leads.release(entry.folder.path);
    collectClosedMemory();
  }
}

/** `may go on`: somebody may want to take it up again. */
type End = 'over' | 'may go on' | 'rolled back';

async function trainOnce(context: RunContext, entry: RunEntry, ended: AbortSignal): Promise<End> {
  await using prepared = await prepareRun(context, entry, ended);
  context.log.info('run_prepared', { parameters: prepared.program.parameterCount, steps: prepared.shape.steps });
  update(context, entry, { steps: prepared.shape.steps });
  entry.dataset = prepared.dataset;
  return await trainAndFinish(context, entry, prepared, ended); // it uses what is disposed of after this
}

async function trainAndFinish(
  context: RunContext,
  entry: RunEntry,
  prepared: PreparedRun,
  ended: AbortSignal,
): Promise<End> {
  const { membership, averages } = context;
  const { run, fence } = prepared.shape;
  const checkpoints = new CheckpointSchedule(context, entry, prepared);
  let settle: (outcome: RunOutcome) => void = () => undefined;
  const settled = new Promise<RunOutcome>((resolve) => {
    settle = resolve;
  });
  const trainer = new RunTrainer(context, prepared, {
    committed: (state, loss) => {
      update(context, entry, { step: state.version, loss });
      checkpoints.afterStep(state);
    },
    restoring: (state) => checkpoints.final(state),
    ended: settle,
  });
  const ready = new ReadyWorkers(context, prepared, trainer);
  averages.assign(trainer);
  membership.listen(ready);
  try {
    await ready.gather(ended, (waitingFor) => update(context, entry, { waitingFor }));
    // Nothing was trained: weights fresh from their initialisation are no model to save.
    ended.throwIfAborted();
    announceStart(context, entry, prepared, ready);
    entry.live = () => {
      const moment = { now: performance.now(), wall: Date.now(), goodput: trainer.record.goodput };
      return liveRun(trainer.state, trainer.record.activity, membership.members, moment);
    };
    const lookForStalls = watchStalls(PROGRESS_CHECK_MS, (stalledMs) => tellStall(context, stalledMs));
    const outcome = await trainUntilSettled(trainer, ready, settled, ended, lookForStalls);
    await trainer.queueSettled();
    await checkpoints.settled();
    await prepared.ledger.flush();
    if (outcome.kind === 'failed') {
      const error = fromEnvelope(outcome.error);
      return tellFailure(context, entry, knownError(error) ?? error);
    }
    if (outcome.kind === 'rolled-back') {
      await rollBack(context, entry, prepared, outcome);
      return 'rolled back';
    }
    const weightsSha256 = await finishRun(context, entry, prepared, trainer, checkpoints, outcome);
    update(context, entry, { state: 'finished', weightsSha256 });
    return outcome.stoppedBy === 'user' ? 'may go on' : 'over';
  } finally {
    entry.live = undefined;
    membership.listen(undefined);
    averages.assign(undefined);
    for (const { session } of membership.members) session.send({ kind: 'run-ended', run, fence });
  }
}

/** @param error what was thrown, for the log; default: the error itself */
function tellFailure(context: RunContext, entry: RunEntry, known: RopeteamError, error: unknown = known): End {
  context.log.error('run_failed', { code: known.code, error });
  update(context, entry, { state: 'failed' });
  context.metrics.runFailed(known.code);
  entry.events.append({ event: 'run_failed', ...toEnvelope(known) });
  return isOutsideFailure(known.code) ? 'may go on' : 'over';
}

async function trainUntilSettled(
  trainer: RunTrainer,
  ready: ReadyWorkers,
  settled: Promise<RunOutcome>,
  ended: AbortSignal,
  lookForStalls: () => void,
) {
  const stop = (): void => trainer.stop();
  const check = setInterval(() => {
    lookForStalls();
    trainer.checkProgress();
    ready.admitHeldBack();
  }, PROGRESS_CHECK_MS);
  try {
    if (ended.aborted) stop();
    else {
      ended.addEventListener('abort', stop, { once: true });
      trainer.start();
    }
    return await settled;
  } finally {
    clearInterval(check);
    ended.removeEventListener('abort', stop);
  }
}

function tellStall({ events }: RunContext, stalledMs: number): void {
  const seconds = Math.round(stalledMs) / 1000;
  const reason =
    'the coordinator itself stood still: stopped, swapped out or busy; workers that heard nothing for 2 s left, and come back';
  events.append({ event: 'coordinator_stalled', seconds, reason });
}

function announceStart(context: RunContext, entry: RunEntry, prepared: PreparedRun, ready: ReadyWorkers): void {
  const { shape, program, job } = prepared;
  update(context, entry, { state: 'training' });
  context.metrics.runBegun({
    fence: shape.fence,
    parameters: program.parameterCount,
    steps: shape.steps,
    checkpointEveryMs: job.checkpoint.everyMs,
  });
  if (entry.earlier?.begun !== true) tellStart(context, entry, prepared, ready);
  if (prepared.resumed !== undefined) tellResumed(context, prepared, prepared.resumed, ready);
  for (const member of ready.members) ready.tellJoined(member);
}

function tellResumed(context: RunContext, { shape, engine }: PreparedRun, resumed: Resumed, ready: ReadyWorkers): void {
  const { checkpoint, damaged, redone, position, afterSeconds } = resumed;
  context.events.append({
    event: 'run_resumed',
    step: position?.version ?? 0,
    fence: shape.fence,
    ...(checkpoint === undefined ? {} : { checkpoint }),
    redoneSteps: redone.size,
    afterSeconds,
    damaged,
    workers: ready.members.length,
    threads: ready.members.reduce((sum, { hello }) => sum + hello.threads, 0),
    kernel: engine.kernelId,
    ...context.urls,
  });
}

function tellStart(context: RunContext, entry: RunEntry, prepared: PreparedRun, ready: ReadyWorkers): void {
  const { job, shape, dataset, engine, start } = prepared;
  const members = ready.members;
  context.events.append({
    event: 'run_started',
    job: job.name,
    seed: job.train.seed,
    workers: members.length,
    threads: members.reduce((sum, { hello }) => sum + hello.threads, 0),
    kernel: engine.kernelId,
    ...(context.kernel.reason === undefined ? {} : { kernelReason: context.kernel.reason }),
    redis: context.queues.engine,
    parameters: prepared.program.parameterCount,
    samples: dataset.info.samples,
    batch: shape.batch,
    microBatches: shape.microBatches,
    ...weightsByLabel(prepared),
    ...(shape.local === undefined ? {} : { localSteps: localStepsOf(shape, shape.local) }),
    steps: shape.steps,
    epochs: shape.epochs,
    ...context.urls,
    runPath: entry.folder.path,
    ...(start.initFrom === undefined ? {} : { initFrom: start.initFrom }),
    warnings: [...dataset.info.warnings, ...start.warnings],
  });
}

function weightsByLabel({ program: { spec }, dataset: { info } }: PreparedRun) {
  const classWeights = classWeightsByLabel(spec.loss, info.classes);
  return classWeights === undefined ? {} : { classWeights };
}

function localStepsOf({ microBatches: replicas }: RunShape, { steps, batch }: LocalShape) {
  return { steps, replicas, batch };
}

/** Changes what `runs` shows; a field set to undefined is taken away. */
function update(
  { metrics }: CoordinatorContext,
  entry: RunEntry,
  change: { [Key in keyof RunSummary]?: RunSummary[Key] | undefined },
): void {
  if (change.state !== undefined) metrics.runStateChanged(change.state);
  const merged = Object.entries({ ...entry.summary, ...change }).filter(([, value]) => value !== undefined);
  // Only optional fields are ever set to undefined by the callers above.
  entry.summary = Object.fromEntries(merged) as unknown as RunSummary;
}

/** What went wrong first: a disposal that fails after it, for the same reason as a rule, wraps it. */
function firstOf(error: unknown): unknown {
  return error instanceof Error && error.name === 'SuppressedError' && 'suppressed' in error
    ? firstOf(error.suppressed)
    : error;
}

/** The reason a run could not even start, when that is that somebody stopped it while its data was prepared. */
function stopping(entry: RunEntry, shutdown: AbortSignal): RopeteamError | undefined {
  if (!entry.stopping.signal.aborted && !shutdown.aborted) return undefined;
  return new RopeteamError('RUN.STOPPED', { run: entry.run }, `run ${entry.run} was stopped before its first step`, {
    hint: `ropeteam resume ${entry.run} starts it`,
  });
}

function unexpected(error: unknown, entry: RunEntry): RopeteamError {
  const message = error instanceof Error ? error.message : String(error);
  return new RopeteamError('RUN.FAILED', { run: entry.run }, `the run ended on an unexpected error: ${message}`, {
    cause: error,
    hint: 'the coordinator’s log has its place in the code; please report it',
  });
}
