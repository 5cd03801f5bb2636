import type { ChosenKernel } from '#engine';
import type { CoordinatorMetrics, Logger } from '#telemetry';
import type { RopeteamError, WorkQueues } from '#training';
import type { AveragesDesk } from './averages-desk.js';
import type { CoordinatorConfiguration } from './configuration.js';
import type { Leads } from './leads.js';
import type { Membership } from './membership.js';
import type { RunCopies } from './run-copies.js';
import type { RunEvents } from './run-events.js';
import type { RunTraces } from './run-traces.js';

/** What every run of a coordinator shares. */
export interface CoordinatorContext {
  readonly configuration: CoordinatorConfiguration;
  /** Computes every run. */
  readonly kernel: ChosenKernel;
  readonly log: Logger;
  readonly metrics: CoordinatorMetrics;
  readonly queues: WorkQueues;
  readonly membership: Membership;
  readonly averages: AveragesDesk;
  readonly leads: Leads;
  /** Absent: runs are on this disk alone. */
  readonly copies: RunCopies | undefined;
  /** Another coordinator has taken over: this process ends, and writes nothing more. */
  readonly onFenced: (error: RopeteamError) => void;
  /** URL of the status page and of the metrics. */
  readonly urls: { readonly dashboard: string; readonly metrics: string };
}

export interface RunContext extends CoordinatorContext {
  readonly events: RunEvents;
  readonly traces: RunTraces;
}
