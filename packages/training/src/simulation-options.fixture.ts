/** What a simulation is asked for, what it tells, and the workers in it. */
import type { Step } from './identities.js';
import type { NonFinitePolicy, RunEffect, RunInput } from './run-state.js';
import type { WorkerItem } from './work-items.js';

export interface SimulationOptions {
  readonly train: number;
  readonly validation: number;
  readonly test: number;
  readonly batch: number;
  readonly microBatches: number;
  readonly epochs: number;
  readonly seed: number;
  readonly workers: number;
  /** Chance of a fault at each event. */
  readonly faults: number;
  /** Whether the queue may forget everything. */
  readonly forgets?: boolean;
  readonly stopAfterSteps?: number;
  /** Events without a move after which a coordinator would ask for the queue to be filled again. */
  readonly quietEvents?: number;
  /** How steps are announced: step by step where absent, `mixed` changes at random while the run goes. */
  readonly grain?: 'step' | 'run' | 'mixed';
  /** Whether a lease's result may be other than its receipt says. */
  readonly lies?: boolean;
  /** Key of an item that no worker can compute. */
  readonly poison?: string;
  /** All epochs are judged alike here: the best is the first, and its weights have to come back. */
  readonly keep?: 'best';
  /** Share of items that two workers compute. */
  readonly verify?: number;
  /** The first worker computes other bits than the rest, and comes back whenever it is thrown out. */
  readonly liar?: boolean;
  /** The first worker needs so many times as many turns as the others. */
  readonly slow?: number;
  /** Steps whose mean is not finite, whoever computes them, and what is done about it. */
  readonly nonFinite?: { readonly steps: readonly number[]; readonly policy: NonFinitePolicy };
  /** The mean of every so many averages is not finite once: a worker had a flipped bit. */
  readonly flips?: number;
}

export interface Simulated {
  readonly outcome: RunEffect & { kind: 'finish' | 'fail' };
  readonly committed: readonly { readonly step: number; readonly covered: readonly number[] }[];
  readonly epochs: readonly (RunEffect & { kind: 'epoch-finished' })[];
  readonly steps: number;
  readonly furthestAhead: number;
  readonly lastAnnounced: number;
  /** How often nothing moved for so long that the protocol had to be told. */
  readonly stalls: number;
  /** How many steps were committed by leases. */
  readonly leased: number;
  readonly skipped: readonly number[];
  /** Copies by reason, in order. */
  readonly copies: readonly string[];
  /** Workers that were found to compute other bits. */
  readonly named: readonly string[];
}

export interface Taken {
  readonly item: WorkerItem;
  readonly id: string;
  readonly token: string;
}

export interface SimulatedWorker {
  readonly name: string;
  readonly inbox: (
    | { readonly kind: 'release'; readonly id: string }
    | { readonly kind: 'weights'; readonly version: Step }
    | { readonly kind: 'state'; readonly version: Step }
  )[];
  readonly outbox: RunInput[];
  holds: Taken | undefined;
  /** Of the weights it has. */
  version: number;
  /** Of the optimizer state it has. */
  stateVersion: number;
}
