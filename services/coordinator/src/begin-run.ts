import { newRun, type RunState } from '#training';
import type { PreparedRun } from './prepare-run.js';

/** What the step protocol begins with: the beginning, or where an earlier coordinator left the run. */
export function beginRun({ engine, shape, job, dataset, rollbacks, resumed }: PreparedRun): RunState {
  const { stop, onNonFinite, verify, seed } = job.train;
  return newRun({
    openLeases: engine.leasePlaces,
    shape,
    rules: stop,
    onNonFinite,
    rollbacks: rollbacks.length,
    ...(verify === 0 ? {} : { verify: { share: verify, seed } }),
    task: dataset.info.task,
    targetCount: dataset.info.targetCount,
    ...(resumed?.position === undefined ? {} : { position: resumed.position }),
  });
}
