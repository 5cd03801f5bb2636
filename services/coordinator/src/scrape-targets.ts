import type { WorkerState } from '#telemetry';
import type { Member } from './membership.js';

/**
 * The workers that serve metrics, for Prometheus' discovery over HTTP. A worker that is gone is no target any more:
 * what is lost is told by the coordinator's own metrics, and its series end.
 */
export function scrapeTargets(members: readonly Pick<Member, 'hello'>[]): string {
  const targets = members.flatMap(({ hello: { worker, metricsAddress } }) =>
    metricsAddress === undefined ? [] : [{ targets: [metricsAddress], labels: { worker } }],
  );
  return `${JSON.stringify(targets)}\n`;
}

export function workerState({
  readyFor,
  draining,
  heldBack,
}: Pick<Member, 'readyFor' | 'draining' | 'heldBack'>): WorkerState {
  if (draining !== undefined) return 'draining';
  if (heldBack) return 'quarantined';
  return readyFor === undefined ? 'connected' : 'ready';
}
