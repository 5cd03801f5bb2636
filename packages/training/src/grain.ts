/** The planner: are a step's blocks spread over the workers, or does one worker take runs of whole steps? */
import { cutBlocks } from './cut-blocks.js';
import { MOST_LEASE_STEPS } from './lease-length.js';

/** `step`: blocks of every step for all workers. `run`: leases of whole steps, one worker at a time. */
export type Grain = 'step' | 'run';

export const GRAIN_CHOICES = ['auto', 'step', 'run'] as const;

export interface GrainPlan {
  readonly grain: Grain;
  readonly stepsPerLease: number;
}

export interface GrainInputs {
  /** What the user asked for. */
  readonly wanted: (typeof GRAIN_CHOICES)[number];
  /** Names of the workers that are ready, in the order they came. */
  readonly workers: readonly string[];
  /** Whether every one of them has memory for optimizer state and can take a lease. */
  readonly canLease: boolean;
  readonly microBatches: number;
  /** Whether a step is a round of local steps: there is nothing to lease then. */
  readonly rounds: boolean;
  /** Of weights there and a gradient back, of one worker. */
  readonly exchangedBytes: number;
  /** Of weights and optimizer state: what a lease leaves behind. */
  readonly resultBytes: number;
  /** Milliseconds one worker with its threads needs for all of a step, update included; undefined before it is known. */
  readonly computeMs: number | undefined;
  /** Milliseconds a step took beyond its slowest block, as seen in this run; undefined before a step was shared out. */
  readonly exchangeMs: number | undefined;
}

/** What a decision rests on: rounds of local steps, a wish, memory, a single worker, an estimate of nothing yet, or measured times. */
export type GrainBasis = 'rounds' | 'asked' | 'memory' | 'alone' | 'unmeasured' | 'measured';

export interface GrainDecision extends GrainPlan {
  readonly basis: GrainBasis;
  readonly computeMs: number | undefined;
  readonly exchangeMs: number;
  readonly savedMs: number | undefined;
  readonly reason: string;
}

/** Long enough to forget what a lease costs, short enough for progress, a stop and a lost worker: milliseconds. */
const LEASE_MS = 250;
/** A lease takes so many times as long as sending what it leaves behind, as far as `LONGEST_LEASE_MS` allows. */
const SENDING_FACTOR = 16;
/** How long a stop may have to wait for a lease, and what is computed again when its worker is lost. */
const LONGEST_LEASE_MS = 5000;
/** A lease is at most so many times as long as the one before: the first says little about the next thousand. */
const GROWTH = 8;
/** The other grain must promise a step shorter by this share before it is changed to. */
const HYSTERESIS = 0.15;
/** Leases so many times as long as those told of, or as short, are news. */
const NEWS_FACTOR = 4;
/**
 * What exchanging one step costs where it was not seen yet: 6.4 ms at 0.41 MB and 212 ms at 33.5 MB each way, two workers
 * (docs/benchmarks.md, "What a step costs besides computing").
 */
const EXCHANGE_BASE_MS = 3.9;
const EXCHANGE_MS_A_MEGABYTE = 6.2;
/** What announcing, taking and finishing a job costs, a lease's too (docs/benchmarks.md). */
const JOB_MS = 1.5;

/**
 * The grain of the steps announced next. A step of n workers takes its slowest worker's share of computing, plus the
 * exchange; a step of a lease takes all of the computing on one worker, plus its share of the lease's job.
 * @param before the plan in force
 */
export function planGrain(inputs: GrainInputs, before: GrainPlan): GrainDecision {
  const { wanted, workers, canLease, computeMs } = inputs;
  const exchangeMs = inputs.exchangeMs ?? estimateExchangeMs(inputs.exchangedBytes);
  const savedMs = computeMs === undefined ? undefined : computeMs * (1 - slowestShare(inputs));
  const stepsPerLease = leaseLength(inputs, before.stepsPerLease);
  const numbers = { computeMs, exchangeMs, savedMs, stepsPerLease };
  const decide = (grain: Grain, basis: GrainBasis, reason: string): GrainDecision => ({
    grain,
    basis,
    ...numbers,
    reason,
  });
  if (inputs.rounds) return decide('step', 'rounds', 'train.localSteps: workers share the replicas of every round');
  if (wanted === 'step') return decide('step', 'asked', '--grain step');
  if (!canLease)
    return decide('step', 'memory', 'the optimizer state of a lease does not fit into the memory of every worker');
  if (wanted === 'run') return decide('run', 'asked', '--grain run');
  if (workers.length < 2) {
    return decide('run', 'alone', 'one worker does all of every step: there is nothing to exchange');
  }
  if (computeMs === undefined || savedMs === undefined) {
    return decide('run', 'unmeasured', 'the first steps are measured on one worker');
  }
  const stepMs = computeMs - savedMs + exchangeMs;
  const runMs = computeMs + JOB_MS / stepsPerLease;
  const stays = before.grain === 'run' ? runMs * (1 - HYSTERESIS) <= stepMs : stepMs * (1 - HYSTERESIS) > runMs;
  const exchange = `${milliseconds(exchangeMs)} to save ${milliseconds(savedMs)} of computing`;
  if (stays) {
    return decide('run', 'measured', `${idle(workers)} idle: exchange would cost ${exchange}`);
  }
  return decide('step', 'measured', `${workers.length} workers share every step: exchange costs ${exchange}`);
}

/** Whether a decision says something new: an operator reads it in the events. */
export function isNews(decision: GrainDecision, before: GrainDecision | undefined): boolean {
  if (before === undefined || decision.grain !== before.grain || decision.basis !== before.basis) return true;
  if (decision.grain === 'step') return false;
  const [less, more] = [before.stepsPerLease, decision.stepsPerLease].sort((left, right) => left - right);
  return more !== undefined && less !== undefined && more >= NEWS_FACTOR * less;
}

/** The share of a step's computing that the worker with the most blocks does, where workers take blocks one by one. */
function slowestShare({ workers, microBatches }: GrainInputs): number {
  const blocks = cutBlocks(microBatches, Math.max(1, workers.length)).length;
  return Math.ceil(blocks / Math.max(1, workers.length)) / blocks;
}

function estimateExchangeMs(exchangedBytes: number): number {
  return EXCHANGE_BASE_MS + (EXCHANGE_MS_A_MEGABYTE / 2) * (exchangedBytes / 1e6);
}

/** The first lease is one step: nobody knows yet how long that takes. */
function leaseLength({ computeMs, resultBytes }: GrainInputs, before: number): number {
  if (computeMs === undefined) return 1;
  const sendingMs = (EXCHANGE_MS_A_MEGABYTE / 2) * (resultBytes / 1e6); // one way, the exchange goes both
  const leaseMs = Math.min(LONGEST_LEASE_MS, Math.max(LEASE_MS, SENDING_FACTOR * sendingMs));
  const wanted = Math.floor(leaseMs / Math.max(computeMs, 1e-3));
  return Math.max(1, Math.min(wanted, GROWTH * before, MOST_LEASE_STEPS));
}

function idle(workers: readonly string[]): string {
  const others = workers.slice(1);
  return others.length === 1 ? `${others[0]} is` : `${others.length} of ${workers.length} workers are`;
}

const milliseconds = (value: number): string => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
