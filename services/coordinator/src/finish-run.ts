import { checkFence, saveModel, weightsSha256 } from '#storage';
import { committedSteps, failpoint, type RunEventBody } from '#training';
import type { CheckpointSchedule } from './checkpoint-schedule.js';
import { checkFinite } from './finite.js';
import type { PreparedRun } from './prepare-run.js';
import type { RunEntry } from './run-book.js';
import type { RunContext } from './run-context.js';
import { keptBy, type RunOutcome } from './run-outcome.js';
import type { RunTrainer } from './train-run.js';

/**
 * Saves the last checkpoint and the model, and tells the run's end. Returns the weights' SHA-256.
 * @throws RopeteamError RUN.NONFINITE when it diverged in its last update: it then has no model
 */
export async function finishRun(
  context: RunContext,
  entry: RunEntry,
  prepared: PreparedRun,
  trainer: RunTrainer,
  checkpoints: CheckpointSchedule,
  outcome: RunOutcome & { kind: 'finished' },
): Promise<string> {
  const { shape, engine, dataset, program, model, jobSha256, start, ledger } = prepared;
  const { seconds } = trainer.record;
  const steps = committedSteps(trainer.state);
  const kept = keptBy(trainer.state, prepared);
  checkFinite(steps, engine.weights, outcome.metrics);
  if (trainer.state.restored === undefined) await checkpoints.final(trainer.state);
  const hash = await weightsSha256(engine.weights);
  failpoint('before-model');
  await checkFence(entry.folder, shape.fence);
  await saveModel(entry.folder.modelPath, {
    run: shape.run,
    spec: model,
    parameters: program.parameters,
    weights: engine.weights,
    dataset: dataset.info,
    metrics: outcome.metrics,
    jobSha256,
    weightsSha256: hash,
    kernelId: engine.kernelId,
    ...(kept === undefined ? {} : { kept }),
    ...(start.initFrom === undefined ? {} : { initFrom: start.initFrom }),
  });
  failpoint('after-model');
  const { samplesCommitted, workersLost, blocksReissued, goodput } = trainer.record;
  const finished: RunEventBody = {
    event: 'run_finished',
    steps,
    epochs: Math.floor(steps / shape.stepsPerEpoch),
    seconds,
    samplesPerSecond: seconds > 0 ? samplesCommitted / seconds : 0,
    stoppedBy: outcome.stoppedBy,
    ...outcome.metrics,
    ...(kept === undefined ? {} : { kept }),
    weightsSha256: hash,
    optimizerSha256: await weightsSha256(engine.optimizerState),
    ledgerSha256: ledger.head,
    goodput,
    workersLost,
    blocksReissued,
    redis: context.queues.engine,
    kernel: engine.kernelId,
    ...(context.kernel.reason === undefined ? {} : { kernelReason: context.kernel.reason }),
    modelPath: entry.folder.modelPath,
    runPath: entry.folder.path,
  };
  entry.events.append(finished);
  return hash;
}
