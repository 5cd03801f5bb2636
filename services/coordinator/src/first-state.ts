import { tallyLayout } from '#kernel';
import { newRun, type RunState } from '#training';
import type { PreparedRun } from './prepare-run.js';

/** Where a prepared run begins, or goes on. */
export function firstState({ job, dataset, model, shape, engine, resumed }: PreparedRun): RunState {
  const { stop, metric, keep } = job.train;
  const { task, targetCount, classes } = dataset.info;
  return newRun({
    openLeases: engine.leasePlaces,
    shape,
    rules: { ...stop, metric, keep },
    task,
    targetCount,
    outputs: { layout: tallyLayout(model), labels: classes },
    ...(resumed?.position === undefined ? {} : { position: resumed.position }),
  });
}
