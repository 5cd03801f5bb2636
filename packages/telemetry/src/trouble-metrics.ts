/** Metrics of what goes wrong with workers and numbers, and what is done about it. All of them exist from the start. */
import type { CopyReason, Misconduct } from '#training';
import type { newRegistry } from './registry.js';

const copyReasons = [
  'verify',
  'nonfinite',
  'disagreement',
  'straggler',
  'elsewhere',
] as const satisfies readonly CopyReason[];
const verifications = ['agreed', 'disagreed', 'alone'] as const;
const misconducts = ['lost', 'failed', 'lied'] as const satisfies readonly Misconduct[];

export interface TroubleMetrics {
  blockCopied(reason: CopyReason): void;
  blockVerified(outcome: (typeof verifications)[number]): void;
  workerQuarantined(reason: Misconduct): void;
  stepSkipped(): void;
  rolledBack(): void;
  gradientOutlier(): void;
}

export function troubleMetrics({ counter }: Pick<ReturnType<typeof newRegistry>, 'counter'>): TroubleMetrics {
  const copies = counter(
    'ropeteam_blocks_copied_total',
    'Blocks and leases given to one more worker: for comparison, or because theirs is slow or failed over them',
    ['reason'],
  );
  const verified = counter(
    'ropeteam_blocks_verified_total',
    'Blocks and leases that two workers were to compute: all found the same, not all did, or nobody else was there',
    ['outcome'],
  );
  const quarantined = counter(
    'ropeteam_workers_quarantined_total',
    'Times a worker was shut out for a while: lost again and again without a result, failing, or found to compute other bits',
    ['reason'],
  );
  const skipped = counter('ropeteam_steps_skipped_total', 'Steps whose update was left out because it was not finite');
  const rollbacks = counter('ropeteam_rollbacks_total', 'Times a run went back to an earlier step');
  const outliers = counter(
    'ropeteam_gradient_outliers_total',
    'Steps whose mean gradient has a norm far outside of what it was lately',
  );
  for (const reason of copyReasons) copies.inc({ reason }, 0);
  for (const outcome of verifications) verified.inc({ outcome }, 0);
  for (const reason of misconducts) quarantined.inc({ reason }, 0);

  return {
    blockCopied: (reason: CopyReason) => copies.inc({ reason }),
    blockVerified: (outcome: (typeof verifications)[number]) => verified.inc({ outcome }),
    workerQuarantined: (reason: Misconduct) => quarantined.inc({ reason }),
    stepSkipped: () => skipped.inc(),
    rolledBack: () => rollbacks.inc(),
    gradientOutlier: () => outliers.inc(),
  };
}
