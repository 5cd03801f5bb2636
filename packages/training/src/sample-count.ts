/** Counts how often each sample was trained on, as a ledger tells it. */
import { microBatchRange, sampleAtOf } from '#kernel';
import type { LedgerGround, LedgerProblem } from './check-ledger.js';
import type { LedgerRecord } from './ledger-record.js';

/**
 * Walks the blocks of records through the permutation of their epoch. A sample met twice is told with the line that met it
 * again; one that an epoch with all its steps never met, with that epoch's last line.
 */
export function startSampleCount(
  seed: number,
  { microBatches, stepsPerEpoch, samples: { train }, windows }: LedgerGround['shape'],
): (records: readonly LedgerRecord[]) => readonly LedgerProblem[] {
  return (records) => {
    const problems: LedgerProblem[] = [];
    const met = new Uint8Array(train);
    let steps = 0;
    let epoch: { readonly number: number; readonly sampleAt: (position: number) => number } | undefined;
    for (const [index, record] of records.entries()) {
      const line = index + 1;
      if (epoch?.number !== record.epoch) {
        const sampleAt = sampleAtOf(seed, record.epoch, train, { shuffle: true, windows });
        epoch = { number: record.epoch, sampleAt };
      }
      const again = walk(record, microBatches, met, epoch.sampleAt);
      if (again !== undefined)
        problems.push({ line, message: `it meets sample ${again} of epoch ${record.epoch} again` });
      steps++;
      if (records[index + 1]?.epoch === record.epoch) continue;
      const missed = met.indexOf(0);
      if (steps >= stepsPerEpoch && missed >= 0) {
        problems.push({ line, message: `epoch ${record.epoch} ends here and has not met sample ${missed}` });
      }
      met.fill(0);
      steps = 0;
    }
    return problems;
  };
}

/** Marks what a record's blocks met. @returns the first sample that was met before */
function walk(
  { firstPosition, endPosition, blocks }: LedgerRecord,
  microBatches: number,
  met: Uint8Array,
  sampleAt: (position: number) => number,
): number | undefined {
  let again: number | undefined;
  for (const { begin, end } of blocks) {
    const from = microBatchRange(firstPosition, endPosition, microBatches, begin).begin;
    const to = Math.min(met.length, microBatchRange(firstPosition, endPosition, microBatches, end - 1).end);
    for (let position = Math.max(0, from); position < to; position++) {
      const sample = sampleAt(position);
      if (met[sample] === 1) again ??= sample;
      met[sample] = 1;
    }
  }
  return again;
}
