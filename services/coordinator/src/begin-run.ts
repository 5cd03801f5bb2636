import { tallyLayout } from '#kernel';
import { newRun, type RunState, targetUnitsOf } from '#training';
import type { PreparedRun } from './prepare-run.js';

/** What the step protocol begins with: the beginning, or where an earlier coordinator left the run. */
export function beginRun({ engine, shape, job, dataset, model, rollbacks, resumed }: PreparedRun): RunState {
  const { stop, metric, keep, onNonFinite, verify, seed } = job.train;
  const { task, targetCount, classes, preprocessing } = dataset.info;
  return newRun({
    openLeases: engine.leasePlaces,
    shape,
    rules: { ...stop, metric, keep },
    onNonFinite,
    rollbacks: rollbacks.length,
    ...(verify === 0 ? {} : { verify: { share: verify, seed } }),
    task,
    targetCount,
    outputs: { layout: tallyLayout(model, targetUnitsOf(preprocessing)), labels: classes },
    ...(resumed?.position === undefined ? {} : { position: resumed.position }),
  });
}
