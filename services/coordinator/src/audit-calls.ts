import type { AuditLog } from '#storage';
import type { Logger } from '#telemetry';
import type { CallRecord } from '#training';
import { seldom } from './seldom.js';

/** Records of failures a second at the most; whoever is let in always has a line. */
const FAILURES_A_SECOND = 20;

/**
 * Writes down who changed what. Refusals are logged as well, one a second; of more than a few a second, which only somebody
 * makes who wants to fill the disk, the rest is left out.
 * @param audit absent: for a coordinator of one run, which nobody else can reach
 */
export function auditCalls(audit: AuditLog | undefined, log: Logger): (record: CallRecord) => void {
  const warn = seldom((more, { caller, ...record }: CallRecord) => {
    log.warn('call_refused', { ...record, peer: caller.peer, role: caller.role, more });
  });
  let second = 0;
  let failures = 0;
  return (record) => {
    const now = new Date();
    if (record.outcome !== 'done') {
      if (record.outcome.startsWith('AUTH.')) warn(record);
      const current = Math.floor(now.getTime() / 1000);
      failures = current === second ? failures + 1 : 1;
      second = current;
      if (failures > FAILURES_A_SECOND) return;
    }
    audit?.append(record, now);
  };
}
