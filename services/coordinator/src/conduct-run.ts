/** One run from the queue to its last event: prepare, wait for workers, train, save, tell. */
import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { collectClosedMemory } from '#engine';
import { fromEnvelope, RopeteamError, type RunSummary, toEnvelope } from '#training';
import { CheckpointSchedule } from './checkpoint-schedule.js';
import { finishRun } from './finish-run.js';
import { type PreparedRun, prepareRun } from './prepare-run.js';
import { ReadyWorkers } from './ready-workers.js';
import type { RunEntry } from './run-book.js';
import type { CoordinatorContext, RunContext } from './run-context.js';
import type { RunOutcome } from './run-outcome.js';
import { RunTrainer } from './train-run.js';

/** How soon a worker that waits behind a lost item is noticed. */
const PROGRESS_CHECK_MS = 25;

export async function conductRun(shared: CoordinatorContext, entry: RunEntry, shutdown: AbortSignal): Promise<void> {
  const log = shared.log.with({ run: entry.run });
  const context: RunContext = { ...shared, log, events: entry.events };
  try {
    update(context, entry, { state: 'preparing' });
    const ended = AbortSignal.any([entry.stopping.signal, shutdown]);
    await using prepared = await prepareRun(context, entry, ended);
    log.info('run_prepared', { parameters: prepared.program.parameterCount, steps: prepared.shape.steps });
    update(context, entry, { steps: prepared.shape.steps });
    entry.dataset = prepared.dataset;
    await trainAndFinish(context, entry, prepared, ended);
  } catch (error) {
    // A known error is the better answer even when somebody asked for an end meanwhile.
    const known = error instanceof RopeteamError ? error : (stopping(entry, shutdown) ?? unexpected(error, entry));
    log.error('run_failed', { code: known.code, error });
    update(context, entry, { state: 'failed' });
    context.metrics.runFailed(known.code);
    entry.events.append({ event: 'run_failed', ...toEnvelope(known) });
  } finally {
    entry.dataset = undefined;
    await entry.eventLog.flush();
    await forgetUploads(entry);
    collectClosedMemory();
  }
}

async function trainAndFinish(context: RunContext, entry: RunEntry, prepared: PreparedRun, ended: AbortSignal) {
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
    const outcome = await trainUntilSettled(trainer, settled, ended);
    await trainer.queueSettled();
    await checkpoints.settled();
    await prepared.ledger.flush();
    if (outcome.kind === 'failed') {
      update(context, entry, { state: 'failed' });
      context.metrics.runFailed(fromEnvelope(outcome.error).code);
      entry.events.append({ event: 'run_failed', ...outcome.error });
      return;
    }
    const weightsSha256 = await finishRun(context, entry, prepared, trainer, checkpoints, outcome);
    update(context, entry, { state: 'finished', weightsSha256 });
  } finally {
    membership.listen(undefined);
    averages.assign(undefined);
    for (const { session } of membership.members) session.send({ kind: 'run-ended', run, fence });
  }
}

async function trainUntilSettled(trainer: RunTrainer, settled: Promise<RunOutcome>, ended: AbortSignal) {
  const stop = (): void => trainer.stop();
  const check = setInterval(() => trainer.checkProgress(), PROGRESS_CHECK_MS);
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

function announceStart(context: RunContext, entry: RunEntry, prepared: PreparedRun, ready: ReadyWorkers): void {
  const { job, shape, dataset, engine, start } = prepared;
  const members = ready.members;
  update(context, entry, { state: 'training' });
  context.metrics.runBegun({
    fence: shape.fence,
    parameters: prepared.program.parameterCount,
    steps: shape.steps,
    checkpointEveryMs: job.checkpoint.everyMs,
  });
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
    steps: shape.steps,
    epochs: shape.epochs,
    ...context.urls,
    runPath: entry.folder.path,
    ...(start.initFrom === undefined ? {} : { initFrom: start.initFrom }),
    warnings: [...dataset.info.warnings, ...start.warnings],
  });
  for (const member of members) ready.tellJoined(member);
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

/** The prepared shards are what is left of a run's files: the uploaded ones are not needed again. */
async function forgetUploads({ files, initFrom }: RunEntry): Promise<void> {
  const uploads = [...files, ...Object.values(initFrom ?? {})];
  const folders = new Set(uploads.map(({ storedAt }) => dirname(storedAt)));
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
}

/** The reason a run could not even start, when that is that somebody stopped it while its data was prepared. */
function stopping(entry: RunEntry, shutdown: AbortSignal): RopeteamError | undefined {
  if (!entry.stopping.signal.aborted && !shutdown.aborted) return undefined;
  return new RopeteamError('RUN.STOPPED', { run: entry.run }, `run ${entry.run} was stopped before its first step`, {
    hint: 'submit the job again',
  });
}

function unexpected(error: unknown, entry: RunEntry): RopeteamError {
  const message = error instanceof Error ? error.message : String(error);
  return new RopeteamError('RUN.FAILED', { run: entry.run }, `the run ended on an unexpected error: ${message}`, {
    cause: error,
    hint: 'the coordinator’s log has its place in the code; please report it',
  });
}
