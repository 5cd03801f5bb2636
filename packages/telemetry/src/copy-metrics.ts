/** Metrics of the copies of runs in object storage. All of them exist from the start. */
import type { newRegistry } from './registry.js';

export interface CopyMetrics {
  copied(bytes: number): void;
  copyFailed(): void;
  /** Read at every scrape: how long something has been waiting to be copied, in seconds. */
  countCopyDelay(source: () => number): void;
}

export function copyMetrics({
  counter,
  gauge,
}: Pick<ReturnType<typeof newRegistry>, 'counter' | 'gauge'>): CopyMetrics {
  let delay = (): number => 0;
  const bytes = counter('ropeteam_copy_bytes_total', 'Bytes of runs sent to object storage');
  const failures = counter(
    'ropeteam_copies_failed_total',
    'Attempts to bring a run’s copy in object storage up to date that failed',
  );
  gauge(
    'ropeteam_copy_delay_seconds',
    'How long the oldest change of a run has been waiting to be in object storage; 0: everything is there',
    [],
    function collect() {
      this.set(delay());
    },
  );
  return {
    copied: (count) => bytes.inc(count),
    copyFailed: () => failures.inc(),
    countCopyDelay: (source) => {
      delay = source;
    },
  };
}
