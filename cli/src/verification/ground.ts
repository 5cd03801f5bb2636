/** What the records of a run have to follow from. */
import { type LedgerGround, shapeRun, fence as toFence } from '#training';
import type { Evidence } from './evidence.js';

/** The samples of the training split, as far as anything says how many there are. */
export function trainSamplesOf({ ledger, model, events }: Evidence): number | undefined {
  return (
    ledger.records[0]?.origin?.trainSamples ??
    (model.kind === 'read' ? model.value.dataset.samples.train : undefined) ??
    (events.kind === 'read' ? events.value.started?.samples.train : undefined)
  );
}

/** What the records have to follow from, or why that is not known. */
export function groundOf(evidence: Evidence): LedgerGround | string {
  const { job, folder } = evidence;
  if (job.kind !== 'read') return 'needs job.yaml';
  const train = trainSamplesOf(evidence);
  if (train === undefined || train < 1) return 'nothing says how many training samples there are';
  const settings = job.value.spec.train;
  if (settings.microBatches === 'auto') return 'job.yaml does not say train.microBatches';
  const samples = { train, validation: 0, test: 0 };
  return { train: settings, shape: shapeRun(folder.run, toFence(0), settings, samples, 0) };
}
